"""A verdict: the record of a claim, which a notebook shows as its card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mechlib.claims import card
from mechlib.claims.results import Record

METADATA = "mechlib_verdict"
"""Under this name the metadata of an output holds the data of its ``Verdict``, unseen by the reader."""


@dataclass(frozen=True)
class Verdict(Record):
    """What an experiment says about a claim: as the last expression of a cell it is shown as a card."""

    def __str__(self) -> str:
        return card.text(self)

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        return {"text/html": card.page(self), "text/plain": str(self)}, {METADATA: self.data}
