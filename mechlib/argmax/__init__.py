"""Which tokens can an unembedding put first? For every token, a certificate that it can or that it cannot.

A token is *argmaxable* (Grivas et al. 2022), or speakable, if some vector gives it a higher logit than every other one.
Where none does, its row is a convex combination of the others' rows, and they outbid it whatever the vector is
(Demeter et al. 2020). A linear program finds one or the other; neither has to be believed, since both can be checked.

>>> import numpy as np
>>> readout = Readout(np.array([[1.0, 0], [0, 1], [-1, -1], [0.25, 0.25]]))
>>> survey(readout).speakable.tolist()
[True, True, True, False]
>>> decide(readout, 3).weights
{0: Fraction(5, 12), 1: Fraction(5, 12), 2: Fraction(1, 6)}
"""

from mechlib.argmax.ascent import ascend
from mechlib.argmax.certificates import Certificate, Enclosed, Spoken, check, leads
from mechlib.argmax.deciding import decide
from mechlib.argmax.readout import Readout
from mechlib.argmax.screening import directions, screen
from mechlib.argmax.surveying import Survey, survey

__all__ = [
    "Certificate",
    "Enclosed",
    "Readout",
    "Spoken",
    "Survey",
    "ascend",
    "check",
    "decide",
    "directions",
    "leads",
    "screen",
    "survey",
]
