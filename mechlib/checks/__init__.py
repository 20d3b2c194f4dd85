"""Graded checks: ``check(id, answer)`` says "right" or which mistake it is, ``hint``, ``progress``, ``submit``.

A question is defined once (``question``), with its reference, its cases and the mistakes that people make, in the bank
(``mechlib.questions``). Running an answer (``running``), reading what it returned (``values``) and judging it
(``judging``) are apart, so that a notebook and a course's grader ask the same question.
"""

from mechlib.checks.asking import check, hint, progress, solved, submit
from mechlib.checks.values import as_tensor

__all__ = ["as_tensor", "check", "hint", "progress", "solved", "submit"]
