"""What can be read from activations by a map that is fitted to them."""

from mechlib.probes.least_squares import LeastSquaresProbe, fit_least_squares

__all__ = ["LeastSquaresProbe", "fit_least_squares"]
