"""Mutants of every question on many seeds, and the list of holes: what the tests hold on two.

``python -m tests.benchmarks.mutants [SEEDS]`` prints, for each question, how many mutants there are and which holes
show on what share of the seeds; fifty take two to three processor minutes. ``--write`` writes the list anew.
"""

from __future__ import annotations

import argparse
from collections import Counter

from tqdm.auto import tqdm

from mechlib.checks.judging import Trial
from mechlib.checks.registry import find, questions
from tests.questions.mutants import LISTED, SEEDS, holes, listed, mutants


def write() -> None:
    """The list of holes anew, in the order of the book."""
    lines = [f"{each.id} {name}" for each in questions() for name in sorted(holes(each.id, SEEDS))]
    LISTED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(question_id: str, n_seeds: int) -> str:
    """One question: a line, and one for every hole."""
    found = Counter(name for seed in range(n_seeds) for name in holes(question_id, [seed]))
    known = listed().get(question_id, set())
    lines = [
        f"  {n / n_seeds:4.0%}  {name}{'' if name in known else '  (not on the list)'}"
        for name, n in found.most_common()
    ]
    count = len(list(mutants(Trial(find(question_id), 0))))
    return "\n".join([f"{question_id}: {count} mutants, {len(found)} holes", *lines])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.mutants", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=50)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.write:
        write()
        return
    for question in tqdm(questions(), unit="question"):
        tqdm.write(report(question.id, given.seeds))


if __name__ == "__main__":
    main()
