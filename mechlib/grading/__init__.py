"""Grading a class of notebooks with the same questions that the notebooks ask, in a process that cannot cheat.

``grade`` grades a folder or a zip, ``grade_one`` a single notebook. A submission's code runs in ``worker``, behind the
walls of ``sandbox``; the right answers stay on this side (``assignment``), and nothing but numbers comes back.
"""

from mechlib.grading.assignment import Assignment
from mechlib.grading.grade import Grading, grade, grade_one
from mechlib.grading.results import QuestionGrade, SubmissionGrade, WrittenAnswer
from mechlib.grading.sandbox import NoSandbox
from mechlib.grading.submissions import Submission, collect

__all__ = [
    "Assignment",
    "Grading",
    "NoSandbox",
    "QuestionGrade",
    "Submission",
    "SubmissionGrade",
    "WrittenAnswer",
    "collect",
    "grade",
    "grade_one",
]
