"""Networks of two cues: what they compute, what an ablation costs, and what the curvatures say of both."""

import math

import pytest
import torch
from scipy.integrate import quad

from mechlib.forks import (
    FORKS,
    Cues,
    Network,
    ablation_cost,
    curvatures,
    displacement_cost,
    divergence,
    effects,
    forks,
    free_energy,
    lead,
    modes,
    replaced,
)
from mechlib.forks.posterior import walked
from mechlib.llc import curvature_trace, quadratic_expectation

CUES = Cues()


@pytest.fixture(scope="module")
def short(module_patch):
    module_patch.setattr("mechlib.forks.training.STEPS_FORK", 60)
    return {name: forks([Network(CUES, seed=3)], CUES, name, [3])[0] for name in FORKS}


@pytest.fixture(scope="module")
def module_patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_every_input_names_its_label_twice_in_any_order():
    assert len(CUES) == 4 * 2 * 6 and len(set(map(tuple, CUES.tokens.tolist()))) == 48
    for row, label in zip(CUES.tokens.tolist(), CUES.label.tolist(), strict=True):
        assert sorted(row)[:2] == [label, 4 + label] and row[-1] == 10
    torch.testing.assert_close(CUES.target.sum(1), torch.ones(48, dtype=torch.float64))
    assert CUES.target[0].tolist() == pytest.approx([0.925, 0.025, 0.025, 0.025])


def test_donors_are_all_inputs_of_other_labels():
    for row, donors in zip(range(48), CUES.donors.tolist(), strict=True):
        assert sorted(donors) == [k for k in range(48) if CUES.label[k] != CUES.label[row]]


def test_the_divergence_is_that_of_torch_and_nought_at_the_target():
    logits = torch.randn(48, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theirs = torch.nn.functional.kl_div(logits.log_softmax(-1), CUES.target, reduction="none").sum(-1)
    torch.testing.assert_close(divergence(logits, CUES.target), theirs)
    torch.testing.assert_close(divergence(CUES.target.log(), CUES.target), torch.zeros(48, dtype=torch.float64))


def test_a_lead_is_over_the_mean_of_the_others():
    logits = torch.tensor([[4.0, 1, 2, 3], [0, 0, 9, 0]])
    assert lead(logits, torch.tensor([0, 1])).tolist() == [2, -3]


def test_a_network_has_1404_weights_which_go_to_a_row_and_back():
    one, other = Network(CUES, seed=1), Network(CUES, seed=2)
    assert len(one.vector()) == 1404
    other.load_state_dict(dict(other.named(one.vector())))
    assert torch.equal(other(CUES.tokens), one(CUES.tokens))


def test_a_part_of_the_network_is_the_attention_of_torch():
    one = Network(CUES, seed=1)
    x = one.E[CUES.tokens] + one.P
    q, k, v = (torch.einsum("ipd,hdk->ihpk", x, w) for w in (one.Q, one.K, one.V))
    theirs = torch.nn.functional.scaled_dot_product_attention(q[:, :, -1:], k, v)[:, :, 0]
    torch.testing.assert_close(one.heads(CUES.tokens)[1], torch.einsum("ihk,hkd->ihd", theirs, one.O))


@pytest.mark.parametrize("kind", ["resample", "mean", "zero"])
def test_without_norm_and_neurons_nothing_answers(kind):
    linear = Network(CUES, seed=1, norm=False)
    with torch.no_grad():
        linear.W_out.zero_()
    found = effects(linear, CUES, kind)
    torch.testing.assert_close(found.direct, found.total)
    torch.testing.assert_close(found.direct, found.frozen)
    assert found.repaired == pytest.approx(0, abs=1e-12)


def test_neurons_that_take_away_what_is_added_repair_all():
    """Far above 0 a neuron passes on what it reads: these subtract the whole stream, however it came about."""
    one = Network(CUES, seed=1, norm=False)
    with torch.no_grad():
        one.W_in.copy_(torch.eye(12, 24))
        one.b_in.fill_(100.0)
        one.W_out.copy_(-torch.eye(24, 12))
    found = effects(one, CUES)
    assert found.direct.abs().min() > 1e-3
    assert found.total.abs().max() < 1e-12 and found.repaired == pytest.approx(1)


def test_only_the_head_in_question_is_replaced():
    written = Network(CUES, seed=1).heads(CUES.tokens)[1]
    changed = replaced(written, 1, CUES, "zero", 0.5)
    assert changed.shape == (48, 1, 3, 12)
    torch.testing.assert_close(changed[:, 0, 1], written[:, 1] / 2)
    torch.testing.assert_close(changed[:, 0, [0, 2]], written[:, [0, 2]])
    torch.testing.assert_close(replaced(written, 0, CUES, "resample")[5, 7, 0], written[CUES.donors[5, 7], 0])
    torch.testing.assert_close(replaced(written, 2, CUES, "mean")[9, 0, 2], written[:, 2].mean(0))


def test_an_ablation_that_changes_nothing_costs_nothing():
    one = Network(CUES, seed=1)
    with torch.no_grad():
        one.O[1].zero_()
    costs = ablation_cost(one, CUES)
    assert abs(costs[1]) < 1e-14 < abs(costs[0])
    assert effects(one, CUES).direct[1] == 0


def test_unknown_ablations_and_heads_are_refused():
    one = Network(CUES)
    with pytest.raises(ValueError, match="resample, mean, zero, got 'noise'"):
        ablation_cost(one, CUES, "noise")
    with pytest.raises(ValueError, match="heads 0 to 2, got 3"):
        replaced(one.heads(CUES.tokens)[1], 3, CUES, "mean")
    with pytest.raises(ValueError, match="plain, linear, noise, sharp, drop, got 'strong'"):
        forks([one], CUES, "strong", [0])
    with pytest.raises(ValueError, match="got 1 starts and 2 seeds"):
        forks([one], CUES, "drop", [0, 1])
    with pytest.raises(ValueError, match="size = 0"):
        displacement_cost(one, CUES, 0)
    with pytest.raises(ValueError, match="two labels"):
        Cues(labels=1)
    with pytest.raises(ValueError, match="gamma = 0"):
        free_energy(*modes(one, CUES), 10.0, 0.0)


def test_forks_end_at_the_target(short):
    for network in short.values():
        assert 0 <= divergence(network(CUES.tokens), CUES.target).mean() < 1e-5


def test_forks_of_several_seeds_do_not_know_of_each_other(module_patch):
    module_patch.setattr("mechlib.forks.training.STEPS_FORK", 5)
    starts = [Network(CUES, seed=seed) for seed in (3, 4)]
    together = forks(starts, CUES, "sharp", [3, 4])
    for start, seed, network in zip(starts, (3, 4), together, strict=True):
        alone = forks([start], CUES, "sharp", [seed])[0]
        torch.testing.assert_close(network.vector(), alone.vector(), atol=1e-3, rtol=1e-3)


def test_curvatures_are_those_of_the_loss(short):
    """Against the trace of the Hessian by random probes, and a displacement small enough to be quadratic."""
    network = short["plain"]
    found = curvatures(network, CUES)
    assert len(found) == 192 and (found[:-1] >= found[1:]).all() and found[144:].max() < 1e-12
    trace = curvature_trace(
        network, lambda f, b: divergence(f(b[0]), b[1]), (CUES.tokens, CUES.target), probes=200, progress=False
    )
    assert trace.value == pytest.approx(float(found.sum()), abs=4 * trace.std_error)
    cost, error = displacement_cost(network, CUES, 1e-3, draws=400)
    assert cost == pytest.approx(float(found.sum()) * 1e-6 / 2, abs=4 * error)


def test_the_free_energy_is_a_gaussian_integral(short):
    """Along one eigenvector by numerical integration; its slope in log nbeta is the coefficient, up to the place."""
    network, nbeta, gamma = short["plain"], 300.0, 7.0
    found = free_energy(*modes(network, CUES), nbeta, gamma)
    h, along = modes(network, CUES)
    torch.testing.assert_close(h, curvatures(network, CUES))
    assert 0 < along.square().sum() < network.vector().square().sum()
    more = free_energy(*modes(network, CUES), nbeta * 1.001, gamma).volume
    slope = (more - found.volume) / math.log(1.001)
    assert slope == pytest.approx(quadratic_expectation(h, nbeta * 1.0005, gamma), rel=1e-4)
    c, first = 0.8, float(h[0])
    integral, _ = quad(
        lambda w: math.exp(-nbeta * first * (w - c) ** 2 / 2 - gamma * w**2 / 2) * math.sqrt(gamma / 2 / math.pi),
        -3,
        3,
    )
    volume = math.log1p(nbeta * first / gamma) / 2
    place = c**2 * gamma * nbeta * first / (gamma + nbeta * first) / 2
    assert -math.log(integral) == pytest.approx(volume + place)
    assert 0 < found.place < gamma * float(network.vector().square().sum()) / 2
    assert found.total == found.volume + found.place


def test_chains_of_the_posterior_keep_to_the_prior_where_nothing_is_learnt():
    """With nbeta so small that the loss does not count, the squared length tends to weights over gamma."""
    read = walked([Network(CUES, seed=1)], CUES, nbeta=0.125, gamma=2.0, at=(0, 40, 80))
    assert read.shape == (2, 3, 4)
    assert read[:, 2, 1].mean() == pytest.approx(1404 / 2, rel=0.15)
    with pytest.raises(ValueError, match="steps in order"):
        walked([Network(CUES)], CUES, at=(5, 2))
