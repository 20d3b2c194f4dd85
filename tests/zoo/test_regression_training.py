"""From a recipe of regression to a card that loads, on recipes of a few steps."""

import dataclasses
import hashlib
import json

import pytest
import torch

from mechlib import zoo
from mechlib.icl import predictors
from mechlib.icl.compare import ridge_dmmse_projection
from mechlib.icl.linear_attention import LinearSelfAttention
from mechlib.icl.mixture import Mixture
from mechlib.icl.models import Architecture, ICLTransformer
from mechlib.icl.tasks import LinearRegression, ReluNetwork
from mechlib.icl.training import Recipe
from mechlib.zoo import cards, regression_recipes, release
from mechlib.zoo.regression_recipes import RegressionRecipe, described, log_spaced, nested_pools
from mechlib.zoo.regression_train import MEASURE_SEED, fresh_set, measure
from mechlib.zoo.regressors import LinearLayers, Regressor, regressor
from mechlib.zoo.train import train

POPULATION = RegressionRecipe(
    name="tiny-pools",
    about="A test.",
    regressor=Regressor(Architecture(3, 5, d_model=8, n_layers=1), n_models=3),
    tasks=nested_pools(3, 0.5, (2, 7, None)),
    training=Recipe(steps=6, batch=4, n_points=5, learning_rate=1e-2, warmup=2, optimiser="muon"),
    labels=("2", "7", "infinite"),
    checkpoints=(2,),
    looked_at=(1, 4),
    stores_outputs=True,
)
LINEAR = RegressionRecipe(
    name="tiny-linear",
    about="A test.",
    regressor=Regressor(LinearLayers(3, n_layers=2, looped=True)),
    tasks=(LinearRegression(3, inputs="uniform"),),
    training=Recipe(steps=4, batch=4, n_points=5, learning_rate=1e-2),
    seed=3,
    remarks=("Small.",),
)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """An empty place for shipped models, and the two recipes among the others."""
    monkeypatch.setattr(cards, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(release, "SHIPPED", tmp_path / "shipped")
    for recipe in (POPULATION, LINEAR):
        monkeypatch.setitem(regression_recipes.REGRESSIONS, recipe.name, recipe)
    zoo.card.cache_clear()
    yield tmp_path
    zoo.card.cache_clear()


def shipped(recipe, shop):
    release.install(train(recipe.name, folder=shop / recipe.name, device="cpu", progress=False))
    return zoo.card(recipe.name)


def test_a_population_becomes_a_card_that_loads(shop):
    card = shipped(POPULATION, shop)
    assert zoo.names("regression") == zoo.names() == ("tiny-pools",) and zoo.names("language") == ()
    assert card.kind == "regression" and card.shape == POPULATION.regressor
    assert zoo.steps("tiny-pools") == (0, 2, 6) and card.log["step"] == (0, 1, 2, 4, 6)
    assert [c.tokens for c in card.checkpoints] == [0, 40, 120]
    model, untrained = zoo.load("tiny-pools", device="cpu"), zoo.load("tiny-pools", step=0, device="cpu")
    assert isinstance(model, ICLTransformer) and not model.training and model.n_models == 3
    assert torch.equal(untrained.embed.weight, POPULATION.regressor.build(0).embed.weight)
    assert not torch.equal(model.embed.weight, untrained.embed.weight)
    assert all(status == "ok" for _, status in zoo.verify()) and len(list(zoo.verify())) == 3


def test_a_card_says_what_its_models_do(shop):
    card = shipped(POPULATION, shop)
    model = zoo.load("tiny-pools", device="cpu")
    generator = torch.Generator().manual_seed(MEASURE_SEED)
    prompts = POPULATION.tasks[1].sample(4096, 5, generator=generator)
    own = model.select(1)(prompts.x, prompts.y).detach()
    assert card.metrics["held_out 7"] == pytest.approx(0.5 * (own - prompts.y).square().mean().item(), abs=2e-5)
    ridge = predictors.ridge(prompts.x, prompts.y, lam=0.25)
    dmmse = predictors.dmmse(prompts.x, prompts.y, pool=POPULATION.tasks[1].pool, noise_var=0.25)
    assert card.metrics["projection 7"] == pytest.approx(ridge_dmmse_projection(own, ridge, dmmse), abs=1e-4)
    losses = [card.metrics[f"held_out {label}"] for label in POPULATION.labels]
    assert card.metrics["held_out"] == pytest.approx(sum(losses) / 3, abs=2e-5)
    assert "projection infinite" not in card.metrics
    assert {key: column[-1] for key, column in card.log.items() if key != "step"} == card.metrics
    assert card.checkpoints[-1].held_out_loss == card.metrics["held_out"]


def test_stored_outputs_are_those_of_the_weights(shop):
    shipped(POPULATION, shop)
    stored, model = zoo.outputs("tiny-pools"), zoo.load("tiny-pools", step=2, device="cpu")
    assert stored.steps == (0, 1, 2, 4, 6) and stored.predictions.shape == (5, 3, 128, 5)
    torch.testing.assert_close(stored.predictions[2], model(stored.x, stored.y).detach(), atol=2e-3, rtol=2e-3)
    assert not torch.equal(stored.predictions[1], stored.predictions[2])


def test_a_layer_of_linear_self_attention_ships_too(shop):
    card = shipped(LINEAR, shop)
    model = zoo.load("tiny-linear", device="cpu")
    assert isinstance(model, LinearSelfAttention) and model.looped and model.n_layers == 2
    assert card.recipe["seed"] == 3 and card.notes[-1] == "Small." and "clip" not in card.recipe["training"]
    assert set(card.metrics) == {"held_out"} and zoo.steps("tiny-linear") == (0, 4)
    with pytest.raises(ValueError, match="tiny-linear has no stored outputs"):
        zoo.outputs("tiny-linear")


def test_a_run_that_was_killed_goes_on_to_the_same_card(shop, monkeypatch):
    monkeypatch.setattr("mechlib.icl.training.SAVE_EVERY", 3)
    whole = train("tiny-pools", folder=shop / "whole", device="cpu", progress=False)

    class Killed(BaseException):
        pass

    def killed(self):
        if self.step == 5:
            raise Killed
        return update(self)

    update = training_run().update
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training_run(), "update", killed)
        train("tiny-pools", folder=shop / "killed", device="cpu", progress=False)
    resumed = train("tiny-pools", folder=shop / "killed", device="cpu", progress=False)
    assert resumed.files == whole.files and resumed.log == whole.log


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "another model .*weights.embed.weight has other numbers"),
        ({"tasks": nested_pools(3, 0.5, (3, 7, None))}, r"task.0.pool is \[2, 3\] there and \[3, 3\] here"),
        ({"looked_at": (1, 3, 4)}, "passed step 3 of watch_at and kept no weights"),
    ],
)
def test_a_folder_belongs_to_one_recipe(shop, monkeypatch, change, message):
    train("tiny-pools", folder=shop / "run", device="cpu", progress=False)
    monkeypatch.setitem(regression_recipes.REGRESSIONS, "tiny-pools", dataclasses.replace(POPULATION, **change))
    with pytest.raises(ValueError, match=message):
        train("tiny-pools", folder=shop / "run", device="cpu", progress=False)


def training_run():
    from mechlib.icl import training

    return training._Run


def test_a_card_survives_the_disk(shop):
    for recipe in (POPULATION, LINEAR):
        card = shipped(recipe, shop)
        assert cards.read_card(card.folder) == card
        assert regressor(json.loads(json.dumps(dataclasses.asdict(recipe.regressor)))) == recipe.regressor


def test_a_damaged_file_of_outputs_is_named_and_not_read(shop):
    file = shipped(POPULATION, shop).folder / "outputs.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"outputs\.safetensors is damaged"):
        zoo.outputs("tiny-pools")
    assert sum(status != "ok" for _, status in zoo.verify()) == 1


@torch.no_grad()
def test_a_perfect_predictor_measures_as_one():
    """Ridge regression at the noise's variance has projection 0 and the Bayes risk; the pool's posterior has 1."""
    task = POPULATION.tasks[0]
    recipe = dataclasses.replace(POPULATION, regressor=Regressor(LinearLayers(3)), tasks=(task,), labels=("",))
    sets = [fresh_set(task, 2000, 5, torch.Generator().manual_seed(1))]
    known = {
        "ridge": lambda x, y: predictors.ridge(x, y, lam=0.25),
        "dmmse": lambda x, y: predictors.dmmse(x, y, pool=task.pool, noise_var=0.25),
    }
    found = {name: measure(recipe, predictor, sets) for name, predictor in known.items()}
    assert found["ridge"]["projection "] == 0 and found["dmmse"]["projection "] == 1
    assert 0.125 < found["dmmse"]["held_out"] < found["ridge"]["held_out"]


def test_pools_are_nested_and_of_one_seed():
    small, large, infinite = nested_pools(3, 0.1, (2, 9, None))
    assert torch.equal(small.pool, large.pool[:2]) and infinite.pool is None
    assert torch.equal(nested_pools(3, 0.1, (9,))[0].pool, large.pool)


def test_a_pool_is_told_by_its_hash(shop):
    card = shipped(POPULATION, shop)
    assert card.data["pools"][1] == hashlib.sha256(POPULATION.tasks[1].pool.numpy().tobytes()).hexdigest()
    assert card.data["pools"][2] == "" and card.data["models"] == ["2", "7", "infinite"]


def test_tasks_are_told_as_json():
    mixture = Mixture(3, families=(LinearRegression(3), ReluNetwork(3, hidden=4)), scales=(1.0, 0.5))
    told = json.loads(json.dumps(described(mixture)))
    assert told["family"] == "Mixture" and told["scales"] == [1.0, 0.5]
    assert told["families"][1] == {"family": "ReluNetwork", "d": 3, "noise": 0.0, "inputs": "normal", "hidden": 4}
    assert described(POPULATION.tasks[1])["pool"] == 7


def test_looks_are_spaced_evenly_on_a_logarithmic_axis():
    steps = log_spaced(10, 1000, 5)
    assert steps == (10, 32, 100, 316, 1000)


def test_unknown_names_and_kinds_are_answered_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'icl-linear'"):
        train("icl-liner", folder=tmp_path)
    with pytest.raises(ValueError, match="did you mean 'icl-relu'"):
        zoo.tasks("icl-rel")
    with pytest.raises(ValueError, match=r"'language', 'regression'.*got 'vision'"):
        zoo.names("vision")
