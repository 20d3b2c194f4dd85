"""The holes of every question are those that are written down: a new one fails, and so does one that is closed."""

import statistics

import pytest
import torch

from mechlib.checks.judging import Trial
from mechlib.checks.question import Case
from mechlib.checks.registry import questions
from tests.checks.toy import ALTERNATIVES, TOY
from tests.questions.mutants import SEEDS, accepted, holes, listed, mutants, survivors
from tests.questions.mutants.equivalent import EQUAL, RANGES
from tests.questions.mutants.given import given
from tests.questions.mutants.returned import returned
from tests.questions.mutants.source import source

IDS = [question.id for question in questions()]


@pytest.mark.parametrize("question_id", IDS)
def test_the_holes_are_those_on_the_list(question_id):
    assert holes(question_id, SEEDS) == listed().get(question_id, set())


def test_all_that_is_listed_or_declared_is_of_a_question():
    assert {*listed(), *EQUAL, *RANGES} <= set(IDS)


@pytest.mark.parametrize("question_id", EQUAL)
def test_what_is_declared_to_be_no_mistake_is_never_rejected(question_id):
    for seed in SEEDS:
        assert set(EQUAL[question_id]) <= survivors(question_id, seed)


@pytest.mark.parametrize("question", [q for q in questions() if q.id in RANGES], ids=lambda q: q.id)
def test_quantities_lie_in_the_ranges_that_are_declared_for_them(question):
    for seed in SEEDS:
        trial = Trial(question, seed)
        for case, right in zip(trial.cases, trial.expected, strict=True):
            results = {f.name: reading.values for f, reading in zip(question.fields, right, strict=True)}
            seen = {**case.inputs, **results}
            for name, declared in RANGES[question.id].items():
                values = seen[name][~seen[name].isnan()]
                assert ((declared.low - 1e-6 <= values) & (values <= declared.high + 1e-6)).all(), name


def test_of_the_toy_nothing_goes_unseen():
    trial = Trial(TOY, 1)
    assert [name for name, answer in mutants(trial) if accepted(trial, answer)] == []
    assert all(accepted(trial, answer) for answer in ALTERNATIVES.values())


def test_results_are_changed_one_quantity_at_a_time():
    changed = {name: answer(torch.tensor([[1.0, 2.0], [-5.0, 1.0]]), 2.0).tolist() for name, answer in returned(TOY)}
    assert changed == {
        "total: absolute value": [6, 8],
        "total: cut at 0": [6, 0],
        "total: sign turned": [-6, 8],
        "total: clamped to [0, 1]": [1, 0],
        "total: clamped to [-1, 1]": [1, -1],
        "total: squeezed": [6, -8],
        "total: one too late along row": [-8, 6],
        "total: one too early along row": [-8, 6],
    }


def test_inputs_are_changed_one_at_a_time():
    x = torch.tensor([[1.0, 2.0], [-5.0, 1.0]])
    changed = {name: answer(x, 2.0).tolist() for name, answer in given(TOY, Case("", {"x": x, "factor": 3.0}))}
    assert changed["x: zeros"] == [0, 0] and changed["x: ones"] == [4, 4] and changed["x: absolute value"] == [6, 12]
    assert changed["x: its mean"] == [-1, -1]
    assert changed["factor: a constant"] == [9, -12] and changed["factor: 1"] == [3, -4]
    assert changed["column: the first dropped"] == [4, 2] and changed["row: the last dropped"] == [6]
    assert "all: float16" in changed and "all: 32-bit integers" not in changed


MANY = 7


def measure(x, *, level=1.5):
    if x[0] < 2 * level:
        return middle(x[1:]).argmax()
    return x.std() + MANY


def middle(x):
    return x - statistics.fmean(x.tolist()) * x.mean(0, keepdim=True)


def test_the_text_of_a_reference_and_of_what_it_calls_is_changed_in_one_place():
    built = dict(source(measure, package=__name__))
    assert sorted(built) == [
        "MANY: 7 -> 6",
        "MANY: 7 -> 8",
        "measure: 1 -> 1 + -1",
        "measure: 1 -> 1 + 1",
        "measure: 1.5 -> 1.35",
        "measure: 1.5 -> 1.65",
        "measure: 2 -> 1.8",
        "measure: 2 -> 2.2",
        "measure: middle(x[1:]).argmax() -> abs(middle(x[1:])).argmax()",
        "measure: x.std() -> x.std(correction=1 - 1)",
        "measure: x[0] < 2 * level -> x[0] <= 2 * level",
        "middle: statistics.fmean(x.tolist()) -> _median(x.tolist())",
        "middle: x.mean(0, keepdim=True) -> _median(x, 0, keepdim=True)",
    ]
    x = torch.tensor([3.0, 5.0, 1.0, 1.0])
    assert measure(x) == x.std() + 7 and built["MANY: 7 -> 8"](x) == x.std() + 8
    assert built["measure: x.std() -> x.std(correction=1 - 1)"](x) == x.std(correction=0) + 7
    assert built["measure: x[0] < 2 * level -> x[0] <= 2 * level"](x) == 0
