import math
from dataclasses import replace

import pytest

from mechlib.llc.estimate import estimate_llc
from mechlib.llc.verify import Verification, verify

from .conftest import regression

PROBLEM = regression(d=6, samples=400)
STEEP = PROBLEM.nbeta * float(PROBLEM.eigenvalues[-1]) + 1
OPTIONS = {"chains": 16, "draws": 1200, "burnin": 100, "strategy": "vmap", "progress": False}

pytestmark = pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")


def verified(**options) -> Verification:
    return verify(PROBLEM.model, PROBLEM.loss, PROBLEM.data, **(OPTIONS | options))


def test_a_good_step_agrees_with_its_half():
    check = verified(lr=1 / STEEP)
    assert check.verdict == "agree" and abs(check.z) <= 3
    assert check.half.lr == check.first.lr / 2
    assert check.half.trace.shape == check.first.trace.shape
    assert check.half.burnin_trace.shape[1] == 2 * check.first.burnin_trace.shape[1]
    assert check.difference == check.half.llc - check.first.llc
    assert check.std_error == pytest.approx(math.hypot(check.first.std_error, check.half.std_error))
    assert str(check).startswith(f"agree: {check.first.llc:.4g} ± ")


def test_the_bias_of_a_large_step_is_found_though_the_chains_agree():
    check = verified(sampler="sgld", lr=2 / STEEP)
    assert check.first.rhat < 1.01
    assert check.verdict == "disagree" and check.difference < 0


def test_chains_that_fly_apart_disagree():
    assert verified(lr=5 / STEEP, draws=300).verdict == "disagree"


def test_agreement_within_a_large_error_says_nothing():
    assert verified(lr=0.1 / STEEP, chains=4, draws=60).verdict == "inconclusive"


def test_a_run_without_draws_is_not_verified():
    first = estimate_llc(PROBLEM.model, PROBLEM.loss, PROBLEM.data, **OPTIONS | {"draws": 4, "burnin": 0})
    nothing = replace(first, trace=first.trace[:, :0])
    with pytest.raises(ValueError, match="interrupted before its first draw"):
        verified(result=nothing)


def test_a_result_that_is_there_is_not_made_again():
    first = estimate_llc(PROBLEM.model, PROBLEM.loss, PROBLEM.data, lr=1 / STEEP, nbeta=40.0, gamma=2.0, **OPTIONS)
    check = verify(PROBLEM.model, PROBLEM.loss, PROBLEM.data, result=first, **OPTIONS)
    assert check.first is first
    assert (check.half.nbeta, check.half.gamma, check.half.lr) == (40.0, 2.0, first.lr / 2)
    assert check.verdict == "agree"
