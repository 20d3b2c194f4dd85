"""Who said a claim, in which words, where; or that nobody did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mechlib.claims.words import OUR_OWN, a_sentence


@dataclass(frozen=True)
class Said:
    """The words of whoever made a claim."""

    words: str
    """Quoted, not retold."""
    source: str
    """Who said it, such as ``"nostalgebraist (S2)"``."""
    place: str
    """Where in the source, such as ``"comment of 1 September 2020"``."""

    def __post_init__(self) -> None:
        a_sentence(self.words, f"a quotation holds the author's words, or where nobody made the claim said={OUR_OWN!r}")
        a_sentence(self.source, "a quotation has a source, such as 'nostalgebraist (S2)'")
        a_sentence(self.place, "a quotation has a place in its source, such as 'section 3'")


def attribution(said: Said | str, claim_id: str) -> dict[str, Any]:
    """The fields of a record that say who said a claim.

    Raises:
        ValueError: if it is neither a quotation nor our own.
    """
    if isinstance(said, Said):
        return {"source": said.source, "words": said.words, "place": said.place}
    if said != OUR_OWN:
        raise ValueError(
            f"claim {claim_id} was said in words, Said(words, source, place), or is {OUR_OWN!r}, not {said!r}"
        )
    return {"source": said}
