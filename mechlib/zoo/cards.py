"""Cards: what is known of a shipped model, kept beside its weights as JSON."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from mechlib.bridge import Shape
from mechlib.zoo.regressors import Regressor, regressor

SHIPPED = Path(__file__).parent / "weights"
NUMBERS = re.compile(r"\[[\s\d.,eNa+-]+\]")
"""A list of numbers in JSON, which a card keeps on one line."""


@dataclass(frozen=True)
class Checkpoint:
    """One set of weights of a model."""

    step: int
    """Number of updates."""
    tokens: int
    """Number of training tokens seen, repeats of the same text counted; of regression, examples seen by each model."""
    held_out_loss: float
    """Of a language model: loss in nats per token on 400 to 800 passages spread over the held-out files, CPython's
    tests included. Of regression: half the mean squared error on fresh prompts of the training tasks, over all that
    the model predicts, a mean over the models of a population."""
    file: str
    """File name beside the card; empty for step 0, which the recipe makes from its seed."""
    sha256: str
    """Hash of the file; empty for step 0."""


@dataclass(frozen=True)
class StoredOutputs:
    """The file that holds what a population predicted while it trained."""

    steps: tuple[int, ...]
    """Number of updates at each look, ascending from 0."""
    file: str
    sha256: str


Kind = Literal["language", "regression"]
"""What a model does: predict tokens of text, or values of functions from examples in a prompt."""


@dataclass(frozen=True)
class Card:
    """All that is known of a shipped model."""

    name: str
    about: str
    shape: Shape | Regressor
    recipe: dict[str, Any]
    """The recipe's fields: rows of a batch or tasks, rates, seed, optimiser."""
    data: dict[str, Any]
    """Python version, fingerprints and sizes of the training text, versions of the packages; of regression, how many
    models, and fingerprints of their pools."""
    metrics: dict[str, float]
    """Losses at the last step, nats per token. ``held_out`` is on every passage of the held-out files, with CPython's
    tests; ``held_out_without_tests`` is on ``text.files("held_out")``; those on training text are on samples.
    Of regression: the last line of the log."""
    notes: tuple[str, ...]
    """What a user must know, the difference from training on natural text first."""
    checkpoints: tuple[Checkpoint, ...]
    """Ascending in ``step``, from the untrained model at step 0."""
    log: dict[str, tuple[float, ...]]
    """What was measured while it trained, in columns of one length: ``step``, ascending from 0, and the nats per token
    of ``mechlib.zoo.evaluation.measure``: ``held_out`` on 192 passages spread over the held-out files, ``in_context``
    there, ``repeat``. Of models older than the log only the checkpoints were measured. Of regression: ``held_out`` as
    at the checkpoints, and for each model of a population ``held_out LABEL``; where it trained on a pool,
    ``projection LABEL``, 0 for ridge regression and 1 for the posterior mean over the pool."""
    versions: dict[str, str]
    """What the model was trained with."""
    folder: Path
    """Where the card and the weights lie."""
    outputs: StoredOutputs | None = None
    """Predictions kept of more steps than weights ship; ``zoo.outputs`` reads them."""

    @property
    def kind(self) -> Kind:
        return "language" if isinstance(self.shape, Shape) else "regression"

    @property
    def files(self) -> dict[str, str]:
        """The files that belong to the card, each with its hash."""
        found = {c.file: c.sha256 for c in self.checkpoints if c.file}
        return found | ({self.outputs.file: self.outputs.sha256} if self.outputs else {})

    def checkpoint(self, step: int | None) -> Checkpoint:
        """The checkpoint of a step; the last one for ``None``.

        Raises:
            ValueError: if no weights of that step ship; the message names the nearest steps.
        """
        if step is None:
            return self.checkpoints[-1]
        for checkpoint in self.checkpoints:
            if checkpoint.step == step:
                return checkpoint
        nearest = sorted(self.checkpoints, key=lambda c: abs(c.step - step))[:3]
        raise ValueError(
            f"{self.name} has no checkpoint at step {step}; nearest: {', '.join(str(c.step) for c in nearest)}. "
            f"zoo.steps({self.name!r}) lists all {len(self.checkpoints)}."
        )

    def write(self) -> None:
        """Write ``card.json`` into ``folder``."""
        fields = dataclasses.asdict(self)
        del fields["folder"]
        lines = NUMBERS.sub(lambda column: " ".join(column[0].split()), json.dumps(fields, indent=1))
        (self.folder / "card.json").write_text(lines + "\n", encoding="utf-8")


def read_card(folder: Path) -> Card:
    """The card in ``folder``."""
    fields = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    shape = fields["shape"]
    fields["shape"] = regressor(shape) if "sizes" in shape else Shape(**shape)
    if outputs := fields.get("outputs"):
        fields["outputs"] = StoredOutputs(**outputs | {"steps": tuple(outputs["steps"])})
    fields["notes"] = tuple(fields["notes"])
    fields["log"] = {key: tuple(column) for key, column in fields["log"].items()}
    fields["checkpoints"] = tuple(Checkpoint(**c) for c in fields["checkpoints"])
    return Card(folder=folder, **fields)


def names(kind: Kind | None = None) -> tuple[str, ...]:
    """The models that ship with the book, in alphabetical order; those of one kind, where a kind is given.

    Raises:
        ValueError: if ``kind`` is neither ``"language"`` nor ``"regression"``.
    """
    found = tuple(sorted(folder.parent.name for folder in SHIPPED.glob("*/card.json")))
    if kind is None:
        return found
    if kind not in get_args(Kind):
        raise ValueError(f"kind is one of {get_args(Kind)}, got {kind!r}")
    return tuple(name for name in found if card(name).kind == kind)


@cache
def card(name: str) -> Card:
    """The card of a shipped model.

    Raises:
        ValueError: for an unknown name; the message gives the nearest names.
    """
    if name not in names():
        raise ValueError(unknown_model(name, names()))
    return read_card(SHIPPED / name)


def steps(name: str) -> tuple[int, ...]:
    """The steps of training whose weights can be loaded, ascending; step 0 is the untrained model."""
    return tuple(c.step for c in card(name).checkpoints)


def unknown_model(name: str, known: Iterable[str]) -> str:
    """The sentence for a model that is not there, nearest names first."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"the book ships no model {name!r}; {hint}embedded models: {', '.join(known)}"
