"""Finding questions: ``mechlib.questions.chNN`` holds the questions of one chapter in ``QUESTIONS``.

The engine stands below the bank and finds it by the chapter in an id, so that a question of one chapter imports no
other. A question that a chapter no longer asks goes to ``RETIRED`` of its module and is found for good: courses that
were released with it still grade it.
"""

from __future__ import annotations

import difflib
import pkgutil
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from mechlib.checks.question import Question, Task

__all__ = ["asked", "chapters", "find", "questions"]

BANK = Path(__file__).parents[1] / "questions"
"""The folder of the bank; empty where answers are graded."""


@cache
def chapters() -> tuple[str, ...]:
    """The chapters that have questions, in order. None of them is imported for it."""
    names = (module.name for module in pkgutil.iter_modules([str(BANK)]))
    return tuple(sorted(name for name in names if re.fullmatch(r"ch\d\d", name)))


def questions(chapter: str | None = None) -> tuple[Question, ...]:
    """Those of ``asked`` whose answer is a function that has a reference. Errors are the same."""
    return tuple(task for task in asked(chapter) if isinstance(task, Question))


def asked(chapter: str | None = None) -> tuple[Task, ...]:
    """All that one chapter asks, or all chapters, in the order of the notebook, open tasks among it.

    Raises:
        LookupError: if the chapter has none.
    """
    if chapter is None:
        return tuple(task for each in chapters() for task in asked(each))
    if chapter not in chapters():
        raise LookupError(f"there are no questions on {chapter!r}; chapters with questions: {', '.join(chapters())}")
    return _bank(chapter).QUESTIONS


def find(question_id: object) -> Task:
    """The question or open task of this id, whether its chapter still asks it or no longer does.

    Raises:
        LookupError: if there is none; the message shows the nearest ids.
    """
    chapter = question_id.partition(".")[0] if isinstance(question_id, str) else ""
    if chapter in chapters():
        for question in (*asked(chapter), *getattr(_bank(chapter), "RETIRED", ())):
            if question.id == question_id:
                return question
    known = sorted(question.id for question in asked())
    nearest = difflib.get_close_matches(str(question_id), known, n=3, cutoff=0.4) or known
    raise LookupError(f"there is no question {question_id!r}; the nearest: {', '.join(nearest)}")


def _bank(chapter: str) -> ModuleType:
    return import_module(f"mechlib.questions.{chapter}")
