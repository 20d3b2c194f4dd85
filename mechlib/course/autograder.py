"""What Gradescope's container runs for every submission: ``python -m mechlib.course.autograder ROOT``.

Gradescope's folders are below ROOT: ``submission`` with what was handed in, ``source`` with the bundle, and
``results``, where ``results.json`` is expected whatever happens.
"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

from mechlib.authoring import checkout
from mechlib.course.feedback import gradescope_results, not_graded
from mechlib.course.withheld import dated
from mechlib.grading import Assignment, collect, grade_one, sandbox
from mechlib.grading.assignment import read_secret
from mechlib.grading.notebook import read

__all__ = ["run"]


def run(root: Path) -> Path:
    """Grade the submission and write ``results/results.json``, which is returned.

    What was handed in wrongly gets no points and a sentence that says why. Where the grader fails, as without a
    sandbox, there is no score: the student is told so, and the instructor alone why, in the results and in print.
    """
    try:
        text = _results(root)
    except Exception as error:  # whatever fails here, the student gets a word and no 0
        why = f"{error}" if isinstance(error, sandbox.NoSandbox) else f"{type(error).__name__}: {error}"
        print(why, file=sys.stderr)
        text = not_graded(why)
    path = root / "results" / "results.json"
    checkout.write_changed({path: text})
    return path


def _results(root: Path) -> str:
    """The text of the results.

    Raises:
        Exception: if the grader, and not what was handed in, is at fault.
    """
    settings: dict[str, Any] = json.loads((root / "source" / "settings.json").read_text(encoding="utf-8"))
    secret = root / "source" / "secret"
    engine: sandbox.Engine = "none" if settings["trusted"] else "bubblewrap"
    if engine != "none":
        sandbox.refuse_if_visible((root / "submission", secret))
        sandbox.require(engine)
    drawn = read_secret(secret)
    try:
        source, content, chapter = _handed_in(root / "submission", settings["chapter"])
    except ValueError as error:
        return json.dumps({"score": 0.0, "output": f"Not graded: {error}", "output_format": "text"}) + "\n"
    assignment, timeout = Assignment.of(chapter, drawn), settings["timeout"]
    student = _student(root / "submission_metadata.json")
    grade = grade_one(content, assignment, student=student, source=source, timeout=timeout, engine=engine)
    if grade.ungraded == "grader":
        print(*grade.problems, sep="\n", file=sys.stderr)
    later = {name: datetime.datetime.fromisoformat(text) for name, text in settings.get("withheld", {}).items()}
    return gradescope_results(dated(grade, later, datetime.datetime.now(datetime.UTC)))


def _handed_in(folder: Path, chapter: str | None) -> tuple[str, bytes, str]:
    """Name, content and chapter of the one notebook that was handed in.

    Raises:
        ValueError: if there is not just one, or if it shows no chapter where none is given.
    """
    submissions = collect(folder)
    if len(submissions) > 1:
        raise ValueError(f"{len(submissions)} files were handed in; hand in one notebook")
    submission, content = submissions[0], submissions[0].notebook_bytes
    chapter = chapter or read(content).chapter
    if chapter is None:
        raise ValueError(f"{submission.source} holds no question of a chapter")
    return submission.source, content, chapter


def _student(metadata: Path) -> str:
    """What Gradescope calls whoever handed in, a group by all its members; empty where it does not tell."""
    try:
        users = json.loads(metadata.read_text(encoding="utf-8"))["users"]
        return ", ".join(sorted(str(user.get("id") or user["email"]) for user in users))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


if __name__ == "__main__":
    run(Path(sys.argv[1]))
