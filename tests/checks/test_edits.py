"""Misconceptions that are the reference with something done otherwise."""

import pytest
import torch

from mechlib.checks.edits import edits_of


def doubled(total):
    return 2 * total


def mean(x, weights, *, divide=torch.div, shown=float):
    return shown(divide((x * weights).sum(), weights.sum()))


on = edits_of(mean)
X, WEIGHTS = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([1.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("edits", "value"),
    [
        ({"weights": torch.ones_like}, 3.0),
        ({"weights": torch.tensor([1.0, 0.0, 0.0])}, 1.0),
        ({"x": doubled, "weights": torch.ones_like}, 6.0),
        ({"divide": lambda total, weight: total}, 15.0),
        ({"result": lambda found: -found}, -3.75),
        ({"result": 0.0}, 0.0),
        ({"x": torch.neg, "shown": str, "result": len}, 15),
    ],
)
def test_arguments_steps_and_the_result_are_edited(edits, value):
    misconception = on("a sentence.", **edits)
    assert misconception.sentence == "a sentence."
    assert misconception.answer(X, WEIGHTS) == value
    assert mean(X, WEIGHTS) == 3.75


def test_what_there_is_not_cannot_be_edited():
    with pytest.raises(TypeError, match="mean has no 'weight' to edit; the nearest: weights"):
        on("a sentence.", weight=1)
    with pytest.raises(TypeError, match="mean has no 'qqqq' to edit; the nearest: x, weights, divide, shown, result"):
        on("a sentence.", qqqq=1)


def test_no_edit_is_no_mistake():
    with pytest.raises(ValueError, match="nothing of mean is edited; it has x, weights, divide, shown, result"):
        on("a sentence.")


def test_a_misconception_takes_as_many_inputs_as_the_reference():
    with pytest.raises(ValueError, match="zip"):
        on("a sentence.", weights=torch.ones_like).answer(X)
