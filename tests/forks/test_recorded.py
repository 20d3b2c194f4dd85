"""What is recorded is what the page says it is."""

import numpy as np
import pytest

from mechlib.forks import FORKS, SQUARE, Cues, ablation_cost, divergence, recorded
from mechlib.forks.posterior import AT, PRIORS, READ

CUES = Cues()


@pytest.mark.parametrize(
    ("name", "norm", "seeds"),
    [
        *((name, True, recorded.SEEDS) for name in FORKS),
        *((name, False, recorded.NO_NORM_SEEDS) for name in SQUARE),
    ],
)
def test_forks_compute_the_target(name, norm, seeds):
    for seed in seeds[::5]:
        network = recorded.network(name, seed, norm=norm)
        assert network.norm == norm
        assert 0 <= divergence(network(CUES.tokens), CUES.target).mean() < 1e-6


def test_forks_of_one_seed_differ_and_have_one_base():
    rows = [recorded.network(name, 205).vector() for name in ("base", *FORKS)]
    assert all((a - b).abs().max() > 0.1 for i, a in enumerate(rows) for b in rows[:i])
    away = [float((row - rows[0]).norm()) for row in rows[1:]]
    other = float((recorded.network("base", 206).vector() - rows[0]).norm())
    assert min(away) < other


def test_what_is_not_recorded_is_refused():
    with pytest.raises(ValueError, match="200 to 219, got 'strong' of 200"):
        recorded.network("strong", 200)
    with pytest.raises(ValueError, match="got 'drop' of 3"):
        recorded.network("drop", 3)
    with pytest.raises(ValueError, match="narrow, planted, broad, got 'flat'"):
        recorded.posterior("flat")


@pytest.mark.parametrize("prior", PRIORS)
def test_walks_start_at_the_forks(prior):
    kept = recorded.posterior(prior)
    assert set(kept) == set(SQUARE)
    for name, walk in kept.items():
        assert walk.shape[1:] == (len(AT), len(READ)) and np.isfinite(walk).all()
        network = recorded.network(name, recorded.SEEDS[0])
        assert walk[:2, 0, 2] == pytest.approx(float(ablation_cost(network, CUES).mean()), rel=1e-4, abs=1e-8)
        assert walk[:2, 0, 1] == pytest.approx(float(network.vector().square().sum()), rel=1e-6)


def test_chains_have_an_estimate_its_error_and_two_diagnostics():
    for found in recorded.chains().values():
        assert found.shape == (5, 4)
        assert (found[:, 1] < 0.1 * found[:, 0]).all() and (found[:, 2] >= 1 - 1e-3).all()
