"""What is kept of wrong answers: what they returned on cases that all have in common, and nothing of the others."""

import json

import pytest
import torch

from mechlib.checks.judging import Trial
from mechlib.checks.question import Case, Field
from mechlib.grading.assignment import seed
from mechlib.grading.common import MOST, told
from mechlib.grading.results import SubmissionGrade
from tests.grading import toys as questions
from tests.grading.conftest import SECRET

RIGHT = (questions.RIGHT_ENDS, questions.CHECK_ENDS)


def about(answer, question=questions.TOTAL, seed=3):
    trial = Trial(question, seed)
    return json.loads(told(trial, trial.run(answer)))


RELATED = {
    "the right value with the other sign": lambda x, factor: -questions.total(x, factor),
    "2.5 times the right value": lambda x, factor: 2.5 * questions.total(x, factor),
    "the right value minus 3": lambda x, factor: questions.total(x, factor) - 3,
    "the square of the right value": lambda x, factor: questions.total(x, factor) ** 2,
    "the right value, 0 where it is negative": lambda x, factor: questions.total(x, factor).clamp(min=0),
    "the right values in another order": lambda x, factor: questions.total(x, factor).flip(0),
    "always 7": lambda x, factor: torch.full((len(x),), 7.0),
    "another shape": lambda x, factor: x,
    "right": questions.total,
}


@pytest.mark.parametrize("words", RELATED)
def test_how_a_wrong_value_follows_from_the_right_one_is_said(words):
    assert about(RELATED[words])["relations"] == {"total": words}


def test_exchanged_axes_are_said():
    def cases(generator):
        return tuple(Case("a table", {"x": torch.randn(3, 4, generator=generator)}) for _ in range(2))

    table = questions.Question(
        "ch02.table", 1, "Table", ("", "", ""), lambda x: 2 * x, cases, {"x": "a b"}, (Field("table", "a b"),), {}
    )
    assert about(lambda x: 2 * x.T, table)["relations"] == {"table": "the right values with their axes exchanged"}
    assert about(lambda x: x.T, table)["relations"] == {"table": "another shape"}


def test_nothing_is_said_of_a_value_that_follows_from_nothing():
    found = about(lambda x, factor: questions.total(x, factor) + x[:, 0])
    assert found["relations"] == {}
    assert [case["right"] for case in found["cases"]] == [False, False, False]


def test_cases_on_which_an_answer_is_right_are_told():
    found = about(lambda x, factor: x.sum(-1) * 2.0)
    assert [case["right"] for case in found["cases"]] == [True, False, False]
    assert [case["description"] for case in found["cases"]] == ["three rows", "a single row", "seven rows"]


def test_what_is_no_array_is_told_too():
    def raises(x, factor):
        return {}["nothing"] if len(x) == 1 else x.sum(-1)

    assert [sorted(case)[-1] for case in about(raises)["cases"]] == ["right", "raised"]
    assert about(raises)["cases"][1]["raised"] == "KeyError"
    assert about(lambda x, factor: "text")["cases"][0]["unreadable"] == "a str, which is not a number"
    assert about(lambda x, factor: None)["cases"][0]["none"] is True
    assert about(lambda x, factor: torch.empty(0))["cases"][0]["arrays"][0]["shape"] == [0]


def test_of_a_large_array_a_part_is_kept_and_tells_arrays_apart():
    """Also where they differ between the numbers that are kept."""
    one = about(lambda x, factor: torch.arange(10_000.0))["cases"][0]["arrays"][0]
    other = about(lambda x, factor: torch.arange(10_000.0).index_fill(0, torch.tensor(1), 900.0))
    assert len(one["values"]) == MOST and one["shape"] == [10_000]
    assert one != other["cases"][0]["arrays"][0]


def returned(marking):
    return {grade.id.partition(".")[2]: grade.returned for grade in marking.grades()}


def test_only_wrong_answers_that_are_no_known_mistake_are_looked_at_again(mark):
    found = returned(
        mark(
            questions.IMPORTS, questions.WRONG_TOTAL, questions.CHECK_TOTAL, questions.RIGHT_ENDS, questions.CHECK_ENDS
        )
    )
    assert json.loads(found["total"])["relations"] == {"total": "the right value plus 1"} and not found["ends"]
    assert returned(mark(questions.IMPORTS, questions.MEAN_TOTAL, questions.CHECK_TOTAL)) == {"total": "", "ends": ""}


def test_the_cases_are_the_same_for_all_and_nobody_s_own(mark, toys):
    """Two students who made the same mistake differently returned the same."""
    wrong = "def total(x, factor):\n    return [float((row * factor).sum()) + 1 for row in x]"
    texts = []
    for student, source in {"ada": questions.WRONG_TOTAL, "bob": wrong}.items():
        marking = mark(questions.IMPORTS, source, assignment=toys.of_student(student))
        texts.append(json.loads(returned(marking)["total"]))
        values = texts[-1]["cases"][0]["arrays"][0]["values"]
        own = Trial(questions.TOTAL, seed(SECRET, "ch02.total", student))
        assert not torch.allclose(torch.tensor(values), own.expected[0][0].values.float() + 1, atol=0.1)
    first, second = ([case["arrays"][0]["values"] for case in text["cases"]] for text in texts)
    for mine, theirs in zip(first, second, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("end", ["import os; os._exit(1)", "while True: pass", "raise SystemExit"])
def test_what_becomes_of_the_worker_on_the_common_cases_changes_no_grade(mark, toys, end):
    """An answer that notices that it runs once more than it was checked."""
    source = f"""calls = 0
def total(x, factor):
    global calls
    calls += 1
    if calls > 6:
        {end}
    return (x * factor).sum(-1) + 1"""
    marking = mark(
        questions.IMPORTS, source, questions.CHECK_TOTAL, questions.RIGHT_ENDS, questions.CHECK_ENDS, timeout=3.0
    )
    grades = {grade.id: grade for grade in marking.grades()}
    assert grades["ch02.total"].status == "wrong" and grades["ch02.ends"].status == "right"
    assert not marking.needs_human and not marking.problems


def test_it_is_kept_with_the_grade(mark):
    (grade, _) = mark(questions.IMPORTS, questions.WRONG_TOTAL, questions.CHECK_TOTAL).grades()
    whole = SubmissionGrade("ada", "ada.ipynb", "ch02", (grade,), (), (), False, 1.0)
    assert SubmissionGrade.from_json(whole.to_json()) == whole and "plus 1" in grade.returned
