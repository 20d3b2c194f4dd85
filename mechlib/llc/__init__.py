"""The local learning coefficient: exact values, samplers, estimates, and the reasons not to believe one.

Works on any ``torch.nn.Module``; knows no model of the book.

- What is true: :mod:`exact` for closed forms, :mod:`quadrature` for three dimensions and fewer, :mod:`volume` for the
  volume of near-optimal weights, :mod:`evidence` for free energies and what they prefer.
- What is estimated: :func:`estimate_llc` at one inverse temperature, :func:`ladder` over several and in the limit,
  :func:`curvature_trace` for comparison, :func:`coefficients` for many models at once; and, of the same draws,
  :func:`susceptibilities` of components to samples, any other :func:`covariance`, and a :func:`plane` of weight space
  with the chains in it.
- Whether to believe it: the warnings of every result, :func:`verify`, and :func:`calibrate`, which finds how strongly
  chains should be held at w*, and for how long they should run.
- What they are given: :mod:`arguments` and :mod:`data` check it, :mod:`streams` reads what is too large for memory, and
  :mod:`keys` say whether it is what it was.
- What they are made of: :mod:`flat`, :mod:`surface` and :mod:`recording` evaluate many points of a model at once,
  :mod:`posterior` reads the loss on minibatches, :mod:`preparation` is what stands before any chain moves,
  :mod:`samplers` are pure steps that move the points, :mod:`tuning`, :mod:`grid` and :mod:`preconditioner` find how
  far, :mod:`run` is the loop around them, :mod:`observe` what is read at each draw, and :mod:`diagnostics` and
  :mod:`plateau` judge the traces.
"""

from mechlib.llc.calibrate import calibrate
from mechlib.llc.curvature import CurvatureTrace, curvature_trace
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.exact import (
    LearningCoefficient,
    deep_linear,
    normal_crossing,
    quadratic_expectation,
    reduced_rank,
    regular,
)
from mechlib.llc.ladder import LadderResult, ladder
from mechlib.llc.observe import Draw
from mechlib.llc.plane import Plane, plane
from mechlib.llc.plateau import Calibration
from mechlib.llc.quadrature import Quadrature, quadrature
from mechlib.llc.result import LLCResult, LLCWarning, Unreliable
from mechlib.llc.susceptibility import Covariance, Susceptibilities, covariance, losses_of, susceptibilities
from mechlib.llc.sweeps import Failure, coefficients
from mechlib.llc.verify import Verification, verify

__all__ = [
    "Calibration",
    "Covariance",
    "CurvatureTrace",
    "Draw",
    "Failure",
    "LLCResult",
    "LLCWarning",
    "LadderResult",
    "LearningCoefficient",
    "Plane",
    "Quadrature",
    "Susceptibilities",
    "Unreliable",
    "Verification",
    "calibrate",
    "coefficients",
    "covariance",
    "curvature_trace",
    "deep_linear",
    "estimate_llc",
    "ladder",
    "losses_of",
    "normal_crossing",
    "plane",
    "quadratic_expectation",
    "quadrature",
    "reduced_rank",
    "regular",
    "susceptibilities",
    "verify",
]
