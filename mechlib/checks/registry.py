"""Finding questions: every module ``chNN`` of this folder holds the questions of one chapter in ``QUESTIONS``.

A question that a chapter no longer asks goes to ``RETIRED`` of its module and is found for good: courses that were
released with it still grade it.
"""

from __future__ import annotations

import difflib
import pkgutil
import re
from functools import cache
from importlib import import_module
from pathlib import Path

from mechlib.checks.question import Question

__all__ = ["chapters", "find", "questions"]


@cache
def chapters() -> tuple[str, ...]:
    """The chapters that have questions, in order."""
    names = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return tuple(sorted(name for name in names if re.fullmatch(r"ch\d\d", name)))


def questions(chapter: str | None = None) -> tuple[Question, ...]:
    """The questions of one chapter, or of all, in the order of the notebook.

    Raises:
        LookupError: if the chapter has none.
    """
    if chapter is None:
        return tuple(question for each in chapters() for question in questions(each))
    if chapter not in chapters():
        raise LookupError(f"there are no questions on {chapter!r}; chapters with questions: {', '.join(chapters())}")
    return import_module(f"mechlib.checks.{chapter}").QUESTIONS


def find(question_id: object) -> Question:
    """The question of this id, whether its chapter still asks it or no longer does.

    Raises:
        LookupError: if there is none; the message shows the nearest ids.
    """
    known = {question.id: question for question in questions()}
    if isinstance(question_id, str) and (question := known.get(question_id) or _retired().get(question_id)):
        return question
    nearest = difflib.get_close_matches(str(question_id), known, n=3, cutoff=0.4) or sorted(known)
    raise LookupError(f"there is no question {question_id!r}; the nearest: {', '.join(nearest)}")


def _retired() -> dict[str, Question]:
    modules = (import_module(f"mechlib.checks.{chapter}") for chapter in chapters())
    return {question.id: question for module in modules for question in getattr(module, "RETIRED", ())}
