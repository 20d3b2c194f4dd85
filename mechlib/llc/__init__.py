"""The local learning coefficient: exact values, samplers, estimates, and the reasons not to believe one.

Works on any ``torch.nn.Module``; knows no model of the book.
"""

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
from mechlib.llc.quadrature import Quadrature, quadrature
from mechlib.llc.result import LLCResult, LLCWarning, Unreliable
from mechlib.llc.sweeps import coefficients
from mechlib.llc.verify import Verification, verify

__all__ = [
    "CurvatureTrace",
    "LLCResult",
    "LLCWarning",
    "LadderResult",
    "LearningCoefficient",
    "Quadrature",
    "Unreliable",
    "Verification",
    "coefficients",
    "curvature_trace",
    "deep_linear",
    "estimate_llc",
    "ladder",
    "normal_crossing",
    "quadratic_expectation",
    "quadrature",
    "reduced_rank",
    "regular",
    "verify",
]
