"""A grade as one line of JSON, there and back."""

import pytest

from mechlib.grading.results import QuestionGrade, SubmissionGrade, WrittenAnswer

RIGHT = QuestionGrade("ch02.a", "A", 2, 2, "right", None, "right (2 points)", False)
WRONG = QuestionGrade("ch02.b", "B", 3, 0, "misconception", "mean", "<b>this</b>\nis the mean", True)
GRADE = SubmissionGrade(
    "Ann É", "a/b.ipynb", "ch02", (RIGHT, WRONG), (WrittenAnswer("why", "So\n."),), ("Cell 1.",), True, 0.5, "17", True
)


def test_json_is_one_line_and_gives_the_same():
    assert "\n" not in GRADE.to_json()
    assert SubmissionGrade.from_json(GRADE.to_json()) == GRADE


def test_points_are_summed():
    assert (GRADE.score, GRADE.points) == (2, 5)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"questions": 3}', GRADE.to_json().replace('"right"', '"splendid"')])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="not the JSON of a submission's grade"):
        SubmissionGrade.from_json(text)
