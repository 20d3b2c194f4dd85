"""The models of regression that ship: as good as their cards say and as the chapters need."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mechlib import zoo
from mechlib.icl import construction, predictors
from mechlib.icl.compare import compare_predictors, implicit_weight, ridge_dmmse_projection
from mechlib.icl.linear_attention import LinearSelfAttention
from mechlib.icl.tasks import LinearRegression
from mechlib.zoo.kinds.regression import Regression, fresh_set, measure
from mechlib.zoo.kinds.regression_recipes import REGRESSIONS, described
from tests.sampling import mean_is

MB = 1_000_000


def prompts(name, batch=2048, seed=50):
    recipe = REGRESSIONS[name]
    return recipe.data.tasks[0].sample(batch, recipe.training.n_points, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def errors(name, sample):
    """Squared error by position, a mean over prompts."""
    return (zoo.load(name, device="cpu")(sample.x, sample.y) - sample.y).square().mean(0)


def test_the_models_of_the_book_are_there_and_small():
    assert set(zoo.names("regression")) <= set(REGRESSIONS)
    assert {
        "gd-1",
        "gd-loop-2",
        "gd-loop-5",
        "gd-untied-2",
        "icl-diversity",
        "icl-linear",
        "icl-relu",
        "icl-transient",
    } <= set(zoo.names("regression"))
    files = [zoo.card(name).folder / file for name in zoo.names("regression") for file in zoo.card(name).files]
    assert sum(file.stat().st_size for file in files) <= 11 * MB


def in_tenths(pool: torch.Tensor | None) -> str:
    """Draws differ in their last digits between processors, by up to 1.5e-6 here."""
    return "" if pool is None else hashlib.sha256(np.rint(10 * pool.numpy()).astype(np.int8).tobytes()).hexdigest()


@pytest.mark.parametrize("name", zoo.names("regression"))
def test_the_card_tells_the_recipe_that_made_the_weights(name):
    recipe, card = REGRESSIONS[name], zoo.card(name)
    assert card.shape == recipe.shape and card.about == recipe.about
    assert card.recipe == json.loads(json.dumps(Regression().settings(recipe)))
    assert zoo.steps(name) == (0, *recipe.shipped) and card.log["step"] == recipe.looks
    assert set(recipe.remarks) <= set(card.notes)
    pools = [getattr(task, "pool", None) for task in recipe.data.tasks]
    assert card.data == {"models": list(recipe.data.labels), "pools": [in_tenths(pool) for pool in pools]}
    for pool in pools:
        assert pool is None or ((10 * pool) % 1 - 0.5).abs().min() / 10 > 1e-5, "a draw rounds otherwise elsewhere"
    assert card.recipe["tasks"] == json.loads(json.dumps([described(task) for task in zoo.tasks(name)]))


@pytest.mark.parametrize("name", zoo.names("regression"))
def test_the_loss_on_the_card_can_be_measured_again(name):
    """On other prompts."""
    recipe, card = REGRESSIONS[name], zoo.card(name)
    generator = torch.Generator().manual_seed(5)
    sets = [fresh_set(task, 2048, recipe.training.n_points, generator) for task in recipe.data.tasks]
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
    if isinstance(model, LinearSelfAttention):  # the last point alone, whose y is not looked at
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
    mean_is(found.loss_g, loss, within=0.035)


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
def test_two_loops_are_gd_plus_plus_from_every_start():
    sample = prompts("gd-loop-2-runs")
    loss = 0.5 * (zoo.load("gd-loop-2-runs", device="cpu")(sample.x, sample.y) - sample.y[:, -1]).square().mean(1)
    assert loss.tolist() == pytest.approx([best_loss(sample, 2, gamma=True)] * 5, rel=0.02)


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
    assert errors("icl-linear", prompts("icl-linear"))[10] / 5 < 0.01


@pytest.mark.parametrize(("name", "model"), [("icl-linear", None), ("icl-probe", None), ("icl-probe-seeds", 0)])
def test_the_implicit_weight_is_the_true_one_at_twice_as_many_examples_as_dimensions(name, model):
    sample, trained = prompts(name, batch=1024), zoo.load(name, device="cpu")
    one = trained if model is None else trained.select(model)
    gap = implicit_weight(one, sample, 2 * zoo.tasks(name)[0].d) - sample.task
    assert 1 - gap.square().sum() / sample.task.square().sum() >= 0.94


@torch.no_grad()
def test_more_noise_in_training_means_more_shrinking_on_the_same_prompts():
    sample, penalties = prompts("icl-noise", batch=512), [0.1 * 2 ** (i / 3) for i in range(19)]
    ours = zoo.load("icl-noise", device="cpu")(sample.x, sample.y)[:, :, 4:]
    ridges = torch.stack([predictors.ridge(sample.x, sample.y, lam=lam)[:, 4:] for lam in penalties])
    nearest = (ours[:, None] - ridges).square().mean((2, 3)).argmin(1)
    noise = [task.noise for task in zoo.tasks("icl-noise")]
    assert noise == sorted(noise) and len(set(noise)) == 3
    low, middle, high = nearest.view(3, 3)
    assert low.max() < middle.min() and middle.max() < high.min()


def test_networks_are_learnt_as_by_training_one_and_better_than_by_neighbours():
    """On enough prompts for a bound of 5 %; every third point stands for all from 5 to 20."""
    sample, points = prompts("icl-relu", batch=1024), range(5, 21, 3)
    target = sample.y[:, points]
    ours = errors("icl-relu", sample)[points].mean()
    adam = predictors.mlp_gd(sample.x, sample.y, hidden=32, steps=200, lr=1e-2, at=points)
    neighbours = predictors.knn(sample.x, sample.y, k=3)[:, points]
    assert ours <= 1.05 * (adam - target).square().mean()
    assert ours <= 0.55 * (neighbours - target).square().mean()


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
def test_small_pools_are_left_by_the_way_of_ridge_and_new_tasks_are_not():
    """On new tasks: nearest to ridge at an early checkpoint, and farther at the end, unless tasks never repeat."""
    labels, stored = zoo.card("icl-transient").data["models"], zoo.outputs("icl-transient")
    distance = (stored.predictions.float() - predictors.ridge(stored.x, stored.y, lam=0.125)).square().mean((2, 3))
    nearest = {label: stored.steps[i] for label, i in zip(labels, distance[:-1].argmin(0).tolist(), strict=True)}
    assert set(nearest.values()) <= set(zoo.steps("icl-transient"))
    task = LinearRegression(4, noise=0.125**0.5)
    sample = task.sample(1024, 8, generator=torch.Generator().manual_seed(6))
    ridge = predictors.ridge(sample.x, sample.y, lam=0.125)

    def apart(label, step):
        model = zoo.load("icl-transient", step=step, device="cpu").select(labels.index(label))
        return (model(sample.x, sample.y) - ridge).square().mean()

    for label in ("8", "16"):
        assert nearest[label] < 3000 and apart(label, None) > 1.2 * apart(label, nearest[label])
    assert apart("infinite", None) < apart("infinite", nearest["8"])


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
    assert same == multi.training and multi.shape.sizes == alone.shape.sizes
    (mixture,) = multi.data.tasks
    assert [task.families[0] for task in alone.data.tasks] == list(mixture.families)
    assert isinstance(mixture.families[0], LinearRegression)


def test_a_specialist_of_the_runs_had_the_part_of_its_family_in_every_batch():
    one, each = REGRESSIONS["icl-multi-runs"], REGRESSIONS["icl-specialists-runs"]
    families = one.data.tasks[0].families
    assert dataclasses.replace(each.training, batch=len(families) * each.training.batch) == one.training
    assert one.shape.sizes == each.shape.sizes and len(set(one.data.tasks)) == 1
    assert [task.families for task in each.data.tasks] == [(family,) for family in families for _ in one.data.tasks]
    assert len(set(each.data.labels)) == len(each.data.tasks)


@torch.no_grad()
@pytest.mark.parametrize("name", ["icl-sparse", "icl-tree", "icl-multi", "icl-multi-runs"])
def test_examples_help_and_shuffled_ones_do_not(name):
    sample = prompts(name, batch=1024)
    model, order = zoo.load(name, device="cpu"), torch.randperm(10, generator=torch.Generator().manual_seed(0))
    shuffled = sample.y.clone()
    shuffled[:, :10] = sample.y[:, order]
    zero = sample.y[:, 10].square().mean()
    assert ((model(sample.x, sample.y)[..., 10] - sample.y[:, 10]).square().mean(-1) < 0.8 * zero).all()
    assert ((model(sample.x, shuffled)[..., 10] - sample.y[:, 10]).square().mean(-1) > zero).all()
