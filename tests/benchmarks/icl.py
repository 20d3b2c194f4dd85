"""Training in context beside the code of Garg et al. (2022): ``python -m tests.benchmarks.icl``.

The time for a training step of the same transformer on the same batch, prompts drawn for each step, with their tokens
(x and y apart) and with paired ones; and for three nearest neighbours, whose predictions must agree. Each code runs in
a process of its own and is asked over pipes, one at a time, in interleaved rounds.

Their environment is made by ``python -m tests.benchmarks.rivals``.
"""

from __future__ import annotations

import argparse
import sys

import torch

from tests.benchmarks import machine
from tests.benchmarks.rivals import python
from tests.benchmarks.rivals.process import Answering, answering

SIZES = {
    "tiny": {"d_model": 64, "n_layers": 3, "n_heads": 2},
    "small": {"d_model": 128, "n_layers": 6, "n_heads": 4},
}
"""Their names for models of these sizes."""
PROMPTS = {"batch": 64, "n_points": 41, "d": 20}
"""Their linear regression, at the end of its curriculum."""
NEIGHBOURS = {"batch": 256, "n_points": 41, "d": 20}
ROUNDS = 9
MODULE = "tests.benchmarks.rivals.regression"

Seconds = dict[str, list[float]]


def step_times(ours: Answering, theirs: Answering, size: str, rounds: int) -> Seconds:
    """Seconds for a training step in each round."""
    sizes = SIZES[size] | PROMPTS
    return machine.interleaved_seconds_of(
        {
            "mechlib, paired": lambda: ours.ask(what="step", tokens="paired", **sizes)["seconds"],
            "mechlib, same tokens": lambda: ours.ask(what="step", tokens="interleaved", **sizes)["seconds"],
            "Garg et al.": lambda: theirs.ask(what="step", tokens="interleaved", **sizes)["seconds"],
        },
        rounds,
    )


def neighbour_times(ours: Answering, theirs: Answering, rounds: int) -> Seconds:
    """Seconds for the predictions of three nearest neighbours in each round; fails unless the predictions agree."""
    found = {"mechlib": ours, "Garg et al.": theirs}
    predictions = [torch.tensor(server.ask(what="knn", **NEIGHBOURS)["predictions"]) for server in found.values()]
    torch.testing.assert_close(*predictions, atol=1e-5, rtol=1e-5)
    return machine.interleaved_seconds_of(
        {name: lambda server=server: server.ask(what="knn", **NEIGHBOURS)["seconds"] for name, server in found.items()},
        rounds,
    )


def main(rounds: int = ROUNDS) -> None:
    """Print the tables."""
    if not python("garg").is_file():
        print("\nWithout the code of Garg et al.: python -m tests.benchmarks.rivals makes its environment.")
        return
    with answering(sys.executable, MODULE, "mechlib") as ours, answering(python("garg"), MODULE, "garg") as theirs:
        for size in SIZES:
            table = machine.table_of_times(step_times(ours, theirs, size, rounds), "Garg et al.")
            print(f"\nOne training step of the model {size!r}; {rounds} interleaved rounds.\n\n{table}")
        table = machine.table_of_times(neighbour_times(ours, theirs, rounds), "Garg et al.")
        print(f"\nThree nearest neighbours; {rounds} interleaved rounds.\n\n{table}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    print(machine.description())
    main(parser.parse_args().rounds)
