"""The models of regression that ship: as good as their cards say and as the chapters need."""

import dataclasses
import hashlib
import json

import pytest
import torch
from scipy.optimize import minimize

from mechlib import zoo
from mechlib.icl import construction, predictors
from mechlib.icl.compare import compare_predictors, implicit_weight, ridge_dmmse_projection
from mechlib.icl.tasks import LinearRegression
from mechlib.zoo.regression_recipes import REGRESSIONS, described
from mechlib.zoo.regression_train import fresh_set, measure

MB = 1_000_000


def prompts(name, batch=2048, seed=50):
    recipe = REGRESSIONS[name]
    return recipe.tasks[0].sample(batch, recipe.training.n_points, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def errors(name, sample):
    """Squared error by position, a mean over prompts."""
    return (zoo.load(name, device="cpu")(sample.x, sample.y) - sample.y).square().mean(0)


def test_the_models_of_the_book_are_there_and_small():
    assert set(zoo.names("regression")) <= set(REGRESSIONS)
    assert {"gd-1", "gd-loop-2", "gd-loop-5", "gd-untied-2", "icl-diversity", "icl-linear", "icl-relu"} <= set(
        zoo.names("regression")
    )
    files = [zoo.card(name).folder / file for name in zoo.names("regression") for file in zoo.card(name).files]
    assert sum(file.stat().st_size for file in files) <= 10 * MB


@pytest.mark.parametrize("name", zoo.names("regression"))
def test_the_card_tells_the_recipe_that_made_the_weights(name):
    recipe, card = REGRESSIONS[name], zoo.card(name)
    assert card.shape == recipe.regressor and card.about == recipe.about
    assert card.recipe == json.loads(json.dumps(recipe.settings()))
    assert zoo.steps(name) == (0, *recipe.shipped) and card.log["step"] == recipe.looks
    assert set(recipe.remarks) <= set(card.notes)
    pools = [getattr(task, "pool", None) for task in recipe.tasks]
    expected = ["" if pool is None else hashlib.sha256(pool.numpy().tobytes()).hexdigest() for pool in pools]
    assert card.data == {"models": list(recipe.labels), "pools": expected}
    assert card.recipe["tasks"] == json.loads(json.dumps([described(task) for task in zoo.tasks(name)]))


@pytest.mark.parametrize("name", zoo.names("regression"))
def test_the_loss_on_the_card_can_be_measured_again(name):
    """On other prompts."""
    recipe, card = REGRESSIONS[name], zoo.card(name)
    generator = torch.Generator().manual_seed(5)
    sets = [fresh_set(task, 2048, recipe.training.n_points, generator) for task in recipe.tasks]
    found = measure(recipe, zoo.load(name, device="cpu"), sets)
    assert found.keys() == card.metrics.keys()
    for key, value in found.items():
        tolerance = 0.03 if key.startswith("projection") else 0.1 * card.metrics[key]
        assert value == pytest.approx(card.metrics[key], abs=tolerance), key
    assert card.checkpoints[-1].held_out_loss < 0.75 * card.checkpoints[0].held_out_loss


@torch.no_grad()
@pytest.mark.parametrize("name", zoo.names("regression"))
def test_changing_y_from_k_on_never_changes_predictions_up_to_k(name):
    model, sample, k = zoo.load(name, device="cpu"), prompts(name, batch=8), 3
    before = model(sample.x, sample.y)
    if before.dim() == 1:  # the last point alone, whose y is not looked at
        changed, k = sample.y.clone(), sample.y.shape[1] - 1
        changed[:, k:] += 3
        assert torch.equal(model(sample.x, changed), before)
        return
    after = model(sample.x, torch.where(torch.arange(sample.y.shape[1]) >= k, sample.y + 3, sample.y))
    torch.testing.assert_close(after[..., : k + 1], before[..., : k + 1], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(after[..., k + 1 :], before[..., k + 1 :], atol=1e-3)


def test_one_layer_is_one_step_of_gradient_descent():
    sample = prompts("gd-1", batch=8192)
    eta, loss = construction.one_step_optimum(10, 10, 1 / 12, 1 / 80)
    found = compare_predictors(
        zoo.load("gd-1", device="cpu"), lambda x, y: predictors.gradient_descent(x, y, eta=eta, steps=1), sample
    )
    assert found.gradient_cosine.mean() >= 0.999
    assert found.loss_f.mean().item() == pytest.approx(found.loss_g.mean().item(), rel=0.01)
    assert found.loss_g.mean().item() == pytest.approx(loss, rel=0.05)


def best_loss(sample, steps, gamma):
    """The lowest loss of GD or GD++ whose steps are all alike, on these very prompts."""

    def loss(settings):
        moved = construction.gd_predict(
            sample.x, sample.y, eta=float(settings[0]), steps=steps, gamma=float(settings[1]) if gamma else 0.0
        )
        return 0.5 * (moved - sample.y[:, -1]).square().mean().item()

    start = [10.0, 0.15] if gamma else [5.5]
    return minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-2, "fatol": 1e-4}).fun


@torch.no_grad()
def test_two_loops_are_gd_plus_plus():
    sample = prompts("gd-loop-2")
    loss = 0.5 * (zoo.load("gd-loop-2", device="cpu")(sample.x, sample.y) - sample.y[:, -1]).square().mean().item()
    assert loss == pytest.approx(best_loss(sample, 2, gamma=True), rel=0.01)
    assert loss < 0.8 * best_loss(sample, 2, gamma=False)


@torch.no_grad()
def test_untied_layers_beat_gd_plus_plus_and_are_not_stuck_at_one_step():
    sample = prompts("gd-untied-2")
    loss = 0.5 * (zoo.load("gd-untied-2", device="cpu")(sample.x, sample.y) - sample.y[:, -1]).square().mean().item()
    assert loss < best_loss(sample, 2, gamma=True) < best_loss(sample, 1, gamma=False)


@torch.no_grad()
def test_five_loops_are_nearly_as_good_as_gd_plus_plus_and_far_better_than_gd():
    sample = prompts("gd-loop-5")
    loss = 0.5 * (zoo.load("gd-loop-5", device="cpu")(sample.x, sample.y) - sample.y[:, -1]).square().mean().item()
    assert loss < 1.1 * best_loss(sample, 5, gamma=True)
    assert loss < 0.7 * best_loss(sample, 5, gamma=False)


def test_linear_regression_is_learnt_with_ten_examples():
    """The error over that of predicting zero, as in Garg et al. (2022)."""
    assert errors("icl-linear", prompts("icl-linear"))[10] / 5 < 0.025


def test_the_implicit_weight_is_the_true_one_at_twice_as_many_examples_as_dimensions():
    sample = prompts("icl-linear", batch=1024)
    gap = implicit_weight(zoo.load("icl-linear", device="cpu"), sample, 10) - sample.task
    assert 1 - gap.square().sum() / sample.task.square().sum() >= 0.94


def test_networks_are_learnt_nearly_as_by_training_one_and_better_than_by_neighbours():
    sample = prompts("icl-relu", batch=256)
    ours = errors("icl-relu", sample)[5:].mean()
    adam = predictors.mlp_gd(sample.x, sample.y, hidden=32, steps=200, lr=1e-2)
    neighbours = predictors.knn(sample.x, sample.y, k=3)
    assert ours <= 1.15 * (adam - sample.y).square()[:, 5:].mean()
    assert ours <= 0.55 * (neighbours - sample.y).square()[:, 5:].mean()


@torch.no_grad()
def test_few_tasks_are_remembered_and_many_are_not():
    model, labels = zoo.load("icl-diversity", device="cpu"), zoo.card("icl-diversity").data["models"]
    found = {}
    for i, (label, task) in enumerate(zip(labels, zoo.tasks("icl-diversity"), strict=True)):
        sample = task.sample(2048, 8, generator=torch.Generator().manual_seed(8))
        if task.pool is None:
            continue
        ridge = predictors.ridge(sample.x, sample.y, lam=0.25)
        dmmse = predictors.dmmse(sample.x, sample.y, pool=task.pool, noise_var=0.25)
        found[label] = ridge_dmmse_projection(model.select(i)(sample.x, sample.y), ridge, dmmse)
    assert found["4"] >= 0.9 and abs(found["1024"]) <= 0.1
    assert found["4"] > found["16"] > found["64"] > found["1024"]


@torch.no_grad()
def test_the_stored_outputs_end_where_the_weights_do():
    for name in zoo.names("regression"):
        if zoo.card(name).outputs is None:
            continue
        stored, model = zoo.outputs(name), zoo.load(name, device="cpu")
        assert len(stored.steps) >= 20
        torch.testing.assert_close(stored.predictions[-1], model(stored.x, stored.y), atol=5e-3, rtol=5e-3)
        assert torch.isfinite(stored.predictions).all()


def test_one_model_and_four_specialists_made_as_many_steps_on_as_many_prompts():
    multi, alone = REGRESSIONS["icl-multi"], REGRESSIONS["icl-specialists"]
    assert multi.training.steps == 4 * alone.training.steps
    same = dataclasses.replace(alone.training, steps=multi.training.steps)
    assert same == multi.training and multi.regressor.sizes == alone.regressor.sizes
    (mixture,) = multi.tasks
    assert [task.families[0] for task in alone.tasks] == list(mixture.families)
    assert isinstance(mixture.families[0], LinearRegression)
