"""The statistics of chains against what is known of autoregressions."""

import math
import os
import subprocess
import sys
import warnings

import pytest
import torch
from torch import Tensor

from mechlib.llc.chains import arviz, diverged, effective_draws, rhat, std_error


def autoregressive(chains: int, draws: int, memory: float) -> Tensor:
    noise = torch.randn(chains, draws, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    series = noise.clone()
    for t in range(1, draws):
        series[:, t] = memory * series[:, t - 1] + noise[:, t]
    return series


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_effective_draws_of_an_autoregression(memory):
    expected = 4 * 20_000 * (1 - memory) / (1 + memory)
    assert effective_draws(autoregressive(4, 20_000, memory)) == pytest.approx(expected, rel=0.1)


def test_the_error_is_that_of_an_autoregression():
    memory, chains, draws = 0.8, 4, 20_000
    assert std_error(autoregressive(chains, draws, memory)) == pytest.approx(
        1 / (1 - memory) / (chains * draws) ** 0.5, rel=0.1
    )


def test_what_chains_share_is_not_averaged_away():
    own = autoregressive(8, 4000, 0.0)
    shared = own + 3 * autoregressive(1, 4000, 0.0)
    assert std_error(shared) == pytest.approx(3 / 4000**0.5, rel=0.15)


def test_statistics_of_too_little():
    assert math.isnan(effective_draws(torch.zeros(3, 2))) and math.isnan(std_error(torch.zeros(3, 2)))
    assert math.isnan(rhat(autoregressive(1, 100, 0.0))) and math.isnan(rhat(torch.full((4, 10), torch.nan)))
    assert rhat(torch.ones(4, 10)) == 1.0 and std_error(torch.ones(4, 10)) == 0.0
    assert rhat(autoregressive(4, 500, 0.0)) == pytest.approx(1, abs=0.02)
    assert rhat(autoregressive(4, 500, 0.0) + torch.arange(4)[:, None]) > 1.3


def test_diverged_is_not_finite_or_out_of_scale():
    trace = torch.tensor([[1.0, 2.0], [math.nan, 1.0], [1.0, math.inf], [20.0, 50.0], [25.0, 15.0]])
    assert diverged(trace, n_params=2).tolist() == [False, True, True, True, False]


def test_arviz_is_imported_silently():
    arviz.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert arviz().__name__ == "arviz"


TWO_AT_ONCE = """
from pathlib import Path

replace = Path.replace

def by_two(path, target):
    Path.replace = replace
    replace(path, target)
    replace(path, target)

Path.replace = by_two
from mechlib.llc.chains import arviz
print(arviz().__name__, Path.replace is replace)
"""
"""The file that ArviZ writes once a day is moved into its place by another process first."""


def test_two_processes_may_import_arviz_for_the_first_time_of_a_day_at_once(tmp_path):
    surroundings = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", TWO_AT_ONCE], env=surroundings, capture_output=True, text=True, check=False
    )
    assert run.stdout == "arviz True\n", run.stderr
