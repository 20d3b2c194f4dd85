"""What Gradescope's container runs for every submission: ``python -m mechlib.course.autograder ROOT``.

Gradescope's folders are below ROOT: ``submission`` with what was handed in, ``source`` with the bundle, and
``results``, where ``results.json`` is expected whatever happens.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mechlib.authoring import checkout
from mechlib.course.feedback import gradescope_results
from mechlib.grading import Assignment, collect, grade_one, sandbox
from mechlib.grading.assignment import read_secret
from mechlib.grading.notebook import read
from mechlib.grading.results import SubmissionGrade

__all__ = ["run"]


def run(root: Path) -> Path:
    """Grade the submission and write ``results/results.json``, which is returned.

    A submission that cannot be graded gets no points and a sentence that says why.
    """
    try:
        text = gradescope_results(_graded(root))
    except (ValueError, OSError, LookupError) as error:
        text = json.dumps({"score": 0.0, "output": f"Not graded: {error}", "output_format": "text"}) + "\n"
    path = root / "results" / "results.json"
    checkout.write_changed({path: text})
    return path


def _graded(root: Path) -> SubmissionGrade:
    settings: dict[str, Any] = json.loads((root / "source" / "settings.json").read_text(encoding="utf-8"))
    secret = root / "source" / "secret"
    engine: sandbox.Engine = "none" if settings["trusted"] else "bubblewrap"
    if engine != "none":
        sandbox.refuse_if_visible((root / "submission", secret))
        sandbox.require(engine)
    submissions = collect(root / "submission")
    if len(submissions) > 1:
        raise ValueError(f"{len(submissions)} files were handed in; hand in one notebook")
    submission, content = submissions[0], submissions[0].notebook_bytes
    chapter = settings["chapter"] or read(content).chapter
    if chapter is None:
        raise ValueError(f"{submission.source} holds no question of a chapter")
    assignment = Assignment.of(chapter, read_secret(secret))
    student, timeout = _student(root / "submission_metadata.json"), settings["timeout"]
    return grade_one(content, assignment, student=student, source=submission.source, timeout=timeout, engine=engine)


def _student(metadata: Path) -> str:
    """What Gradescope calls whoever handed in, a group by all its members; empty where it does not tell."""
    try:
        users = json.loads(metadata.read_text(encoding="utf-8"))["users"]
        return ", ".join(sorted(str(user.get("id") or user["email"]) for user in users))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


if __name__ == "__main__":
    run(Path(sys.argv[1]))
