"""``estimate_llc`` beside devinterp and canonical-interp: ``python -m tests.benchmarks.llc``.

Time for one draw of all chains, at equal chains and batch: each estimator in a process of its own, asked over pipes,
one at a time, in interleaved rounds. And time to a given error: the draws that each sampler needs at its best step
(:mod:`tests.benchmarks.to_error`), times the time for a draw.

The rivals' environments are made by ``python -m tests.benchmarks.rivals``; what is not there is left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.benchmarks import machine
from tests.benchmarks.rivals import LANGUAGE, NAMES, python
from tests.benchmarks.rivals.process import Answering, answering
from tests.benchmarks.to_error import CHAINS, ERROR, expectation, needed

WORK = (
    ("deep linear, 1.5 k", 16),
    ("deep linear, 1.5 k", 64),
    ("MLP, 7.5 k", 16),
    ("MLP, 55 k", 16),
    ("transformer, 43 k", 8),
    ("quadratic, 20", CHAINS),
    ("linear, spread 1 to .03", CHAINS),
    ("linear, layers x4 and x1/4", CHAINS),
    ("transformer, 0.9 k, trained", CHAINS),
)
"""Problem and number of chains."""
TO_ERROR = ("quadratic, 20", "linear, spread 1 to .03", "linear, layers x4 and x1/4", "transformer, 0.9 k, trained")
"""Problems at a minimum, for which the time to an error is asked."""
OURS = ("lm", "jacobi")
"""Of mechlib the better of these: ``lm``, and the same with a step for each weight."""
ROUNDS = 9
Seconds = dict[str, list[float]]
"""By estimator, seconds for a draw in each round."""


@contextmanager
def running(name: str) -> Iterator[Answering]:
    """An estimator in a process of its own, which answers how long a draw takes."""
    interpreter = sys.executable if name == "mechlib" else python(name)
    with answering(interpreter, "tests.benchmarks.rivals.server", name) as server:
        yield server


def per_draw(names: list[str], rounds: int, work: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, Seconds]]:
    """Problem, chains and seconds for a draw; every round asks all, beginning with another."""
    with ExitStack() as stack:
        estimators = {name: stack.enter_context(running(name)) for name in names}
        for which, chains in work:
            takers = [name for name in names if name not in LANGUAGE or which.startswith("transformer")]
            found: Seconds = {name: [] for name in takers}
            for number in range(-1, rounds):
                shift = number % len(takers)
                for name in takers[shift:] + takers[:shift]:
                    seconds = estimators[name].ask(problem=which, chains=chains)["seconds"]
                    if number >= 0:
                        found[name].append(seconds)
            yield which, chains, found


def head_per_draw(names: list[str]) -> str:
    """The head of a table in Markdown: milliseconds for a draw, and each rival's time over mechlib's."""
    cells = ["problem", "chains", *(f"{name}, ms" for name in names), *(f"{name} / mechlib" for name in names[1:])]
    return "| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|"


def row_per_draw(which: str, chains: int, names: list[str], seconds: Seconds) -> str:
    """Its row for one problem, empty for who does not take it; ratios are taken within a round."""

    def in_ms(name: str) -> str:
        return f"{1e3 * machine.median_and_quartiles(seconds[name])[0]:.2f}" if name in seconds else ""

    def over_ours(name: str) -> str:
        ratios = [a / b for a, b in zip(seconds.get(name, []), seconds["mechlib"], strict=False)]
        return "{:.1f} ({:.1f} to {:.1f})".format(*machine.median_and_quartiles(ratios)) if ratios else ""

    cells = [in_ms(name) for name in names] + [over_ours(name) for name in names[1:]]
    return f"| {which} | {chains} | " + " | ".join(cells) + " |"


def table_to_error(which: str, measured: Seconds) -> str:
    """In Markdown: draws and time to the error that is asked for on a problem."""
    right, uncertain = expectation(which)
    lines = [
        f"{which}: expectation {right:.4g} ± {uncertain:.2g}.\n",
        "| estimator | sampler | step | bias left | draws of 16 chains | seconds | over mechlib's |",
        "|---|---|---|---|---|---|---|",
    ]
    best = {}
    for name in measured:
        choices = OURS if name == "mechlib" else ("sgld",)
        sampler = min(choices, key=lambda choice: needed(which, choice).draws)
        best[name] = sampler, needed(which, sampler)
    times = {name: found.draws * machine.median_and_quartiles(measured[name])[0] for name, (_, found) in best.items()}
    for name, (sampler, found) in best.items():
        lines.append(
            f"| {name} | {sampler} | {found.step:g} | {found.bias:+.1%} | {found.draws:.0f} | {times[name]:.3f} "
            f"| {times[name] / times['mechlib']:.1f} |"
        )
    return "\n".join(lines)


def main(rounds: int = ROUNDS, only: str = "") -> None:
    """Print both kinds of tables, for the problems that begin with ``only``."""
    names = ["mechlib", *(name for name in NAMES if python(name).is_file())]
    missing = [name for name in NAMES if name not in names]
    if missing:
        print(f"\nWithout {' and '.join(missing)}: python -m tests.benchmarks.rivals makes their environments.")
    print(f"\nOne draw of all chains; {rounds} interleaved rounds, medians (quartiles).\n\n{head_per_draw(names)}")
    work, measured = [(which, chains) for which, chains in WORK if which.startswith(only)], {}
    for which, chains, seconds in per_draw(names, rounds, work):
        print(row_per_draw(which, chains, names, seconds), flush=True)
        measured[which] = seconds
    for which in filter(measured.__contains__, TO_ERROR):
        print(f"\nTime to an error of {ERROR:.0%}. {table_to_error(which, measured[which])}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", metavar="PROBLEM", help="of problems that begin so: 'MLP', 'linear'")
    given = parser.parse_args()
    print(machine.description())
    main(given.rounds, given.only)
