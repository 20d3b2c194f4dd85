"""One estimator that answers over pipes how long a draw takes: ``python -m tests.benchmarks.rivals.server NAME``.

A request is a line of JSON with ``problem`` and ``chains``, the answer a line with ``seconds`` for one draw of all
chains. Nothing runs between requests. A draw is a step of plain SGLD for the rivals, of ``lm`` with its anchor for
mechlib. Only the cost of further draws counts: set-up and compilation do not.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from tests.benchmarks.rivals.problems import Problem, problem

SECONDS = 2.0
"""What a measurement should take, set-up left out."""
TRIAL = {"mechlib": 120, "devinterp": 80, "devinterp2": 20, "canonical": 200}
"""Draws from which it is reckoned how many take so long."""
WARM_UP = 30
"""Steps of canonical-interp that are not counted, for its compilation."""


class ShuffledBatches(DataLoader):
    """Minibatches as cheap as mechlib's own: rows of a tensor, not samples put together one by one."""

    def __init__(self, inputs: Tensor, targets: Tensor, batch_size: int):
        super().__init__(TensorDataset(inputs, targets), batch_size=batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.randperm(len(self.dataset)).split(self.batch_size):
            yield tuple(part[rows] for part in self.dataset.tensors)


def mechlib(given: Problem, chains: int, draws: int) -> float:
    """Seconds for a run with so many draws."""
    from mechlib.llc import estimate_llc

    def loss_fn(f, batch):
        return given.per_sample(f(batch[0]), batch[1])

    start = time.perf_counter()
    estimate_llc(
        given.model, loss_fn, (given.inputs, given.targets), lr=given.lr, gamma=given.gamma, nbeta=given.nbeta,
        chains=chains, draws=draws, burnin=0, batch_size=given.batch_size, progress=False,
    )  # fmt: skip
    return time.perf_counter() - start


def devinterp(given: Problem, chains: int, draws: int) -> float:
    """Seconds for a run with so many draws; the loss at w* is given, so that none goes into it."""
    from devinterp.optim.sgld import SGLD
    from devinterp.slt.sampler import estimate_learning_coeff_with_summary

    def evaluate(model, batch):
        return given.mean_loss(model(batch[0]), batch[1])

    with torch.no_grad():
        init_loss = float(given.mean_loss(given.model(given.inputs), given.targets)) or 1e-12
    start = time.perf_counter()
    estimate_learning_coeff_with_summary(
        given.model, ShuffledBatches(given.inputs, given.targets, given.batch_size), evaluate=evaluate,
        sampling_method=SGLD, optimizer_kwargs={"lr": given.lr, "nbeta": given.nbeta, "localization": given.gamma},
        num_chains=chains, num_draws=draws, init_loss=init_loss, verbose=False,
    )  # fmt: skip
    return time.perf_counter() - start


def devinterp2(given: Problem, chains: int, draws: int) -> float:
    """Seconds for a run with so many draws; it puts its batches together itself, and writes every draw to a file."""
    from datasets import Dataset
    from devinterp.slt.sampling import sample

    def per_token(model, tokens):
        return given.per_sample(model(tokens[:, :-1]), tokens[:, 1:])

    tokens = torch.cat([given.inputs, given.targets[:, -1:]], 1)
    rows = Dataset.from_dict({"input_ids": tokens.tolist()}).with_format("torch")
    start = time.perf_counter()
    sample(
        given.model, rows, {}, lr=given.lr, n_beta=given.nbeta, localization=given.gamma, num_chains=chains,
        num_draws=draws, batch_size=given.batch_size, num_init_loss_batches=1, loss_fn=per_token, device="cpu",
    )  # fmt: skip
    return time.perf_counter() - start


def canonical(given: Problem, chains: int, draws: int) -> float:
    """Seconds for so many draws after a warm-up in the same run, read off the clock as batches are asked for."""
    itertools.batched = getattr(itertools, "batched", None)  # imported, and used with several devices only
    from canonical_interp import LLCEstimator

    times = []

    def unpack(batch):
        times.append(time.perf_counter())
        return batch[0], batch[1]

    estimator = LLCEstimator(
        draws=draws, chains=chains, burnin_steps=WARM_UP, steps_bw_draws=1, learning_rate=given.lr,
        localization=given.gamma, nbeta=given.nbeta,
    )  # fmt: skip
    estimator.estimate_llc(
        given.model, ShuffledBatches(given.inputs, given.targets, given.batch_size), criterion_fn=given.mean_loss,
        unpack_fn=unpack, show_progress=False,
    )  # fmt: skip
    return times[-1] - times[-draws]


ESTIMATORS: dict[str, Callable[[Problem, int, int], float]] = {
    "mechlib": mechlib,
    "devinterp": devinterp,
    "devinterp2": devinterp2,
    "canonical": canonical,
}


def seconds_per_draw(name: str, given: Problem, chains: int, draws: int) -> float:
    """The cost of one more draw: of a long run less that of a short one, where that includes set-up."""
    if name == "canonical":
        return canonical(given, chains, draws) / (draws - 1)
    run, short = ESTIMATORS[name], draws // 4
    return (run(given, chains, draws) - run(given, chains, short)) / (draws - short)


@cache
def prepared(name: str, which: str, chains: int) -> tuple[Problem, int]:
    """The problem, and as many draws as take about ``SECONDS``; what the first call alone does is done by then."""
    given = problem(which)
    ESTIMATORS[name](given, chains, TRIAL[name])
    rough = seconds_per_draw(name, given, chains, TRIAL[name])
    return given, min(max(60, int(SECONDS / max(rough, 1e-6))), 8000)


def main(name: str) -> None:
    """Answer requests until the pipe is closed."""
    answers, sys.stdout = sys.stdout, sys.stderr
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for line in sys.stdin:
        request = json.loads(line)
        given, draws = prepared(name, request["problem"], request["chains"])
        seconds = seconds_per_draw(name, given, request["chains"], draws)
        print(json.dumps({"seconds": seconds, "draws": draws}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
