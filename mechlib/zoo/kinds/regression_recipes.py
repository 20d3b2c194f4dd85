"""How each model of regression in context is trained: sizes, tasks and schedule.

The ``training`` of these recipes is a ``Recipe`` of ``mechlib.icl``; its own seed decides the prompts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mechlib.icl.mixture import Mixture
from mechlib.icl.models import Architecture
from mechlib.icl.tasks import DecisionTree, LinearRegression, ReluNetwork, SparseLinear, Task
from mechlib.icl.training import Recipe as Training
from mechlib.zoo.recipe import Recipe, unknown_model
from mechlib.zoo.regressors import LinearLayers, Regressor


@dataclass(frozen=True)
class Taught:
    """What each model of regression sees."""

    tasks: tuple[Task, ...]
    """One that all models see, or one for each."""
    labels: tuple[str, ...] = ("",)
    """A word for each model of a population."""


def described(task: Task) -> dict[str, Any]:
    """A task as JSON: its class and what it was made with, a pool by its number of tasks."""
    told: dict[str, Any] = {"family": type(task).__name__}
    for field in dataclasses.fields(task):
        value = getattr(task, field.name)
        if isinstance(value, Tensor):
            value = len(value)
        elif field.name == "families":
            value = [described(family) for family in value]
        told[field.name] = value
    return told


def log_spaced(first: int, last: int, n: int) -> tuple[int, ...]:
    """About ``n`` whole numbers from ``first`` to ``last``, evenly spaced on a logarithmic axis."""
    return tuple(sorted({round(first * (last / first) ** (i / (n - 1))) for i in range(n)}))


POOL_SEED = 4_242


def nested_pools(d: int, noise: float, sizes: Sequence[int | None]) -> tuple[LinearRegression, ...]:
    """Linear regression on the first tasks of one Gaussian list, so many for each; ``None`` for new tasks always."""
    largest = max(size for size in sizes if size)
    pool = torch.randn(largest, d, generator=torch.Generator().manual_seed(POOL_SEED))
    return tuple(LinearRegression(d, noise=noise, pool=None if size is None else pool[:size].clone()) for size in sizes)


def _gradient_descent() -> Iterator[Recipe]:
    task = LinearRegression(10, inputs="uniform")
    yield Recipe(
        name="gd-1",
        about="One layer of linear self-attention: one step of gradient descent. Trains live in seconds.",
        shape=Regressor(LinearLayers(10)),
        data=Taught((task,)),
        training=Training(steps=2_000, batch=512, n_points=11, learning_rate=1e-2),
    )
    yield Recipe(
        name="gd-loop-2",
        about="One layer of linear self-attention passed twice.",
        shape=Regressor(LinearLayers(10, n_layers=2, looped=True)),
        data=Taught((task,)),
        training=Training(steps=3_000, batch=512, n_points=11, learning_rate=5e-3),
    )
    yield Recipe(
        name="gd-loop-2-runs",
        about="As gd-loop-2, from five starts.",
        shape=Regressor(LinearLayers(10, n_layers=2, looped=True), n_models=5),
        data=Taught((task,), tuple(f"s{start}" for start in range(5))),
        training=Training(steps=4_000, batch=256, n_points=11, learning_rate=1e-2, warmup=100, clip=1.0),
        seed=1,
    )
    yield Recipe(
        name="gd-loop-5",
        about="One layer of linear self-attention passed five times.",
        shape=Regressor(LinearLayers(10, n_layers=5, looped=True)),
        data=Taught((task,)),
        training=Training(steps=8_000, batch=256, n_points=11, learning_rate=1e-3, warmup=200, clip=0.1),
    )
    yield Recipe(
        name="gd-untied-2",
        about="Two layers of linear self-attention with weights of their own.",
        shape=Regressor(LinearLayers(10, n_layers=2)),
        data=Taught((task,)),
        training=Training(steps=3_000, batch=256, n_points=11, learning_rate=1e-2, warmup=100, clip=0.1),
    )


LINEAR, SPARSE, TREE, RELU = FAMILIES = (
    LinearRegression(5),
    SparseLinear(5, nonzero=2),
    DecisionTree(5, depth=2),
    ReluNetwork(5, hidden=8),
)
"""The four families of the chapter on function classes."""
FAMILY_LABELS = ("linear", "sparse", "tree", "relu")
SCALES = tuple(variance**-0.5 for variance in (5, 2, 1, 5))
"""What makes the variance of the values 1 in each."""


def _muon(steps: int, n_points: int, cycles: int = 1) -> Training:
    return Training(steps, 64, n_points, learning_rate=4e-3, warmup=100, clip=1.0, cycles=cycles, optimiser="muon")


def _function_classes() -> Iterator[Recipe]:
    sizes = Architecture(5, 21, d_model=64, n_layers=3)
    for name, layers, training in (
        ("icl-linear", 6, _muon(20_000, 11)),
        ("icl-linear-3l", 3, _muon(10_000, 11, cycles=2)),
    ):
        yield Recipe(
            name=name,
            about=f"Linear regression without noise in five dimensions, {layers} layers.",
            shape=Regressor(Architecture(5, 11, d_model=64, n_layers=layers)),
            data=Taught((LINEAR,)),
            training=training,
        )
    yield Recipe(
        name="icl-relu",
        about="Two-layer ReLU networks of eight units.",
        shape=Regressor(sizes),
        data=Taught((RELU,)),
        training=_muon(8_000, 21, cycles=2),
    )
    yield Recipe(
        name="icl-sparse",
        about="Linear functions of two coordinates out of five.",
        shape=Regressor(Architecture(5, 11, d_model=64, n_layers=3)),
        data=Taught((SPARSE,)),
        training=_muon(15_000, 11, cycles=5),
    )
    yield Recipe(
        name="icl-tree",
        about="Decision trees of depth two on the signs of five coordinates.",
        shape=Regressor(sizes),
        data=Taught((TREE,)),
        training=_muon(6_000, 21, cycles=2),
    )
    yield Recipe(
        name="icl-probe",
        about="Linear regression without noise in four dimensions, x and y in tokens of their own.",
        shape=Regressor(Architecture(4, 11, d_model=64, n_layers=4, tokens="interleaved")),
        data=Taught((LinearRegression(4),)),
        training=_muon(3_000, 11),
    )


def _one_for_four() -> Iterator[Recipe]:
    """One model for four families beside specialists that together get as much training."""
    mixture = Mixture(5, families=FAMILIES, scales=SCALES)
    alone = tuple(Mixture(5, families=(f,), scales=(s,)) for f, s in zip(FAMILIES, SCALES, strict=True))
    wide = Architecture(5, 21, d_model=64, n_layers=3)
    yield Recipe(
        name="icl-multi",
        about="One model for four families of functions, a quarter of every batch each.",
        shape=Regressor(wide),
        data=Taught((mixture,)),
        training=_muon(4_000, 21),
    )
    yield Recipe(
        name="icl-specialists",
        about="Four models, each for one of the families of icl-multi; together they made as many steps.",
        shape=Regressor(wide, n_models=4),
        data=Taught(alone, FAMILY_LABELS),
        training=_muon(1_000, 21),
    )
    runs, narrow = range(3), Architecture(5, 21, n_layers=3)
    yield Recipe(
        name="icl-multi-runs",
        about="As icl-multi, half as wide: three runs.",
        shape=Regressor(narrow, n_models=len(runs)),
        data=Taught((mixture,) * len(runs), tuple(f"r{run}" for run in runs)),
        training=_muon(3_000, 21),
    )
    yield Recipe(
        name="icl-specialists-runs",
        about="Three runs of four specialists, each trained on just the part that icl-multi-runs has of its family.",
        shape=Regressor(narrow, n_models=4 * len(runs)),
        data=Taught(
            tuple(task for task in alone for _ in runs),
            tuple(f"{family} r{run}" for family in FAMILY_LABELS for run in runs),
        ),
        training=dataclasses.replace(_muon(3_000, 21), batch=16),
    )


def _which_algorithm() -> Iterator[Recipe]:
    yield Recipe(
        name="icl-probe-seeds",
        about="Two more starts of icl-probe, each with prompts of its own, trained for two thirds of its steps.",
        shape=Regressor(Architecture(4, 11, d_model=64, n_layers=4, tokens="interleaved"), n_models=2),
        data=Taught((LinearRegression(4), LinearRegression(4)), ("s1", "s2")),
        training=dataclasses.replace(_muon(2_000, 11), seed=1),
        seed=1,
    )
    starts, variances = 3, (0.0625, 0.25, 1.0)
    yield Recipe(
        name="icl-noise",
        about="Linear regression in four dimensions with noise of three variances: three models for each.",
        shape=Regressor(Architecture(4, 11), n_models=starts * len(variances)),
        data=Taught(
            tuple(LinearRegression(4, noise=var**0.5) for var in variances for _ in range(starts)),
            tuple(f"{var:g} s{start}" for var in variances for start in range(starts)),
        ),
        training=_muon(4_000, 11),
    )


POOLS = (4, 16, 64, 256, 1024, None)


def _pool_labels(sizes: Sequence[int | None]) -> tuple[str, ...]:
    return tuple("infinite" if size is None else str(size) for size in sizes)


def _task_diversity() -> Iterator[Recipe]:
    yield Recipe(
        name="icl-diversity",
        about="Linear regression with noise: the same model on pools of 4 to 1024 tasks, and on new tasks always.",
        shape=Regressor(Architecture(4, 8), n_models=len(POOLS)),
        data=Taught(nested_pools(4, 0.5, POOLS), _pool_labels(POOLS)),
        training=Training(steps=12_000, batch=32, n_points=8, learning_rate=3e-3, warmup=500, clip=1.0),
        checkpoints=(4_487,),
        looked_at=log_spaced(50, 12_000, 40),
        stores_outputs=True,
    )


TRANSIENT_POOLS = (8, 16, 32, None)


def _transient_ridge() -> Iterator[Recipe]:
    steps = 26_166
    yield Recipe(
        name="icl-transient",
        about="Linear regression with little noise, trained for long: pools of 8 to 32 tasks, and new tasks always.",
        shape=Regressor(Architecture(4, 8), n_models=len(TRANSIENT_POOLS)),
        data=Taught(nested_pools(4, 0.125**0.5, TRANSIENT_POOLS), _pool_labels(TRANSIENT_POOLS)),
        training=Training(steps, batch=64, n_points=8, learning_rate=3e-3, warmup=200, clip=1.0, schedule="constant"),
        checkpoints=(1_844, 2_050, 9_056, 19_032, 23_532),
        looked_at=log_spaced(50, steps, 60),
        stores_outputs=True,
    )


def _one_piece_at_a_time() -> Iterator[Recipe]:
    """Between linear attention alone and a whole block: what each piece does to the match with a gradient step."""
    linear = Architecture(5, 11, n_layers=1, n_heads=1, d_mlp=0, attention="linear", norm=False)
    softmax = dataclasses.replace(linear, attention="softmax")
    whole = dataclasses.replace(softmax, norm=True, d_mlp=None)
    pieces = {
        "linear": ("linear attention alone", linear),
        "softmax": ("softmax attention alone", softmax),
        "softmax-2h": ("two heads of softmax attention alone", dataclasses.replace(softmax, n_heads=2)),
        "linear-norm": ("linear attention and LayerNorm", dataclasses.replace(linear, norm=True)),
        "linear-mlp": ("linear attention and an MLP", dataclasses.replace(linear, d_mlp=None)),
        "whole": ("softmax attention, LayerNorm and MLP", whole),
        "whole-2h": ("two heads of softmax attention, LayerNorm and MLP", dataclasses.replace(whole, n_heads=2)),
        "whole-2l": (
            "two layers of two softmax heads, LayerNorm and MLP",
            dataclasses.replace(whole, n_heads=2, n_layers=2),
        ),
    }
    seeds = 5
    for name, (about, architecture) in pieces.items():
        yield Recipe(
            name=f"step-{name}",
            about=f"Linear regression in five dimensions by {about}: five models of one population.",
            shape=Regressor(architecture, n_models=seeds),
            data=Taught((LINEAR,), tuple(f"s{seed}" for seed in range(seeds))),
            training=Training(steps=2_000, batch=64, n_points=11, learning_rate=5e-3, warmup=100, clip=1.0),
        )


REGRESSIONS = {
    recipe.name: recipe
    for recipe in (
        *_gradient_descent(),
        *_one_piece_at_a_time(),
        *_function_classes(),
        *_one_for_four(),
        *_which_algorithm(),
        *_task_diversity(),
        *_transient_ridge(),
    )
}


def tasks(name: str) -> tuple[Task, ...]:
    """What a model of regression trained on: one task for all models, or one for each of a population, in their order.

    Raises:
        ValueError: for a name without such a recipe; the message gives the nearest ones.
    """
    if name not in REGRESSIONS:
        raise ValueError(unknown_model(name, REGRESSIONS))
    return REGRESSIONS[name].data.tasks
