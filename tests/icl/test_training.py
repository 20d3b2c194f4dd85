"""Training: what it converges to, that it resumes to the same bits, and that a population is many runs in one."""

import dataclasses

import pytest
import torch

from mechlib.icl import construction, predictors, tasks
from mechlib.icl.compare import compare_predictors
from mechlib.icl.linear_attention import LinearSelfAttention
from mechlib.icl.models import Architecture, ICLTransformer
from mechlib.icl.training import Recipe, train

SMALL = Recipe(steps=12, batch=8, n_points=5, learning_rate=1e-2, warmup=3, clip=0.5)


def small(n_models=1, seed=0):
    return ICLTransformer(Architecture(3, 5, d_model=8), n_models=n_models, seed=seed)


def same(a, b):
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_one_linear_layer_learns_one_step_of_gradient_descent():
    """Closed form: the best step for ten dimensions and ten examples (von Oswald et al. 2023, Fig. 2)."""
    task = tasks.LinearRegression(10, inputs="uniform")
    model = LinearSelfAttention(10)
    train(model, task, Recipe(steps=2000, batch=512, n_points=11, learning_rate=1e-2), progress=False)
    eta, loss = construction.one_step_optimum(10, 10, 1 / 12, 1 / 80)
    sample = task.sample(10_000, 11, generator=torch.Generator().manual_seed(1))
    found = compare_predictors(model, lambda x, y: predictors.gradient_descent(x, y, eta=eta, steps=1), sample)
    assert found.gradient_cosine.mean() > 0.999
    assert found.loss_f.mean().item() == pytest.approx(loss, rel=0.03)
    assert found.loss_f.mean().item() == pytest.approx(found.loss_g.mean().item(), rel=0.005)


@pytest.mark.parametrize("looped", [False, True])
def test_layers_given_the_constructed_weights_do_gradient_descent(looped):
    model = LinearSelfAttention(3, n_layers=4, looped=looped, n_models=2).double()
    layer = construction.gd_weights(3, 5, 0.7, 0.02)
    with torch.no_grad():
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            getattr(model, name).copy_(getattr(layer, name))
    sample = tasks.LinearRegression(3).sample(4, 6, generator=torch.Generator().manual_seed(0))
    expected = construction.gd_predict(sample.x.double(), sample.y.double(), eta=0.7, steps=4, gamma=0.02)
    torch.testing.assert_close(model(sample.x.double(), sample.y.double()), expected.expand(2, -1))


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_run_that_was_stopped_ends_at_the_same_bits(tmp_path, monkeypatch, optimiser):
    recipe = dataclasses.replace(SMALL, optimiser=optimiser)
    monkeypatch.setattr("mechlib.icl.training.SAVE_EVERY", 5)
    whole, task = small(), tasks.LinearRegression(3)
    history = train(
        whole, task, recipe, watch=lambda m: float(m.read.weight.sum()), watch_at=(0, 4, 12), progress=False
    )

    class Stopped(Exception):
        pass

    def stop(model):
        raise Stopped

    stopped = small()
    with pytest.raises(Stopped):
        train(stopped, task, recipe, watch=stop, watch_at=(8,), folder=tmp_path, progress=False)
    resumed = small(seed=5)
    later = train(resumed, task, recipe, watch=lambda m: 0.0, watch_at=(12,), folder=tmp_path, progress=False)
    same(resumed, whole)
    assert torch.equal(later.loss, history.loss)
    assert sorted(history.watched) == [0, 4, 12] and sorted(later.watched) == [12]
    with pytest.raises(ValueError, match="another recipe"):
        train(small(), task, Recipe(steps=9, batch=8, n_points=5, learning_rate=1e-2), folder=tmp_path, progress=False)


def test_a_population_is_its_models_trained_alone():
    pools = [torch.randn(m, 3, generator=torch.Generator().manual_seed(m)) for m in (2, 4)]
    population = small(n_models=2)
    alone = [population.select(i) for i in range(2)]
    history = train(population, tasks.LinearRegression(3), SMALL, progress=False)
    sample = tasks.LinearRegression(3).sample(4, 5, generator=torch.Generator().manual_seed(9))
    for i, model in enumerate(alone):
        own = train(model, tasks.LinearRegression(3), SMALL, progress=False)
        torch.testing.assert_close(model(sample.x, sample.y), population(sample.x, sample.y)[i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(own.loss[:, 0], history.loss[:, i], atol=1e-4, rtol=1e-4)
    different = small(n_models=2)
    losses = train(different, [tasks.LinearRegression(3, pool=pool) for pool in pools], SMALL, progress=False).loss
    assert losses.shape == (12, 2) and not torch.allclose(losses[:, 0], losses[:, 1])


def test_the_rate_rises_and_falls():
    rates = [SMALL.rate(step) for step in range(12)]
    assert rates[:3] == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2])
    assert rates[3] == pytest.approx(1e-2) and rates[-1] < 5e-4
    assert rates[2:] == sorted(rates[2:], reverse=True)
    constant = Recipe(steps=12, batch=8, n_points=5, learning_rate=1e-2, schedule="constant")
    assert {constant.rate(step) for step in range(12)} == {1e-2}


def test_cycles_go_through_the_schedule_again():
    twice = dataclasses.replace(SMALL, steps=24, cycles=2)
    assert [twice.rate(step) for step in range(24)] == 2 * [SMALL.rate(step) for step in range(12)]


def test_clipping_bounds_the_gradient_of_each_model():
    model = small(n_models=2)
    seen = []
    optimiser_step = torch.optim.Adam.step

    def look(self, *args, **kwargs):
        grads = [p.grad.flatten(1) for g in self.param_groups for p in g["params"]]
        seen.append(torch.cat(grads, 1).norm(dim=1))
        return optimiser_step(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", look)
        train(model, tasks.LinearRegression(3, noise=9.0), SMALL, progress=False)
    norms = torch.stack(seen)
    assert norms.max() <= 0.5 + 1e-5 and (norms > 0.499).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Recipe(steps=0, batch=8, n_points=5, learning_rate=1e-2), "got 0, 8, 5"),
        (lambda: Recipe(steps=1, batch=8, n_points=5, learning_rate=-1.0), "-1.0"),
        (lambda: Recipe(steps=1, batch=8, n_points=5, learning_rate=0.1, schedule="step"), "got 'step'"),
        (lambda: Recipe(steps=1, batch=8, n_points=5, learning_rate=0.1, optimiser="sgd"), "got 'sgd'"),
        (lambda: Recipe(steps=9, batch=8, n_points=5, learning_rate=0.1, cycles=2), "divides steps=9, got 2"),
        (lambda: LinearSelfAttention(3, n_layers=0), "n_layers=0"),
        (lambda: train(small(), [tasks.LinearRegression(3)] * 2, SMALL), "each of the 1 models is needed, got 2"),
        (lambda: LinearSelfAttention(4)(torch.zeros(2, 5, 3), torch.zeros(2, 5)), r"4 dimensions, got \(2, 5, 3\)"),
        (lambda: LinearSelfAttention(3)(torch.zeros(2, 1, 3), torch.zeros(2, 1)), "a query and no example"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_loss_that_explodes_stops_the_run_with_its_step():
    with pytest.raises(FloatingPointError, match="at step"):
        train(
            LinearSelfAttention(3, n_layers=6),
            tasks.LinearRegression(3, noise=1e30),
            Recipe(steps=50, batch=4, n_points=5, learning_rate=10.0, schedule="constant"),
            progress=False,
        )
