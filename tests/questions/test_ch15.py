"""The references of chapter 15 against the library's samplers, closed forms, and the statistics they stand for."""

import math

import pytest
import torch

from mechlib.checks.registry import find
from mechlib.llc.exact import quadratic_expectation
from mechlib.llc.samplers import lm, sgld

BIAS, LM_CHAIN, ANCHORED, ESTIMATE, DIAGNOSE, REFUTE = (
    find(f"ch15.{name}").reference for name in ("bias", "lm_chain", "anchored", "estimate", "diagnose", "refute")
)


def inputs(name, case=0, seed=3):
    return tuple(find(f"ch15.{name}").cases(torch.Generator().manual_seed(seed))[case].inputs.values())


def replay(noise):
    """``normals`` that a sampler asks for, from a tensor [normal, chain, weight]."""
    stock = iter(noise)
    return lambda out: out.copy_(next(stock))


def bowl(curvature, center):
    def evaluate(w):
        away = w - center
        return (curvature * away.square()).sum(1) / 2, curvature * away

    return evaluate


def test_the_bias_of_a_vanishing_step_is_none():
    curvature, lr, nbeta, gamma = inputs("bias", case=1)
    found = BIAS(curvature, 1e-9 * lr, nbeta, gamma)
    assert found == pytest.approx(quadratic_expectation(curvature, nbeta, gamma), rel=1e-6)


def test_the_bias_is_that_of_the_librarys_sgld():
    curvature = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    center, lr = torch.zeros(3, dtype=torch.float64), 0.9
    chain = sgld(center, nbeta=1.0, gamma=0.3, lr=lr)
    generator = torch.Generator().manual_seed(0)
    state = chain.init(torch.zeros(4000, 3, dtype=torch.float64), bowl(curvature, center), lambda out: out)
    losses = []
    for step in range(160):
        state, _ = chain.step(state, bowl(curvature, center), lambda out: out.normal_(generator=generator))
        if step >= 40:
            losses.append(state.loss.mean())
    expected = BIAS(curvature, torch.tensor([lr], dtype=torch.float64), 1.0, 0.3)
    assert float(torch.stack(losses).mean()) == pytest.approx(float(expected), rel=0.01)


def test_the_bias_is_infinite_from_the_edge_of_stability_on():
    lr = torch.tensor([3.999, 4.0, 4.001], dtype=torch.float64)
    found = BIAS(torch.tensor([0.2, 1.0], dtype=torch.float64), lr, 1.0, 0.0)
    assert found.isfinite().tolist() == [True, False, False]


@pytest.mark.parametrize("case", range(5))
def test_chains_are_those_of_the_librarys_sampler(case):
    curvature, w_star, noise, nbeta, gamma, lr = inputs("lm_chain", case)
    evaluate, normals = bowl(curvature, w_star), replay(noise)
    chain = lm(w_star, nbeta=nbeta, gamma=gamma, lr=lr)
    state = chain.init(w_star.repeat(noise.shape[1], 1), evaluate, normals)
    draws = []
    for _ in range(len(noise) - 1):
        state, _ = chain.step(state, evaluate, normals)
        draws.append(state.w.clone())
    torch.testing.assert_close(LM_CHAIN(curvature, w_star, noise, nbeta, gamma, lr), torch.stack(draws))


def test_the_chains_have_the_exact_variance():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(400, 500, 1, generator=generator, dtype=torch.float64)
    draws = LM_CHAIN(torch.ones(1).double(), torch.zeros(1).double(), noise, 1.0, 1.0, 1.2)
    assert float(draws[20:].square().mean()) == pytest.approx(1 / 2, rel=0.02)


def test_the_anchor_keeps_the_expectation_and_takes_the_noise_off():
    """Over all single-sample batches the corrected values average to those of all the data."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(40, generator=generator, dtype=torch.float64)
    w_star = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    w = w_star + 0.05 * torch.randn(5, 3, generator=generator, dtype=torch.float64)

    def read(points, part):
        error = points @ x[part].T - y[part]
        return error.square().mean(1) / 2, error @ x[part] / len(x[part])

    full_loss, full_gradient = read(w_star[None], slice(None))
    found = []
    for i in range(40):
        loss, gradient = read(torch.cat([w, w_star[None]]), slice(i, i + 1))
        found.append(ANCHORED(w, w_star, loss[:-1], gradient[:-1], loss[-1], gradient[-1], full_loss, full_gradient[0]))
    rise, gradient = (torch.stack(parts) for parts in zip(*found, strict=True))
    exact_loss, exact_gradient = read(w, slice(None))
    torch.testing.assert_close(rise.mean(0), exact_loss - full_loss)
    torch.testing.assert_close(gradient.mean(0), exact_gradient)
    raw = torch.stack([read(w, slice(i, i + 1))[0] - full_loss for i in range(40)])
    assert rise.std() < raw.std() / 20


def test_at_w_star_the_anchor_leaves_no_noise_at_all():
    w, w_star, loss, gradient, *rest = inputs("anchored")
    there, slope = torch.full_like(loss, rest[0]), rest[1].expand_as(gradient)
    rise, corrected = ANCHORED(w_star.expand_as(w), w_star, there, slope, *rest)
    assert float(rise.abs().max()) == 0
    torch.testing.assert_close(corrected, rest[3].expand_as(corrected))


def test_the_error_of_an_estimate_covers_its_truth():
    generator = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(400):
        level = 3 + torch.randn(20, 1, generator=generator, dtype=torch.float64)
        noise = torch.randn(20, 30, generator=generator, dtype=torch.float64)
        llc, error, per_chain = ESTIMATE(1 + (level + noise) / 50, 1.0, 50.0, 4)
        hits += abs(float(llc) - 3) < 1.96 * float(error)
        assert float(llc) == pytest.approx(float(per_chain.mean()))
    assert 0.89 < hits / 400 < 0.98


def test_an_infinite_chain_is_not_dropped():
    llc, error, per_chain = ESTIMATE(*inputs("estimate", case=4))
    assert math.isinf(llc) and math.isnan(error)
    assert int(per_chain.isfinite().sum()) == len(per_chain) - 1


def test_all_faults_are_among_the_runs():
    for seed in range(5):
        for case in range(3):
            assert set(DIAGNOSE(*inputs("diagnose", case, seed)).tolist()) == set(range(7))


def test_a_diagnosis_does_not_depend_on_the_unit_or_the_order_of_the_runs():
    given = inputs("diagnose")
    codes = DIAGNOSE(*given)
    *traces, star = given
    rounding = star.abs() < 1e-5
    assert torch.equal(DIAGNOSE(*(7.0 * x for x in traces), torch.where(rounding, star, 7.0 * star)), codes)
    assert torch.equal(DIAGNOSE(*(x.flip(0) for x in given)), codes.flip(0))


def test_refute_covers_the_difference_at_zero():
    generator = torch.Generator().manual_seed(1)
    lr = torch.tensor([0.4, 1.0, 0.7, 0.2], dtype=torch.float64)
    law = torch.stack([5 + 3 * lr, 4 + 0.5 * lr])[:, :, None, None]
    hits = 0
    for _ in range(300):
        noise = 0.3 * torch.randn(2, 4, 20, 1, generator=generator, dtype=torch.float64)
        claimed, z, _, low, high = REFUTE((law + noise).expand(-1, -1, -1, 3), lr, 1, 1)
        hits += low < 1 < high
        assert float(claimed) == pytest.approx(3.5, abs=0.5) and z > 10
    assert 0.88 < hits / 300 < 0.98


def test_refute_turns_a_false_report_round_and_leaves_a_true_one_standing():
    for seed in range(10):
        claimed, z, difference, _, _ = REFUTE(*inputs("refute", 0, seed))
        assert z < -5 and difference > claimed / 3
        claimed, _, _, low, _ = REFUTE(*inputs("refute", 1, seed))
        assert claimed < 0.5 and low > claimed
        claimed, z, _, _, high = REFUTE(*inputs("refute", 2, seed))
        assert z < -5 and high < 0
