"""What a student is told: a page to read, and the same as Gradescope's ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mechlib.course.pages import Markup, element, page, printable, table
from mechlib.course.withheld import told
from mechlib.grading.results import QuestionGrade, SubmissionGrade, WrittenAnswer

__all__ = ["STATES", "decided", "feedback", "gradescope_results", "not_graded"]

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
    later = later_results(grade)
    grade = told(grade)
    total = "not graded" if grade.ungraded else f"{points(grade.score)} of {points(grade.points)} points"
    total += " so far" * bool((grade.waiting or later) and not grade.ungraded)
    return page(
        f"Feedback on {grade.chapter or 'a submission'}: {total}",
        element("p", f"{grade.student}, {grade.source}", class_="muted"),
        *_which_counts(grade),
        *_time(grade),
        *(_ungraded(grade) if grade.ungraded else _answers(grade, later)),
        *_written(grade),
    )


def later_results(grade: SubmissionGrade) -> list[tuple[QuestionGrade, str]]:
    """The questions whose results are told later, with what is said instead."""
    return [(question, f"result on {question.until}") for question in grade.questions if question.until]


def _answers(grade: SubmissionGrade, later: Sequence[tuple[QuestionGrade, str]]) -> tuple[Markup, ...]:
    rows = [
        (question.title, _state(question), f"{points(question.score)} of {points(question.points)}")
        for question in grade.questions
    ]
    rows += [(question.title, said, f"– of {points(question.points)}") for question, said in later]
    rows += [
        (f"written: {a.cell}", "not marked yet" if a.score is None else "marked", f"{_given(a)} of {points(a.points)}")
        for a in grade.written
        if a.points
    ]
    if grade.deducted:
        rows.append(("lateness", "deducted", f"-{points(grade.deducted)}"))
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


def _given(answer: WrittenAnswer) -> str:
    return "–" if answer.score is None else points(answer.score)


def _state(question: QuestionGrade) -> str:
    return STATES[question.status] if question.machine is None else "decided by your instructor"


def _time(grade: SubmissionGrade) -> tuple[Markup, ...]:
    return (element("p", grade.lateness),) if grade.lateness else ()


def _explained(question: QuestionGrade) -> tuple[Markup, ...]:
    note = " A person looks at this answer too." if question.needs_human else ""
    return (
        element("h3", f"{question.title}: {STATES[question.status]}"),
        element("pre", question.message),
        *([element("p", note.strip())] if note else []),
        *([element("p", element("strong", said))] if (said := decided(question)) else []),
    )


def decided(question: QuestionGrade) -> str:
    """What a person decided on a question, in a sentence; empty where nobody did."""
    if question.machine is None:
        return question.reason
    given = f"Your instructor gave {points(question.score)} of {points(question.points)} points"
    instead = f" instead of {points(question.machine)}" if question.machine != question.score else ""
    return f"{given}{instead}: {question.reason}" if question.reason else f"{given}{instead}."


def _listed(heading: str, lines: tuple[str, ...]) -> tuple[Markup, ...]:
    if not lines:
        return ()
    return element("h2", heading), element("ul", *(element("li", line) for line in lines))


def _written(grade: SubmissionGrade) -> tuple[Markup, ...]:
    if not grade.written:
        return ()
    parts = (part for w in grade.written for part in _answer(w))
    return element("h2", "Your written answers, which a person reads"), *parts


def _answer(answer: WrittenAnswer) -> tuple[Markup, ...]:
    given = f": {points(answer.score)} of {points(answer.points)} points" if answer.score is not None else ""
    said = [element("p", "What your instructor says:"), element("pre", answer.comment)] if answer.comment else []
    return element("h3", f"{answer.cell}{given * bool(answer.points)}"), element("pre", answer.text), *said


def gradescope_results(grade: SubmissionGrade) -> str:
    """The grade in the format of Gradescope's autograder, every question one test.

    Where the grader failed, or a later submission counts, there is no score, see ``not_graded``; what was handed in
    wrongly earns 0, and says why.
    """
    if grade.ungraded == "grader":
        return not_graded(" ".join(grade.problems))
    if grade.ungraded == "superseded":
        return not_graded("", "A later submission counts instead of this one, which was not graded.")
    later = later_results(grade)
    grade = told(grade)
    tests: list[dict[str, object]] = [
        {
            "name": question.title,
            "number": question.id,
            "score": question.score,
            "max_score": question.points,
            "status": "passed" if question.score == question.points else "failed",
            "output": printable("\n".join(filter(None, (question.message, decided(question))))),
            "output_format": "text",
            "visibility": "visible",
        }
        for question in grade.questions
    ]
    tests += [
        {"name": q.title, "number": q.id, "output": f"{said[:1].upper()}{said[1:]}.", "visibility": "visible"}
        for q, said in later
    ]
    tests += [_written_test(answer) for answer in grade.written if answer.points]
    written = [f"Written answer {w.cell}:\n{w.text}" for w in grade.written]
    result = {
        "score": grade.score,
        "execution_time": round(grade.seconds, 3),
        "output": printable("\n".join(filter(None, (*grade.problems, grade.lateness, *grade.waiting, *written)))),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"source": printable(grade.source), "needs_human": grade.needs_human},
    }
    return json.dumps(result, indent=1) + "\n"


def _written_test(answer: WrittenAnswer) -> dict[str, object]:
    """A written answer as one of Gradescope's tests; without a score where nobody has marked it."""
    marked = {} if answer.score is None else {"score": answer.score, "max_score": answer.points}
    said = answer.comment or ("" if answer.score is not None else "Not marked yet.")
    about = {"name": f"Written answer: {answer.cell}", "output": printable(said), "output_format": "text"}
    return {**about, **marked, "visibility": "visible"}


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
