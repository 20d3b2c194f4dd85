"""The references of chapter 09 against the library, explicit gradient descent, and Monte Carlo."""

import pytest
import torch

from mechlib.checks.open_task import Unfit
from mechlib.checks.registry import find
from mechlib.icl import LinearSelfAttention, gd_weights, gradient_descent, one_step_optimum
from mechlib.questions.ch09 import heads, refute

LAYER, READ_OFF, BEST_RATES = (find(f"ch09.{name}").reference for name in ("layer", "read_off", "best_rates"))


def inputs(name, case=0, seed=3):
    return tuple(find(f"ch09.{name}").cases(torch.Generator().manual_seed(seed))[case].inputs.values())


def matrices(layer):
    return layer.W_Q, layer.W_K, layer.W_V, layer.W_O


def prompts(d, n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, n + 1, d, generator=generator, dtype=torch.float64)
    return x, torch.einsum("bnd,bd->bn", x, torch.randn(4, d, generator=generator, dtype=torch.float64))


def test_two_layers_of_the_construction_are_two_explicit_steps():
    x, y = prompts(d=3, n=7)
    tokens = torch.cat([x, y[..., None]], dim=-1)
    tokens[:, -1, -1] = 0
    weights = matrices(gd_weights(3, 7, 0.4))
    predicted = -LAYER(LAYER(tokens, *weights), *weights)[:, -1, -1]
    torch.testing.assert_close(predicted, gradient_descent(x, y, eta=0.4, steps=2)[:, -1])


def test_the_layer_is_the_one_that_trains():
    x, y = prompts(d=4, n=6)
    model = LinearSelfAttention(4, seed=2).double()
    tokens = torch.cat([x, y[..., None]], dim=-1)
    tokens[:, -1, -1] = 0
    weights = (W[0, 0] for W in (model.W_Q, model.W_K, model.W_V, model.W_O))
    torch.testing.assert_close(-LAYER(tokens, *weights)[:, -1, -1], model(x, y))


@pytest.mark.parametrize("eta", [0.7, -2.0])
def test_the_rate_of_the_construction_is_read_off_and_nothing_is_left(eta):
    rate, rest = READ_OFF(*matrices(gd_weights(4, 9, eta, dtype=torch.float32)), 9)
    assert float(rate) == pytest.approx(eta, rel=1e-5)
    assert float(rest) == pytest.approx(0, abs=1e-6)


def test_equal_functions_have_equal_readings():
    W_Q, W_K, W_V, W_O, n = inputs("read_off")
    turn, _ = torch.linalg.qr(torch.randn(W_Q.shape[1], W_Q.shape[1], generator=torch.Generator().manual_seed(0)))
    turned = READ_OFF(W_Q @ turn, W_K @ turn, 3 * W_V, W_O / 3, n)
    for got, want in zip(turned, READ_OFF(W_Q, W_K, W_V, W_O, n), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_gd_plus_plus_is_read_as_the_step_that_it_is_for_y():
    rate, rest = READ_OFF(*matrices(gd_weights(4, 9, 2.0, gamma=0.1, dtype=torch.float32)), 9)
    assert (float(rate), float(rest)) == (pytest.approx(2.0 + 9 * 0.1, rel=1e-5), pytest.approx(0, abs=1e-6))


def test_equal_variances_give_the_plain_optimum_of_the_library():
    var = torch.full((6,), 0.3, dtype=torch.float64)
    rates, loss, common = BEST_RATES(var, 2 * var**2, 8)
    eta, expected = one_step_optimum(6, 8, var=0.3, fourth_moment=2 * 0.3**2)
    torch.testing.assert_close(rates, torch.full_like(var, eta))
    assert (float(loss), float(common)) == (pytest.approx(expected), pytest.approx(eta))


def test_the_loss_is_the_one_that_prompts_have_and_no_other_rates_do_better():
    generator = torch.Generator().manual_seed(1)
    spread = torch.tensor([1.5, 1.0, 0.4], dtype=torch.float64)
    n = 5
    rates, loss, common = BEST_RATES(spread**2, 3 * spread**4, n)
    x = spread * torch.randn(200_000, n + 1, 3, generator=generator, dtype=torch.float64)
    w = torch.randn(200_000, 3, generator=generator, dtype=torch.float64)
    y = torch.einsum("bnd,bd->bn", x, w)
    product = torch.einsum("bnd,bn->bd", x[:, :-1], y[:, :-1]) / n

    def measured(p):
        return 0.5 * ((product * p * x[:, -1]).sum(1) - y[:, -1]).square().mean()

    assert float(measured(rates)) == pytest.approx(float(loss), rel=0.02)
    best = min(measured(common * factor) for factor in (0.9, 1.0, 1.1))
    assert best == measured(common)
    assert all(measured(rates) < measured(rates * factor) for factor in torch.eye(3, dtype=torch.float64) * 0.3 + 1)


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


RIVALS = ("ridge", "two_steps", "truth", "next_step")


def mean_leads(kind, systems=20):
    """The step's mean lead in cosine over each rival, of the penalties over the nearest."""
    leads = dict.fromkeys(RIVALS, 0.0)
    for seed in range(systems):
        tools = {name: tool.double() for name, tool in kind.drawn(drawn(seed)).items()}
        assert tuple(tools) == refute.TOOLS
        own = refute.cosine(tools["model"], tools["step"]).mean()
        for name in RIVALS:
            leads[name] += float((own - refute.cosine(tools["model"], tools[name]).mean(-1).max()) / systems)
    return leads


def test_the_systems_of_the_refutation_hold_what_their_kinds_say():
    """Of the models that go with a rival, every other rival is farther than the step."""
    for kind in refute.KINDS:
        nearer = [name for name, lead in mean_leads(kind).items() if lead < 0]
        assert nearer == {"between": ["ridge"], "against": nearer, "step": []}.get(kind.does, [kind.does]), kind


def test_the_step_of_the_heads_is_what_the_library_takes():
    layer = heads.draw(drawn())[0]
    x, y = torch.cat([layer.x, layer.query[:, None]], 1), torch.cat([layer.y, torch.zeros(len(layer.y), 1)], 1)
    torch.testing.assert_close(layer.step, gradient_descent(x, y, eta=layer.rate, steps=1)[:, -1])


def test_a_sink_lets_two_heads_be_the_step():
    layers = heads.draw(drawn(1))
    for layer in layers:
        gaps = [
            heads.gap(
                layer, [(s * 0.05, sink, s * layer.rate * (sink + layer.n) / (2 * layer.n * 0.05)) for s in (1, -1)]
            )
            for sink in (0.0, 30.0, 1000.0)
        ]
        assert gaps == sorted(gaps, reverse=True) and gaps[-1] < 0.01 * gaps[0]
    assert heads.QUESTION.baseline(layers) == pytest.approx(
        sum(heads.gap(layer, heads.two_heads(layer.rate)) for layer in layers) / len(layers)
    )


@pytest.mark.parametrize(
    "handed", ["heads", [(1.0, 2.0)], [(0.1, -1.0, 1.0)], [(0.1, 0.0, float("nan"))], [(0.1, 0.0, 1.0)] * 5, 3.0]
)
def test_what_are_no_heads_is_refused(handed):
    layers = heads.draw(drawn())
    with pytest.raises(Unfit):
        heads.outcome(layers, [handed] * len(layers))
