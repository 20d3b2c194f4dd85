"""The lint fires on each kind of blind fixture, and not on sound ones."""

from dataclasses import replace

import pytest
import torch

from mechlib.checks.question import Case
from mechlib.checks.registry import questions
from tests.checks.toy import TOY
from tests.questions.lint import lint


@pytest.mark.parametrize("question", questions(), ids=lambda q: q.id)
def test_the_questions_are_sound(question):
    assert lint(question, range(50)) == ()


def test_the_toy_is_sound():
    assert lint(TOY) == ()


def fixed(*inputs):
    """Cases with these inputs, the tensors filled with random numbers where a shape is given."""

    def cases(generator):
        def value(given):
            return torch.randn(given, generator=generator) if isinstance(given, tuple) else given

        return tuple(Case(str(i), {name: value(v) for name, v in each.items()}) for i, each in enumerate(inputs))

    return cases


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ([{"x": (5, 5), "factor": 1.0}, {"x": (2, 5), "factor": 2.0}], "axes row and column have the same length 5"),
        ([{"x": (3, 5), "factor": 1.0}, {"x": (2, 5), "factor": 1.0}], "factor has one value"),
        ([{"x": torch.zeros(3, 5), "factor": 1.0}, {"x": (2, 5), "factor": 2.0}], "x is 0 everywhere"),
        ([{"x": torch.ones(3, 5), "factor": 1.0}, {"x": (2, 5), "factor": 2.0}], "x is 1 everywhere"),
        ([{"x": (3, 5, 2), "factor": 1.0}, {"x": (2, 5), "factor": 2.0}], "its declared axes are"),
        ([{"x": torch.arange(15.0).view(3, 5), "factor": i} for i in (1, 2)], "x has one value in all cases"),
        ([{"x": (3, 5), "factor": [1]}, {"x": (2, 5), "factor": [1]}], "factor has one value"),
    ],
)
def test_blind_fixtures_are_found(inputs, complaint):
    complaints = lint(replace(TOY, cases=fixed(*inputs)))
    assert complaints and all(complaint in each for each in complaints)


def test_an_axis_of_two_lengths_is_found():
    cases = fixed({"x": (3, 5), "b": (4,), "factor": 1.0}, {"x": (2, 5), "b": (5,), "factor": 2.0})
    complaints = lint(replace(TOY, cases=cases, axes={"x": "row column", "b": "column"}))
    assert all("axis column has lengths 5 and 4" in each for each in complaints) and complaints


def test_unseeded_cases_are_found():
    def cases(generator):
        return tuple(Case(str(n), {"x": torch.randn(n, 5), "factor": float(n)}) for n in (2, 3))

    assert any("not a function of the seed" in each for each in lint(replace(TOY, cases=cases)))


def test_too_few_misconceptions_are_found():
    assert lint(replace(TOY, misconceptions={})) == ("0 misconceptions, fewer than 5",)
