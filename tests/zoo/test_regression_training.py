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
from mechlib.icl.models import ICLTransformer
from mechlib.icl.tasks import LinearRegression, ReluNetwork
from mechlib.zoo import reading, release
from mechlib.zoo.kinds.regression import MEASURE_SEED, Regression, fresh_set, measure
from mechlib.zoo.kinds.regression_recipes import Taught, described, log_spaced, nested_pools
from mechlib.zoo.regressors import LinearLayers, Regressor, regressor
from mechlib.zoo.train import train_recipe
from tests.zoo.tiny import LINEAR, POPULATION


def run(recipe, folder):
    return train_recipe(Regression(), recipe, folder=folder, device="cpu", progress=False)


def shipped(recipe, shop):
    release.install(run(recipe, shop / recipe.name))
    return zoo.card(recipe.name)


def test_a_population_becomes_a_card_that_loads(shop):
    card = shipped(POPULATION, shop)
    assert zoo.names("regression") == zoo.names() == ("tiny-pools",) and zoo.names("language") == ()
    assert card.kind == "regression" and card.shape == POPULATION.shape
    assert zoo.steps("tiny-pools") == (0, 2, 6) and card.log["step"] == (0, 1, 2, 4, 6)
    assert [c.tokens for c in card.checkpoints] == [0, 40, 120]
    model, untrained = zoo.load("tiny-pools", device="cpu"), zoo.load("tiny-pools", step=0, device="cpu")
    assert isinstance(model, ICLTransformer) and not model.training and model.n_models == 3
    assert torch.equal(untrained.embed.weight, POPULATION.shape.build(0).embed.weight)
    assert not torch.equal(model.embed.weight, untrained.embed.weight)
    assert all(status == "ok" for _, status in zoo.verify()) and len(list(zoo.verify())) == 3


def test_a_card_says_what_its_models_do(shop):
    card = shipped(POPULATION, shop)
    model = zoo.load("tiny-pools", device="cpu")
    generator = torch.Generator().manual_seed(MEASURE_SEED)
    prompts = POPULATION.data.tasks[1].sample(4096, 5, generator=generator)
    own = model.select(1)(prompts.x, prompts.y).detach()
    assert card.metrics["held_out 7"] == pytest.approx(0.5 * (own - prompts.y).square().mean().item(), abs=2e-5)
    ridge = predictors.ridge(prompts.x, prompts.y, lam=0.25)
    dmmse = predictors.dmmse(prompts.x, prompts.y, pool=POPULATION.data.tasks[1].pool, noise_var=0.25)
    assert card.metrics["projection 7"] == pytest.approx(ridge_dmmse_projection(own, ridge, dmmse), abs=1e-4)
    losses = [card.metrics[f"held_out {label}"] for label in POPULATION.data.labels]
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


def test_a_folder_belongs_to_one_set_of_pools(tmp_path):
    run(POPULATION, tmp_path)
    others = dataclasses.replace(POPULATION, data=Taught(nested_pools(3, 0.5, (3, 7, None)), POPULATION.data.labels))
    with pytest.raises(ValueError, match=r"recipe.data.tasks.0.pool is \[2, 3\] there and \[3, 3\] here"):
        run(others, tmp_path)


def test_a_card_survives_the_disk(shop):
    for recipe in (POPULATION, LINEAR):
        card = shipped(recipe, shop)
        assert reading.read_card(card.folder) == card
        assert regressor(json.loads(json.dumps(dataclasses.asdict(recipe.shape)))) == recipe.shape


def test_a_damaged_file_of_outputs_is_named_and_not_read(shop):
    file = shipped(POPULATION, shop).folder / "outputs.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"outputs\.safetensors is damaged"):
        zoo.outputs("tiny-pools")
    assert sum(status != "ok" for _, status in zoo.verify()) == 1


@torch.no_grad()
def test_a_perfect_predictor_measures_as_one():
    """Ridge regression at the noise's variance has projection 0 and the Bayes risk; the pool's posterior has 1."""
    task = POPULATION.data.tasks[0]
    recipe = dataclasses.replace(POPULATION, shape=Regressor(LinearLayers(3)), data=Taught((task,)))
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
    tenths = (10 * POPULATION.data.tasks[1].pool).round().to(torch.int8)
    assert card.data["pools"][1] == hashlib.sha256(tenths.numpy().tobytes()).hexdigest()
    assert card.data["pools"][2] == "" and card.data["models"] == ["2", "7", "infinite"]


def test_tasks_are_told_as_json():
    mixture = Mixture(3, families=(LinearRegression(3), ReluNetwork(3, hidden=4)), scales=(1.0, 0.5))
    told = json.loads(json.dumps(described(mixture)))
    assert told["family"] == "Mixture" and told["scales"] == [1.0, 0.5]
    assert told["families"][1] == {"family": "ReluNetwork", "d": 3, "noise": 0.0, "inputs": "normal", "hidden": 4}
    assert described(POPULATION.data.tasks[1])["pool"] == 7


def test_looks_are_spaced_evenly_on_a_logarithmic_axis():
    steps = log_spaced(10, 1000, 5)
    assert steps == (10, 32, 100, 316, 1000)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'icl-relu'"):
        zoo.tasks("icl-rel")
