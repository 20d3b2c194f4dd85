"""Networks of one function that differ in how they repair themselves, and what that costs in volume.

Used in chapter 08. A task of two cues that say the same label (:class:`Cues`); a small transformer that may read either
(:class:`Network`); *forks* of one trained base, of equal loss, that make up for a lost head or do not, and that stand
small displacements or do not (:func:`forks`); what a head's loss costs, directly and in all (:func:`effects`,
:func:`ablation_cost`, :func:`displacement_cost`); and the curvatures from which the local learning coefficient is read
(:func:`curvatures`, :func:`modes`, :func:`free_energy`). Forks, chains and posterior draws of the book are recorded
with the library (:mod:`mechlib.forks.recorded`).
"""

from mechlib.forks.cues import Cues, Network, divergence, lead
from mechlib.forks.repair import KINDS, Effects, ablation_cost, displacement_cost, effects, replaced
from mechlib.forks.spectrum import FreeEnergy, curvatures, free_energy, modes
from mechlib.forks.training import FORKS, SQUARE, bases, forks

__all__ = [
    "FORKS",
    "KINDS",
    "SQUARE",
    "Cues",
    "Effects",
    "FreeEnergy",
    "Network",
    "ablation_cost",
    "bases",
    "curvatures",
    "displacement_cost",
    "divergence",
    "effects",
    "forks",
    "free_energy",
    "lead",
    "modes",
    "replaced",
]
