"""Cards: what is known of a shipped model, kept beside its weights as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ELSEWHERE = ("parts", "source", "licence", "attribution")
"""Fields of models that were made elsewhere; cards of others are without them."""
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


@dataclass(frozen=True)
class Card:
    """All that is known of a shipped model."""

    name: str
    about: str
    shape: Any
    """The sizes: a ``bridge.Shape``, a ``Regressor``, or what else models of the kind are built from."""
    recipe: dict[str, Any]
    """The recipe's fields: rows of a batch or tasks, rates, seed, optimiser. Empty for a model not trained here."""
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
    of ``mechlib.zoo.evaluation.measure``: ``held_out`` on some 192 passages spread over the held-out files,
    ``in_context`` there, ``repeat``. Of models older than the log only the checkpoints were measured. Of regression:
    ``held_out`` as at the checkpoints, and for each model of a population ``held_out LABEL``; where it trained on a
    pool, ``projection LABEL``, 0 for ridge regression and 1 for the posterior mean over the pool. Of models of
    docstrings: ``held_out`` and ``repeat``, ``induction``, and the shares of
    ``mechlib.zoo.kinds.docstring.arguments_right``."""
    versions: dict[str, str]
    """What the model was trained with."""
    folder: Path
    """Where the card and the weights lie."""
    outputs: StoredOutputs | None = None
    """Predictions kept of more steps than weights ship; ``zoo.outputs`` reads them."""
    kind: str = "language"
    """A word of ``mechlib.zoo.kinds``: what the model does, and how it is built and loaded."""
    parts: dict[str, str] = field(default_factory=dict)
    """Files of a model that is one folder, each with its hash."""
    source: str = ""
    """Where a model that was not trained here comes from."""
    licence: str = ""
    """The SPDX identifier of its licence."""
    attribution: str = ""
    """Who made it, in the words that the licence asks for."""

    @property
    def files(self) -> dict[str, str]:
        """The files that belong to the card, each with its hash."""
        found = {c.file: c.sha256 for c in self.checkpoints if c.file}
        return found | ({self.outputs.file: self.outputs.sha256} if self.outputs else {}) | self.parts

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
        for name in ("folder", *(name for name in ELSEWHERE if not fields[name])):
            del fields[name]
        lines = NUMBERS.sub(lambda column: " ".join(column[0].split()), json.dumps(fields, indent=1))
        (self.folder / "card.json").write_text(lines + "\n", encoding="utf-8")
