"""Training steps and nearest neighbours, ours and Garg et al.'s, over pipes.

``python -m tests.benchmarks.rivals.regression NAME``, with ``mechlib`` or ``garg`` for NAME, answers lines of JSON:
``{"what": "step", ...}`` with seconds for one training step, ``{"what": "knn", ...}`` with seconds for the predictions
of three nearest neighbours, and with these predictions.

Garg et al.'s is their own code at a pinned commit (``tests.benchmarks.rivals``): model, samplers, ``train_step`` and
``NNModel``. What it imports and a step does not use, from tracking to gradient boosting, is left out by empty modules.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache
from types import ModuleType
from unittest.mock import MagicMock

import torch
from torch import Tensor

from tests.benchmarks.rivals import source

UNUSED = ("eval", "quinine", "schema", "wandb", "xgboost", "yaml")
"""Modules that their code imports and that a training step does not use."""
SECONDS = 1.0
"""What a measurement should take."""
LEARNING_RATE = 1e-4
"""Theirs; so small that the time measured is of a stable run."""


def prompts(batch: int, n_points: int, d: int) -> tuple[Tensor, Tensor]:
    """The same prompts in every process."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, n_points, d, generator=generator), torch.randn(batch, n_points, generator=generator)


@cache
def our_step(tokens: str, batch: int, n_points: int, d: int, d_model: int, n_layers: int, n_heads: int) -> Callable:
    """Steps of ``icl.training.train``, prompts drawn for each."""
    from mechlib.icl.models import Architecture, ICLTransformer
    from mechlib.icl.tasks import LinearRegression
    from mechlib.icl.training import Recipe, train

    sizes = Architecture(d, n_points, d_model=d_model, n_layers=n_layers, n_heads=n_heads, tokens=tokens)
    model, task = ICLTransformer(sizes), LinearRegression(d)

    def steps(n: int) -> None:
        recipe = Recipe(n, batch, n_points, LEARNING_RATE, schedule="constant", betas=(0.9, 0.999))
        train(model, task, recipe, progress=False)

    return steps


@cache
def their_step(tokens: str, batch: int, n_points: int, d: int, d_model: int, n_layers: int, n_heads: int) -> Callable:
    """Steps of their training loop, prompts drawn for each; always interleaved."""
    theirs = their_modules()
    model = theirs["models"].TransformerModel(d, n_points, n_embd=d_model, n_layer=n_layers, n_head=n_heads)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    inputs = theirs["samplers"].get_data_sampler("gaussian", n_dims=d)
    drawn = theirs["tasks"].get_task_sampler("linear_regression", d, batch)
    model.train()

    def steps(n: int) -> None:
        for _ in range(n):
            x, task = inputs.sample_xs(n_points, batch, d), drawn()
            theirs["train"].train_step(model, x, task.evaluate(x), optimiser, task.get_training_metric())

    return steps


def our_knn(x: Tensor, y: Tensor) -> Tensor:
    """Three nearest neighbours."""
    from mechlib.icl.predictors import knn

    return knn(x, y, k=3)


def their_knn(x: Tensor, y: Tensor) -> Tensor:
    """Three nearest neighbours."""
    return their_modules()["models"].NNModel(3)(x, y)


@cache
def their_modules() -> dict[str, ModuleType]:
    """Their modules, imported from the checkout."""
    import importlib

    sys.path.insert(0, str(source("garg") / "src"))
    sys.modules.update({name: MagicMock() for name in UNUSED})
    return {name: importlib.import_module(name) for name in ("models", "samplers", "tasks", "train")}


STEPS = {"mechlib": our_step, "garg": their_step}
NEIGHBOURS = {"mechlib": our_knn, "garg": their_knn}


def seconds_per_step(steps: Callable[[int], None]) -> float:
    """The mean over as many steps as take about ``SECONDS``."""
    start = time.perf_counter()
    steps(3)
    n = max(3, round(3 * SECONDS / (time.perf_counter() - start)))
    start = time.perf_counter()
    steps(n)
    return (time.perf_counter() - start) / n


def answer(name: str, what: str, **sizes: int | str) -> dict:
    """What is asked for, measured in this process."""
    if what == "step":
        return {"seconds": seconds_per_step(STEPS[name](**sizes))}
    x, y = prompts(**sizes)
    start = time.perf_counter()
    predictions = NEIGHBOURS[name](x, y)
    return {"seconds": time.perf_counter() - start, "predictions": predictions.tolist()}


def main(name: str) -> None:
    """Answer requests until the pipe is closed."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(name, **json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
