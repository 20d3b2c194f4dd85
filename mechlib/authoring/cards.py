"""Review cards: a few questions for each chapter, each from a claim or an exercise, in ``book/cards/NN.toml``::

[[card]]
of = "02a"
front = "What is asked?"
back = "What is so."
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FOLDER", "Card", "cards"]

FOLDER = "book/cards"
FIELDS = ("of", "front", "back")


@dataclass(frozen=True)
class Card:
    """A question with its answer."""

    chapter: str
    of: str
    """The claim, ``02a``, or the question, ``ch02.target_rank``, that it comes from."""
    front: str
    back: str

    @property
    def key(self) -> str:
        """By what a browser knows it: another text on its front makes another card."""
        return f"{self.chapter}-{hashlib.sha256(self.front.encode()).hexdigest()[:8]}"


def cards(folder: Path) -> Iterator[Card]:
    """The cards of a checkout, chapter by chapter.

    Raises:
        ValueError: if a file has anything but whole cards; the message names it.
    """
    for path in sorted((folder / FOLDER).glob("*.toml")):
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        if set(found) != {"card"}:
            raise ValueError(f"{path.name} holds [[card]] and nothing else, not {', '.join(found) or 'nothing'}")
        for card in found["card"]:
            if set(card) != set(FIELDS) or not all(isinstance(text, str) and text.strip() for text in card.values()):
                raise ValueError(f"{path.name}: a card has the texts {', '.join(FIELDS)}, not {card}")
            yield Card(path.stem, *(card[field] for field in FIELDS))
