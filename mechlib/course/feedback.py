"""What a student is told: a page to read, and the same as Gradescope's ``results.json``."""

from __future__ import annotations

import json

from mechlib.course.pages import Markup, element, page, printable, table
from mechlib.grading.results import QuestionGrade, SubmissionGrade

__all__ = ["STATES", "feedback", "gradescope_results", "not_graded"]

STATES = {
    "right": "right",
    "partly": "part of the points",
    "misconception": "a known mistake",
    "wrong": "not right",
    "unanswered": "not answered",
    "error": "stopped with an error",
    "timeout": "took too long",
    "unjudged": "not judged yet",
}
"""A question's status in words."""

ASK = "Ask your instructor, who sees this too."
OURS = "The grader failed, through no fault of yours."


def points(number: float) -> str:
    """A number of points without needless digits."""
    return f"{number:g}"


def feedback(grade: SubmissionGrade) -> str:
    """The page for one student. Everything that the student wrote is shown as text, whatever it holds."""
    total = "not graded" if grade.ungraded else f"{points(grade.score)} of {points(grade.points)} points"
    return page(
        f"Feedback on {grade.chapter or 'a submission'}: {total}",
        element("p", f"{grade.student}, {grade.source}", class_="muted"),
        *_which_counts(grade),
        *(_ungraded(grade) if grade.ungraded else _answers(grade)),
        *_written(grade),
    )


def _answers(grade: SubmissionGrade) -> tuple[Markup, ...]:
    rows = [
        (question.title, STATES[question.status], f"{points(question.score)} of {points(question.points)}")
        for question in grade.questions
    ]
    return (
        table("Your answers", ("question", "answer", "points"), rows, numbers=(2,)),
        *_listed("What happened beside the answers", grade.problems),
        element("h2", "What is to be said about each answer"),
        *(part for question in grade.questions for part in _explained(question)),
    )


def _ungraded(grade: SubmissionGrade) -> tuple[Markup, ...]:
    """What is said where nothing was graded. Why the grader failed is no matter of the student's, and nobody need ask
    why what a later submission replaces was not."""
    if grade.ungraded == "superseded":
        return ()
    reason = (OURS,) if grade.ungraded == "grader" else grade.problems
    return (
        element("p", element("strong", "This was not graded, so it has no points yet. "), ASK),
        *_listed("Why", reason),
    )


def _which_counts(grade: SubmissionGrade) -> tuple[Markup, ...]:
    if grade.superseded:
        return (element("p", element("strong", "A later submission counts instead of this one.")),)
    if grade.tied:
        said = "Another file of yours came at the same time: it is not decided yet which of them counts. "
        return (element("p", element("strong", said), ASK),)
    return ()


def _explained(question: QuestionGrade) -> tuple[Markup, ...]:
    note = " A person looks at this answer too." if question.needs_human else ""
    return (
        element("h3", f"{question.title}: {STATES[question.status]}"),
        element("pre", question.message),
        *([element("p", note.strip())] if note else []),
    )


def _listed(heading: str, lines: tuple[str, ...]) -> tuple[Markup, ...]:
    if not lines:
        return ()
    return element("h2", heading), element("ul", *(element("li", line) for line in lines))


def _written(grade: SubmissionGrade) -> tuple[Markup, ...]:
    if not grade.written:
        return ()
    parts = (part for w in grade.written for part in (element("h3", w.cell), element("pre", w.text)))
    return element("h2", "Your written answers, which a person reads"), *parts


def gradescope_results(grade: SubmissionGrade) -> str:
    """The grade in the format of Gradescope's autograder, every question one test.

    Where the grader failed, or a later submission counts, there is no score, see ``not_graded``; what was handed in
    wrongly earns 0, and says why.
    """
    if grade.ungraded == "grader":
        return not_graded(" ".join(grade.problems))
    if grade.ungraded == "superseded":
        return not_graded("", "A later submission counts instead of this one, which was not graded.")
    tests = [
        {
            "name": question.title,
            "number": question.id,
            "score": question.score,
            "max_score": question.points,
            "status": "passed" if question.status == "right" else "failed",
            "output": printable(question.message),
            "output_format": "text",
            "visibility": "visible",
        }
        for question in grade.questions
    ]
    written = [f"Written answer {w.cell}:\n{w.text}" for w in grade.written]
    result = {
        "score": grade.score,
        "execution_time": round(grade.seconds, 3),
        "output": printable("\n".join([*grade.problems, *written])),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"source": printable(grade.source), "needs_human": grade.needs_human},
    }
    return json.dumps(result, indent=1) + "\n"


def not_graded(why: str, said: str = f"This was not graded, so it has no score. {OURS} {ASK}") -> str:
    """Gradescope's results without a score.

    Gradescope asks for a score, of the whole or of every test, where there is a grade; here there is none.

    Args:
        why: what instructors alone are told, as a hidden test; there is none if it is empty.
        said: what the student is told.
    """
    hidden = {
        "name": "For the instructor: why nothing was graded",
        "output": printable(why),
        "output_format": "text",
        "visibility": "hidden",
    }
    result = {
        "output": said,
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [hidden] if why else [],
        "extra_data": {"needs_human": bool(why)},
    }
    return json.dumps(result, indent=1) + "\n"
