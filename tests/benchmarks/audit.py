"""Misconceptions and alternatives of every question on many seeds: what the tests hold on five.

``python -m tests.benchmarks.audit [SEEDS]`` prints a row for each question, and ends with an error if a wrong answer
was accepted, a right one rejected or a mistake called by another's name; fifty take some ten processor minutes.
"""

from __future__ import annotations

import argparse
import sys

from tests.questions.audit import audit


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.audit", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=50)
    found = audit(parser.parse_args().seeds)
    print(found)
    good = (row.rejected == row.wrong and row.accepted == row.right and not row.misnamed for row in found.rows)
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
