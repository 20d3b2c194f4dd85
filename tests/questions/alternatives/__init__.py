"""Right answers written differently: ``chNN/NAME.py`` holds those to the question ``chNN.NAME`` in ``ALTERNATIVES``."""

from collections.abc import Mapping
from importlib import import_module

from mechlib.checks.question import Answer, Question


def alternatives(question: Question) -> Mapping[str, Answer]:
    """The right answers to a question, by name."""
    return import_module(f"{__name__}.{question.id}").ALTERNATIVES
