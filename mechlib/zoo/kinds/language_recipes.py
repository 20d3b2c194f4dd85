"""How each language model of the zoo is trained: the sizes, the text and the schedule."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mechlib.bridge import Shape
from mechlib.zoo.data import Rows
from mechlib.zoo.recipe import Recipe


@dataclass(frozen=True)
class TextTraining:
    """How the updates of a language model are made."""

    steps: int
    learning_rate: float = 2e-3
    warmup: int = 100
    decay_from: int | None = None
    """First step of the linear decay to zero; ``None`` for a constant rate to the end."""
    weight_decay: float = 0.05
    optimiser: Literal["adamw", "muon"] = "adamw"
    """``"muon"``: Muon for the matrices inside the blocks, AdamW for everything else."""

    def __post_init__(self) -> None:
        if self.optimiser not in ("adamw", "muon"):
            raise ValueError(f"optimiser is 'adamw' or 'muon', got {self.optimiser!r}")

    def rate(self, step: int) -> float:
        """The learning rate of the update number ``step`` (from 0)."""
        rate = self.learning_rate * min(1.0, (step + 1) / self.warmup)
        if self.decay_from is None or step < self.decay_from:
            return rate
        return rate * (self.steps - step) / (self.steps - self.decay_from)


LOOK_EVERY = 250
"""Steps between two lines of the log of a language model."""


def _shape(n_layers: int, d_model: int, *, d_mlp: int = 0) -> Shape:
    return Shape(
        n_layers=n_layers, d_model=d_model, n_heads=d_model // 32, d_head=32, d_mlp=d_mlp, n_ctx=256, d_vocab=2048
    )


LENS = Recipe(
    name="code-4l-mlp",
    about="Four layers with MLPs: the model of the logit-lens chapter.",
    shape=_shape(4, 192, d_mlp=768),
    data=Rows(stdlib=6, packages=9, repeated=1),
    training=TextTraining(10_000, learning_rate=3e-3, decay_from=4_500, optimiser="muon"),
    checkpoints=(250, 1_000, 4_000, 7_000),
    look_every=LOOK_EVERY,
)

INDUCTION = Recipe(
    name="code-2l",
    about="Two layers of attention only: the model of the induction chapter, dense in checkpoints at onset.",
    shape=_shape(2, 128),
    data=Rows(stdlib=7, repeated=1),
    training=TextTraining(12_000, decay_from=9_000),
    checkpoints=(1_000, 2_000, 3_000, 3_500, *range(4_000, 4_801, 100), 5_000, 6_000, 9_000),
    look_every=LOOK_EVERY,
)


SEED_CHECKPOINTS = {1: (7_000, 7_300, 7_500, 9_000), 2: (5_500, 6_000, 6_200, 7_500)}
"""For each further seed of code-2l the steps that ship, placed around its onset."""


def _induction_seeds() -> Iterator[Recipe]:
    for seed, (*checkpoints, last) in SEED_CHECKPOINTS.items():
        yield dataclasses.replace(
            INDUCTION,
            name=f"code-2l-s{seed}",
            about=f"code-2l from seed {seed}, at a constant rate to the end.",
            training=TextTraining(last),
            checkpoints=tuple(checkpoints),
            seed=seed,
        )


def _induction_controls() -> Iterator[Recipe]:
    yield dataclasses.replace(
        INDUCTION,
        name="code-1l",
        about="One layer of attention only: the control of the induction chapter.",
        shape=_shape(1, 128),
        checkpoints=(4_000, 6_000),
    )
    yield dataclasses.replace(
        INDUCTION,
        name="code-2l-decay",
        about="code-2l with a rate that falls from the start: is the onset the schedule's doing?",
        training=TextTraining(6_000, decay_from=100),
        checkpoints=(5_000,),
        remarks=("The rate falls to zero over 6,000 steps; by then no induction head has formed.",),
    )
    yield dataclasses.replace(
        INDUCTION,
        name="code-2l-natural",
        about="code-2l without repeated rows: what natural text alone teaches of induction.",
        data=Rows(stdlib=2, packages=6),
        training=TextTraining(13_000, learning_rate=4e-3, decay_from=10_000, optimiser="muon"),
        checkpoints=(4_000, 8_000),
        remarks=(
            "What it took: 13,000 steps, 26.6 million tokens, 14 CPU minutes; Muon, and packages as text. Its one "
            "induction head puts .64 of its attention on the target at step 8,000 and .61 at the last (means over 16 "
            "batches of fresh repeats with periods of 16 to 64; intervals .62 to .65 and .59 to .63).",
        ),
    )


TWINS = {
    "tied": Shape(n_layers=2, d_model=64, n_heads=4, d_head=16, d_mlp=0, n_ctx=256, d_vocab=2048),
    "untied": Shape(n_layers=2, d_model=38, n_heads=4, d_head=12, d_mlp=0, n_ctx=256, d_vocab=2048, tied=False),
}
"""Sizes of the twins of the chapter on the residual stream; their numbers of parameters agree within 1 %."""


def _twins() -> Iterator[Recipe]:
    abouts = {
        "tied": "A small model whose unembedding is its embedding.",
        "untied": "The twin of twin-tied with an unembedding of its own, as many parameters and the same batches.",
    }
    for kind, shape in TWINS.items():
        for seed in range(3):
            yield Recipe(
                name=f"twin-{kind}-s{seed}",
                about=abouts[kind],
                shape=shape,
                data=Rows(stdlib=4),
                training=TextTraining(3_000, decay_from=2_000),
                look_every=LOOK_EVERY,
                seed=seed,
            )


RECIPES = {recipe.name: recipe for recipe in (LENS, INDUCTION, *_induction_seeds(), *_induction_controls(), *_twins())}
