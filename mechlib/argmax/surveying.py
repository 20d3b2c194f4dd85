"""All tokens of a read-out: cheap vectors first, programs for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from tqdm.auto import tqdm

from mechlib.argmax.certificates import Certificate, Spoken, check
from mechlib.argmax.deciding import decide
from mechlib.argmax.readout import Readout
from mechlib.argmax.screening import CORRECTED, screen

__all__ = ["STAGES", "Survey", "survey"]


STAGES = ("own row", "own row, whitened", "corrected", "program")
"""What settles tokens, in the order in which it is tried."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What every token of a read-out can do, with a certificate each."""

    readout: Readout
    certificates: Mapping[int, Certificate]
    """By token."""
    by: Int[np.ndarray, " token"]
    """What settled it: a number of ``STAGES``."""
    lead: Float[np.ndarray, " token"]
    """``check`` of its certificate: a lower bound of the lead at its vector, or minus an upper one of any vector's."""

    @property
    def speakable(self) -> Bool[np.ndarray, " token"]:
        """Whether some vector makes the token the argmax."""
        return np.array([isinstance(self.certificates[token], Spoken) for token in range(self.readout.n)])


def survey(readout: Readout, *, exact: bool | None = None, progress: bool = False) -> Survey:
    """Decide every token.

    What is known of one helps with the next: rivals of the first program are the tokens that were found to be
    speakable, for among these are always some that enclose a token if any do.

    Args:
        exact: as for ``decide``.
        progress: whether a bar is shown.

    Raises:
        ArithmeticError: as ``decide``.
    """
    found = screen(readout)
    certificates: dict[int, Certificate] = dict(found.certificates)
    by, lead = found.by.copy(), found.lead.copy()
    known = set(certificates) if readout.d <= KNOWN else set()
    for token in tqdm(np.flatnonzero(by < 0).tolist(), disable=not progress, leave=False):
        certificates[token] = decide(readout, token, known, exact=exact)
        by[token], lead[token] = CORRECTED + 1, check(readout, certificates[token])
        if isinstance(certificates[token], Spoken) and readout.d <= KNOWN:
            known.add(token)
    return Survey(readout, certificates, by, lead)


KNOWN = 64
"""Of rows with more entries nearly all tokens are speakable, and all at once would make a program slow."""
