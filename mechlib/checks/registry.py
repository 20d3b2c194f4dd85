"""Finding questions: every module ``chNN`` of this folder holds the questions of one chapter in ``QUESTIONS``."""

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
    """The question of this id.

    Raises:
        LookupError: if there is none; the message shows the nearest ids.
    """
    known = {question.id: question for question in questions()}
    if isinstance(question_id, str) and question_id in known:
        return known[question_id]
    nearest = difflib.get_close_matches(str(question_id), known, n=3, cutoff=0.4) or sorted(known)
    raise LookupError(f"there is no question {question_id!r}; the nearest: {', '.join(nearest)}")
