"""The references of chapter 07 against the library's prompts, closed forms, and what they promise."""

import pytest
import torch

from mechlib.checks.registry import find
from mechlib.questions.ch07 import refute
from mechlib.zoo.kinds.docstring import prompts

FAITHFULNESS, RIVALS = (find(f"ch07.{name}").reference for name in ("faithfulness", "rivals"))


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


def test_the_whole_model_keeps_all_and_nothing_nothing():
    whole, nothing = torch.randn(2, 9, generator=generator()) + torch.tensor([[3.0], [0.0]])
    kept = torch.stack([whole, nothing, (whole + nothing) / 2, 2 * whole - nothing])
    found = FAITHFULNESS(kept, whole, nothing)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, 0.5, 2.0], dtype=torch.float64))


def test_in_order_both_rules_name_the_argument_that_comes_next():
    given = prompts(6, generator=generator())
    match, count = RIVALS(given.arguments, given.arguments[:, :2])
    assert torch.equal(match, given.answer) and torch.equal(count, given.answer)


def test_out_of_order_they_part():
    arguments, documented = torch.tensor([[5, 7, 9, 2], [4, 8, 1, 3]]), torch.tensor([[5, 9], [1, 3]])
    match, count = RIVALS(arguments, documented)
    assert match.tolist() == [2, -1] and count.tolist() == [9, 1]


@pytest.mark.parametrize("kind", refute.KINDS, ids=lambda kind: kind.about)
def test_hardly_a_random_circuit_is_as_good_where_the_claim_holds_and_several_are_elsewhere(kind):
    found = []
    for seed in range(40):
        drawn = kind.drawn(generator(seed))
        found.append((drawn["random"].mean(-1) >= drawn["new"].mean()).double().mean() <= 0.025)
    assert sum(found) >= 38 if kind.holds else sum(found) <= 12
