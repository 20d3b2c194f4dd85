from itertools import pairwise, permutations, product

import pytest
import torch

from mechlib.llc.exact import (
    LearningCoefficient,
    deep_linear,
    normal_crossing,
    quadratic_expectation,
    reduced_rank,
    regular,
)
from tests.sampling import mean_is

SMALL = [(*widths, rank) for widths in product(range(1, 7), repeat=3) for rank in range(min(widths) + 1)]


def test_regular_is_half_the_parameters():
    assert [regular(d).value for d in (1, 2, 7)] == [0.5, 1.0, 3.5]
    assert regular(7).multiplicity == 1


@pytest.mark.parametrize(
    ("exponents", "value", "multiplicity"),
    [([1], 0.5, 1), ([1, 1], 0.5, 2), ([2, 1], 0.25, 1), ([3, 0, 3, 3], 1 / 6, 3), ([0, 1], 0.5, 1)],
)
def test_normal_crossings(exponents, value, multiplicity):
    assert normal_crossing(exponents) == LearningCoefficient(value, multiplicity)


@pytest.mark.parametrize(
    ("widths", "value"),
    [((5, 3, 5), 6.5), ((5, 4, 5), 8), ((4, 3, 8), 6), ((8, 3, 4), 6), ((3, 8, 4), 6)],
)
def test_values_of_the_literature_at_true_rank_0(widths, value):
    assert reduced_rank(*widths, rank=0).value == value


def test_all_four_cases_and_both_parities_of_reduced_rank():
    assert reduced_rank(2, 2, 7, rank=1) == LearningCoefficient((2 * (2 - 1) + 7 * 1) / 2, 1)
    assert reduced_rank(7, 2, 2, rank=1) == LearningCoefficient((2 * (2 - 1) + 7 * 1) / 2, 1)
    assert reduced_rank(2, 6, 3, rank=1) == LearningCoefficient(3, 1)
    assert reduced_rank(4, 3, 4, rank=1) == LearningCoefficient((64 - 16) / 8, 1)
    assert reduced_rank(4, 3, 4, rank=2) == LearningCoefficient((64 - 9 + 1) / 8, 2)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_the_full_rank_of_a_square_hidden_layer_is_regular_up_to_the_symmetry_group(rank):
    n_in, n_out = rank + 2, rank + 3
    at_full_rank = reduced_rank(n_in, max(rank, 1), n_out, rank=max(rank, 1))
    hidden = max(rank, 1)
    assert at_full_rank == LearningCoefficient((hidden * (n_in + n_out) - hidden**2) / 2, 1)


def test_both_formulas_agree_on_every_small_case():
    assert len(SMALL) > 600
    for n_in, n_hidden, n_out, rank in SMALL:
        assert reduced_rank(n_in, n_hidden, n_out, rank) == deep_linear([n_in, n_hidden, n_out], rank)


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_a_chain_of_scalars_is_a_normal_crossing(layers):
    assert deep_linear([1] * (layers + 1), rank=0) == normal_crossing([1] * layers)


@pytest.mark.parametrize(("n_in", "n_out", "scalars"), [(1, 4, 1), (3, 3, 0), (5, 2, 2), (3, 3, 2)])
def test_a_bottleneck_of_one_is_a_crossing_of_norms(n_in, n_out, scalars):
    # |u|^2 a_1^2 ... a_k^2 |v|^2 in polar coordinates: each factor has its own pole, at half its dimension.
    poles = [n_in / 2, n_out / 2] + [1 / 2] * scalars
    expected = LearningCoefficient(min(poles), poles.count(min(poles)))
    assert deep_linear([n_in, *[1] * (scalars + 1), n_out], rank=0) == expected


def test_deep_linear_has_the_invariances_that_it_states():
    for order in permutations([2, 3, 5, 4]):
        assert deep_linear(order, rank=0) == deep_linear([2, 3, 5, 4], rank=0)
    for hidden in permutations([4, 3, 6]):
        for rank in range(3):
            assert deep_linear([5, *hidden, 2], rank) == deep_linear([2, *hidden, 5], rank)
            assert deep_linear([5, *hidden, 2], rank) == deep_linear([5, 4, 3, 6, 2], rank)


def test_deep_linear_lies_between_the_function_and_half_the_parameters():
    for widths in product(range(1, 5), repeat=4):
        for rank in range(min(widths) + 1):
            half = sum(a * b for a, b in pairwise(widths)) / 2
            found = deep_linear(widths, rank)
            assert rank * (widths[0] + widths[-1] - rank) / 2 <= found.value <= half
            assert found.multiplicity >= 1
            assert found.value <= deep_linear(widths, min(widths)).value


def test_one_layer_is_regular():
    assert deep_linear([3, 4], rank=2) == regular(12)


def test_the_quadratic_expectation_is_the_mean_over_its_gaussian():
    h, nbeta, gamma = torch.tensor([3.0, 0.5, 0.0]), 20.0, 2.0
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(400_000, 3, generator=generator) / (nbeta * h + gamma).sqrt()
    mean_is(nbeta * (h * w**2).sum(1) / 2, quadratic_expectation(h, nbeta, gamma), within=0.01)
    assert quadratic_expectation([1.0, 2.0], nbeta=5.0, gamma=0.0) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regular(0), "got d = 0"),
        (lambda: normal_crossing([]), r"got \[\]"),
        (lambda: normal_crossing([0, 0]), r"got \[0, 0\]"),
        (lambda: normal_crossing([1, -1]), r"got \[1, -1\]"),
        (lambda: reduced_rank(3, 2, 4, rank=3), r"widths \[3, 2, 4\] has rank 0 to 2, got 3"),
        (lambda: deep_linear([3, 2], rank=-1), "rank 0 to 2, got -1"),
        (lambda: deep_linear([3], rank=1), r"at least two positive widths are needed, got \[3\]"),
        (lambda: deep_linear([3, 0, 2], rank=0), r"got \[3, 0, 2\]"),
        (lambda: quadratic_expectation([1.0, 0.0], 10.0, 0.0), r"got \[10.0, 0.0\] for nbeta = 10 and gamma = 0"),
        (lambda: quadratic_expectation([], 10.0, 1.0), r"got \[\]"),
    ],
)
def test_what_has_no_coefficient_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
