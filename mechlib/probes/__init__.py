"""What can be read from activations by a map that is fitted to them.

Whether a sum is positive is linear in its terms; the probe is fitted to one half of the rows and tested on the other:

>>> import torch
>>> x = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0))
>>> labels = (x.sum(1) > 0).long()
>>> probe = fit_least_squares(x[::2], labels[::2], n_classes=2)
>>> print(f"{probe.accuracy(x[1::2], labels[1::2]).mean():.2f}")
0.99
"""

from mechlib.probes.least_squares import LeastSquaresProbe, fit_least_squares

__all__ = ["LeastSquaresProbe", "fit_least_squares"]
