"""The constructed layers against gradient descent written out, and the best step against its expectation."""

import pytest
import torch

from mechlib.icl import construction, predictors, tasks
from tests.sampling import mean_is


def prompts(batch=6, n_points=11, d=10, seed=0):
    sample = tasks.LinearRegression(d, inputs="uniform").sample(
        batch, n_points, generator=torch.Generator().manual_seed(seed)
    )
    return sample.x.double(), sample.y.double()


@pytest.mark.parametrize("steps", [0, 1, 2, 50])
def test_layers_are_steps_of_gradient_descent(steps):
    x, y = prompts()
    found = construction.gd_predict(x, y, eta=3.0, steps=steps)
    expected = predictors.gradient_descent(x, y, eta=3.0, steps=steps)[:, -1]
    assert (found - expected).abs().max() < 1e-12


@pytest.mark.parametrize("gamma", [0.0, 0.07, [0.02, 0.0, 0.05]])
def test_layers_with_gamma_are_steps_of_gd_plus_plus(gamma):
    x, y = prompts(n_points=8, d=4)
    gammas, etas = gamma if isinstance(gamma, list) else [gamma] * 3, [2.0, 1.0, 3.0]
    inputs, residual = x.clone(), y.clone()
    residual[:, -1] = 0
    for eta, step in zip(etas, gammas, strict=True):
        moment = torch.einsum("bnd,bn->bd", inputs[:, :-1], residual[:, :-1])
        scatter = inputs[:, :-1].mT @ inputs[:, :-1]
        residual = residual - (eta / 7 + step) * torch.einsum("bnd,bd->bn", inputs, moment)
        inputs = inputs - step * inputs @ scatter
    found = construction.gd_predict(x, y, eta=etas, steps=3, gamma=gamma)
    torch.testing.assert_close(found, -residual[:, -1], atol=1e-12, rtol=1e-12)


def test_the_answer_of_the_query_is_not_looked_at():
    x, y = prompts()
    hidden = y.clone()
    hidden[:, -1] = torch.nan
    assert torch.equal(
        construction.gd_predict(x, hidden, eta=1.0, steps=3), construction.gd_predict(x, y, eta=1.0, steps=3)
    )
    assert y[:, -1].isfinite().all() and hidden[:, -1].isnan().all()


@pytest.mark.parametrize(
    ("d", "n", "inputs", "var", "fourth"), [(10, 10, "uniform", 1 / 12, 1 / 80), (3, 5, "normal", 1, 3)]
)
def test_the_best_step_is_where_the_sampled_loss_is_lowest(d, n, inputs, var, fourth):
    eta, loss = construction.one_step_optimum(d, n, var, fourth)
    sample = tasks.LinearRegression(d, inputs=inputs).sample(200_000, n + 1, generator=torch.Generator().manual_seed(1))
    unit = construction.gd_predict(sample.x, sample.y, eta=1.0, steps=1)
    target = sample.y[:, -1]
    mean_is(unit * (eta * unit - target), 0, within=0.05 * eta * unit.square().mean())  # the slope at the best step
    mean_is(0.5 * (eta * unit - target).square(), loss, within=0.05 * loss)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: construction.gd_weights(0, 3, 1.0), "d=0, n=3"),
        (lambda: construction.one_step_optimum(3, 0, 1.0, 3.0), "d=3, n=0"),
        (lambda: construction.one_step_optimum(3, 5, 1.0, 0.5), "fourth_moment >= var"),
        (lambda: construction.one_step_optimum(3, 5, -1.0, 3.0), "var > 0"),
        (lambda: construction.gd_predict(*prompts(n_points=1), eta=1.0, steps=1), "a query and no example"),
        (lambda: construction.gd_predict(*prompts(), eta=1.0, steps=-1), "at least 0, got -1"),
        (lambda: construction.gd_predict(*prompts(), eta=[1.0, 2.0], steps=3), "each of the 3 steps, got 2"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
