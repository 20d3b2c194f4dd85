"""``estimate_llc`` beside devinterp and canonical-interp: ``python -m tests.benchmarks.llc``.

Two tables. Time for one draw of all chains, at equal chains and batch: each estimator in a process of its own, asked
over pipes, one at a time, in interleaved rounds. And time to a given error on a quadratic loss: the draws that each
sampler needs at its best step, times the time for a draw.

The rivals' environments are made by ``python -m tests.benchmarks.rivals``; what is not there is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from mechlib.llc import Unreliable, estimate_llc
from mechlib.llc.chains import effective_draws
from mechlib.llc.exact import quadratic_expectation
from tests.benchmarks import machine
from tests.benchmarks.rivals import NAMES, ROOT, python
from tests.benchmarks.rivals.problems import Problem, problem

WORK = (
    ("deep linear, 1.5 k", 16),
    ("deep linear, 1.5 k", 64),
    ("MLP, 7.5 k", 16),
    ("MLP, 55 k", 16),
    ("transformer, 43 k", 8),
    ("quadratic, 20", 16),
)
"""Problem and number of chains; the quadratic is the last."""
ROUNDS = 9
ERROR = 0.02
"""The relative error of the estimate that is asked for on the quadratic."""
STEPS = {"sgld": (0.4, 0.2, 0.14, 0.1, 0.07, 0.05), "lm": (2.0, 1.4, 1.0, 0.7, 0.5)}
"""Steps times the largest curvature of U that are tried."""
CURVE = {"chains": 64, "draws": 6000}
"""The run that measures a sampler's bias and variance at one step."""

Seconds = dict[str, list[float]]
"""By estimator, seconds for a draw in each round."""


class Estimator:
    """A process that answers how long a draw takes."""

    def __init__(self, name: str, interpreter: str):
        command = [interpreter, "-m", "tests.benchmarks.rivals.server", name]
        environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, which: str, chains: int) -> float:
        """The time for one draw of all chains."""
        self.process.stdin.write(json.dumps({"problem": which, "chains": chains}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()} on {which!r}")
        return json.loads(answer)["seconds"]


@contextmanager
def running(name: str) -> Iterator[Estimator]:
    """A process, ended at the end."""
    estimator = Estimator(name, sys.executable if name == "mechlib" else str(python(name)))
    try:
        yield estimator
    finally:
        estimator.process.stdin.close()
        estimator.process.wait(60)


def per_draw(names: list[str], rounds: int, work: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, Seconds]]:
    """Problem, chains and seconds for a draw; every round asks all, beginning with another."""
    with ExitStack() as stack:
        estimators = {name: stack.enter_context(running(name)) for name in names}
        for which, chains in work:
            found: Seconds = {name: [] for name in names}
            for number in range(-1, rounds):
                shift = number % len(names)
                for name in names[shift:] + names[:shift]:
                    seconds = estimators[name].seconds(which, chains)
                    if number >= 0:
                        found[name].append(seconds)
            yield which, chains, found


def draws_needed(sampler: str, given: Problem, chains: int, error: float = ERROR) -> tuple[float, float]:
    """The fewest draws of so many chains, burn-in included, whose root mean square error is as asked, and their step.

    At a step with bias b and asymptotic variance s^2 of a draw, n draws have the squared error
    ``b^2 + s^2 / (n chains)``. The burn-in is the time in which the slowest direction forgets w* up to the error. For
    ``sgld`` the loss is read on all the data, not on minibatches: in the rivals' favour.
    """
    precision = _precision(given)
    exact = quadratic_expectation((precision - given.gamma) / given.nbeta, given.nbeta, given.gamma)
    needed = {}
    for step in STEPS[sampler]:
        lr = step / float(precision.max())
        bias, variance = _bias_and_variance(sampler, given, lr, exact)
        burnin = math.log(1 / error) / (lr * float(precision.min()))
        left = (error * exact) ** 2 - bias**2
        needed[step] = burnin + variance / chains / left if left > 0 else math.inf
    best = min(needed, key=needed.get)
    return needed[best], best


def _precision(given: Problem) -> Tensor:
    """The curvatures of U."""
    x = given.inputs.double()
    return given.nbeta * torch.linalg.eigvalsh(x.T @ x / len(x)) + given.gamma


def _bias_and_variance(sampler: str, given: Problem, lr: float, exact: float) -> tuple[float, float]:
    plain = {"anchor": False, "eval_data": (given.inputs, given.targets)} if sampler == "sgld" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Unreliable)
        result = estimate_llc(
            given.model, lambda f, batch: given.per_sample(f(batch[0]), batch[1]), (given.inputs, given.targets),
            sampler=sampler, lr=lr, gamma=given.gamma, nbeta=given.nbeta, batch_size=given.batch_size, burnin=500,
            strategy="vmap", progress=False, **plain, **CURVE,
        )  # fmt: skip
    trace = result.trace.double()
    return result.llc - exact, float(trace.var()) * trace.numel() / effective_draws(trace)


def head_per_draw(names: list[str]) -> str:
    """The head of a table in Markdown: milliseconds for a draw, and each rival's time over mechlib's."""
    cells = ["problem", "chains", *(f"{name}, ms" for name in names), *(f"{name} / mechlib" for name in names[1:])]
    return "| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|"


def row_per_draw(which: str, chains: int, seconds: Seconds) -> str:
    """Its row for one problem; ratios are taken within a round."""
    cells = [f"{1e3 * machine.median_and_quartiles(times)[0]:.2f}" for times in seconds.values()]
    ours, *others = seconds.values()
    for theirs in others:
        ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
        cells.append("{:.1f} ({:.1f} to {:.1f})".format(*machine.median_and_quartiles(ratios)))
    return f"| {which} | {chains} | " + " | ".join(cells) + " |"


def table_to_error(measured: Seconds) -> str:
    """In Markdown: draws and time to the error that is asked for on the quadratic."""
    given, chains = problem("quadratic, 20"), 16
    needed = {sampler: draws_needed(sampler, given, chains) for sampler in STEPS}
    lines = ["| estimator | best step | draws of 16 chains | seconds | over mechlib's |", "|---|---|---|---|---|"]
    times = {
        name: needed["lm" if name == "mechlib" else "sgld"][0] * machine.median_and_quartiles(seconds)[0]
        for name, seconds in measured.items()
    }
    for name, seconds in times.items():
        draws, step = needed["lm" if name == "mechlib" else "sgld"]
        lines.append(f"| {name} | {step:g} | {draws:.0f} | {seconds:.3f} | {seconds / times['mechlib']:.0f} |")
    return "\n".join(lines)


def main(rounds: int = ROUNDS, only: str = "") -> None:
    """Print both tables, or the rows of the first whose problem begins with ``only``."""
    names = ["mechlib", *(name for name in NAMES if python(name).is_file())]
    missing = [name for name in NAMES if name not in names]
    if missing:
        print(f"\nWithout {' and '.join(missing)}: python -m tests.benchmarks.rivals makes their environments.")
    print(f"\nOne draw of all chains; {rounds} interleaved rounds, medians (quartiles).\n\n{head_per_draw(names)}")
    work = [(which, chains) for which, chains in WORK if which.startswith(only)]
    for which, chains, seconds in per_draw(names, rounds, work):
        print(row_per_draw(which, chains, seconds), flush=True)
    if not only:
        print(f"\nTime to an error of {ERROR:.0%} on the quadratic.\n\n{table_to_error(seconds)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", metavar="PROBLEM", help="the rows of one problem: 'MLP', 'transformer'")
    given = parser.parse_args()
    print(machine.description())
    main(given.rounds, given.only)
