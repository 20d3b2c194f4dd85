"""The kinds of model in the zoo. One more is a module with a class, and its line in ``KINDS``."""

from __future__ import annotations

from typing import Any

from mechlib.zoo.kinds.docstring import Docstring
from mechlib.zoo.kinds.folder import Folder
from mechlib.zoo.kinds.kind import Kind, TrainedKind
from mechlib.zoo.kinds.language import Language
from mechlib.zoo.kinds.regression import Regression
from mechlib.zoo.recipe import Recipe, unknown_model

__all__ = ["KINDS", "Kind", "TrainedKind", "kind_named", "recipe_named"]

KINDS: tuple[Kind, ...] = (
    Language(),
    Regression(),
    Folder(),
    Docstring(),
)


def kind_named(word: str) -> Kind:
    """The kind that cards call so.

    Raises:
        ValueError: if there is none.
    """
    for kind in KINDS:
        if kind.word == word:
            return kind
    raise ValueError(f"kind is one of {tuple(kind.word for kind in KINDS)}, got {word!r}")


def recipe_named(name: str) -> tuple[TrainedKind[Any, Any], Recipe]:
    """The recipe of a name, with its kind.

    Raises:
        ValueError: if there is none; the message gives the nearest names.
    """
    for kind in KINDS:
        if isinstance(kind, TrainedKind) and name in kind.recipes:
            return kind, kind.recipes[name]
    raise ValueError(unknown_model(name, [known for kind in KINDS for known in kind.recipes]))
