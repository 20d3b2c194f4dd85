"""Grading a class, and otter-grader on an equal notebook: ``python -m tests.benchmarks.grading``.

Four measurements. The first three from the call to the last grade on disk, the start of the servers included; with
processor time beside it, which other work on the machine does not change much: of the sandboxes and of the grader.

- toys: notebooks with two questions of a line each (``tests/grading/toys.py``), half of them wrong;
- a class of chapter 02 (``tests/grading/class_of.py``): honest, partly right, with every misconception, damaged; it
  fails unless every notebook earns what it must;
- judging what a class hands in for the open task of chapter 02 on the real model, outside of the sandbox and beside the
  notebooks: most hand in what the search of the text finds, some another list, a fifth each one of their own;
- ``otter run`` on the same two questions, one process for each notebook as otter-grader documents it, in the
  environment ``build/rivals/otter``; without its container, which would cost it more. One notebook at a time.

Otter's tests compare on one drawn input, ours on three cases and two named mistakes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from mechlib.checks.registry import find
from mechlib.course import reports
from mechlib.grading import SubmissionGrade, grade
from mechlib.grading.assignment import Asked
from mechlib.grading.processes import Look
from mechlib.grading.worker.frames import Blob
from mechlib.grading.workshop import Worker
from tests.benchmarks import machine
from tests.benchmarks.rivals import python
from tests.grading import class_of, toys
from tests.questions.ways import ways

TOYS, CLASS, OTTER, JOBS = 200, 300, 10, 2
SECRET = "of the benchmark, and of nothing else"

OTTER_TEST = """\
OK_FORMAT = True
case = {{"code": ">>> import torch\\n>>> x = torch.randn(3, 5)\\n>>> {condition}\\nTrue", "hidden": False}}
suite = {{"type": "doctest", "scored": True, "cases": [case]}}
test = {{"name": "{name}", "points": 1, "suites": [suite]}}
"""
CONDITIONS = {
    "total": "torch.allclose(total(x, 2.0), (x * 2.0).sum(-1))",
    "ends": "torch.equal(ends(x, 2.0)[0], x[:, 0] * 2.0) and bool(ends(x, 2.0)[1] == (x[:, -1] > 0).sum())",
}


def graded(submissions: Path, jobs: int) -> tuple[list[SubmissionGrade], str]:
    """The grades of a folder, and the cells of the table with the seconds that they took."""
    secret, out = submissions.parent / "secret", submissions.parent / "grades"
    secret.write_text(SECRET)
    with rooms() as seconds:
        start, worked = time.perf_counter(), time.process_time()
        grades = list(grade(submissions, out, chapter="ch02", secret=secret, jobs=jobs, write=reports.write))
        took, worked = time.perf_counter() - start, time.process_time() - worked
    each = [part / len(grades) for part in (took, sum(seconds), worked)]
    return grades, f"{took:.1f} | {each[0]:.3f} | {each[1]:.3f} + {each[2]:.3f} |"


@contextlib.contextmanager
def rooms() -> Iterator[list[float]]:
    """What the processes of every notebook worked, in seconds, as they end."""
    worked: list[float] = []
    begin, end = Worker.__init__, Worker.end

    def begun(worker: Worker, *arguments: Any) -> None:
        begin(worker, *arguments)
        before[worker] = Look.now(worker.root).worked

    def ended(worker: Worker) -> None:
        worked.append(Look.now(worker.root).worked - before.pop(worker))
        end(worker)

    before: dict[Worker, float] = {}
    with mock.patch.object(Worker, "__init__", begun), mock.patch.object(Worker, "end", ended):
        yield worked


def open_class(count: int) -> str:
    """One line on judging hand-ins for the open task of chapter 02."""
    task = find("ch02.leave_out")
    draw = random.Random(0)
    lists = [*ways(task).values()]
    handed = [lists[0 if draw.random() < 0.6 else 1] for _ in range(count - count // 5)]
    handed += [draw.sample(range(30), 8) for _ in range(count // 5)]
    asked = Asked(task, SECRET.encode())
    start, worked = time.perf_counter(), time.process_time()
    for student, layers in enumerate(handed):
        asked.of(f"{student}").judged({"outcomes": [{"changed": [], "plain": layers}]}, Blob())
    took, worked = time.perf_counter() - start, time.process_time() - worked
    seconds = f"{took:.1f} | {took / count:.3f} | {worked / count:.3f}"
    return f"| judging the open task of chapter 02 | {count} | 1 | {seconds} |"


def toy_class(count: int, jobs: int) -> str:
    """One line on ``count`` notebooks of two questions."""
    with tempfile.TemporaryDirectory() as folder:
        submissions = Path(folder, "submissions")
        submissions.mkdir()
        wrong = (*toys.HONEST[:3], toys.WRONG_ENDS, *toys.HONEST[4:])
        for number in range(count):
            (submissions / f"{number}.ipynb").write_bytes(toys.notebook(*(wrong if number % 2 else toys.HONEST)))
        with mock.patch("mechlib.checks.registry.asked", lambda chapter: toys.TOYS):
            grades, seconds = graded(submissions, jobs)
    assert sorted(each.score for each in grades) == [2] * (count // 2) + [5] * (count - count // 2)
    return f"| mechlib, two toy questions | {count} | {jobs} | {seconds}"


def chapter_class(count: int, jobs: int) -> str:
    """One line on the generated class of chapter 02."""
    with tempfile.TemporaryDirectory() as folder:
        members = class_of.class_of(count)
        class_of.write(members, Path(folder, "submissions"))
        grades, seconds = graded(Path(folder, "submissions"), jobs)
    problems = list(class_of.disagreements(members, {each.source: each for each in grades}))
    assert len(grades) == count and not problems, problems
    return f"| mechlib, the class of chapter 02 | {count} | {jobs} | {seconds}"


def otter(count: int) -> str:
    """One line on otter-grader, or that its environment is missing."""
    program = python("otter").with_name("otter")
    if not program.is_file():
        return "| otter run: not installed (`python -m tests.benchmarks.rivals`) | | | | | |"
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:

        def run(*arguments: str) -> None:
            subprocess.run([program, *arguments], cwd=folder, env=environment, check=True, capture_output=True)

        _write_for_otter(Path(folder))
        run("generate", "-t", "tests", "-o", "autograder.zip", "--no-environment")
        start = time.perf_counter()
        for _ in range(count):
            run("run", "toy.ipynb", "-a", "autograder.zip", "-o", ".")
        seconds = time.perf_counter() - start
        scores = [test["score"] for test in json.loads(Path(folder, "results.json").read_text())["tests"][1:]]
    assert scores == [1, 1], scores
    return f"| otter run, two toy questions | {count} | 1 | {seconds:.1f} | {seconds / count:.3f} | |"


def _write_for_otter(folder: Path) -> None:
    (folder / "tests").mkdir()
    for name, condition in CONDITIONS.items():
        (folder / "tests" / f"{name}.py").write_text(OTTER_TEST.format(name=name, condition=condition))
    begin = "import torch\nimport otter\ngrader = otter.Notebook()"
    checks = [f'grader.check("{name}")' for name in CONDITIONS]
    notebook = json.loads(toys.notebook(begin, toys.RIGHT_TOTAL, checks[0], toys.RIGHT_ENDS, checks[1]))
    notebook["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"cell-{number}"
    (folder / "toy.ipynb").write_text(json.dumps(notebook))


def main(n_toys: int = TOYS, n_class: int = CLASS, n_otter: int = OTTER, jobs: int = JOBS) -> None:
    """Print the table."""
    print("\n| what is graded | notebooks | at a time | seconds | seconds per notebook | of the processor |")
    print("|---|---|---|---|---|---|")
    print(toy_class(n_toys, 1), toy_class(n_toys, jobs), chapter_class(n_class, jobs), sep="\n", flush=True)
    print(open_class(n_class), otter(n_otter), sep="\n", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toys", type=int, default=TOYS)
    parser.add_argument("--class", dest="size", type=int, default=CLASS)
    parser.add_argument("--otter", type=int, default=OTTER)
    parser.add_argument("--jobs", type=int, default=JOBS)
    given = parser.parse_args()
    print(machine.description())
    main(given.toys, given.size, given.otter, given.jobs)
