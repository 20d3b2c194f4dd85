"""Entropies and divergences against SciPy in double precision, and where something is ruled out."""

import math

import pytest
import scipy.special
import torch

from mechlib.distances import cross_entropy, entropy, expected, kl

RULED_OUT = -torch.inf


@pytest.fixture(scope="module")
def pairs():
    """Two sets of log-probabilities, ``[2, row, outcome]``; in some rows an outcome is impossible for one or both."""
    logits = 3 * torch.randn(2, 50, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[0, 10:30, 3] = RULED_OUT
    logits[1, 20:40, 3] = RULED_OUT
    return logits.log_softmax(-1)


def test_against_scipy(pairs):
    p, q = pairs
    torch.testing.assert_close(entropy(p), torch.from_numpy(scipy.special.entr(p.exp().numpy()).sum(-1)))
    theirs = torch.from_numpy(scipy.special.rel_entr(p.exp().numpy(), q.exp().numpy()).sum(-1))
    assert theirs[30:40].isinf().all() and theirs[:30].isfinite().all()
    torch.testing.assert_close(kl(p, q), theirs)


def test_kl_is_cross_entropy_less_entropy(pairs):
    p, q = pairs
    torch.testing.assert_close(kl(p, q), cross_entropy(p, q) - entropy(p))
    assert (kl(p, p) == 0).all() and kl(p, q).min() > 0


def test_the_uniform_distribution_has_the_largest_entropy():
    assert entropy(torch.full((8,), -math.log(8))) == pytest.approx(math.log(8))
    assert entropy(torch.tensor([0.0, RULED_OUT])) == 0


def test_too_small_for_a_number_is_not_impossible():
    p, q = torch.tensor([0.0, -200.0]), torch.tensor([0.0, RULED_OUT])
    assert p.exp()[1] == 0
    assert kl(p, q) == cross_entropy(p, q) == torch.inf
    assert kl(q, p) == 0


def test_what_cannot_happen_counts_nothing():
    assert expected(torch.tensor([0.0, RULED_OUT]), torch.tensor([2.0, torch.nan])) == 2
