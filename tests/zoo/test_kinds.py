"""The contract of every kind of model, on recipes of a few steps; and that a kind which is not trained says so."""

import dataclasses
import json

import pytest
import torch

from mechlib import zoo
from mechlib.training import Loop
from mechlib.zoo import files, reading, release
from mechlib.zoo.kinds import KINDS, TrainedKind, recipe_named
from mechlib.zoo.train import train, train_recipe
from tests.zoo.tiny import TINY, TRAINED

trained = pytest.mark.parametrize("word", TRAINED)


def run(word, folder, **change):
    recipe = dataclasses.replace(TINY[word], **change)
    return train_recipe(TRAINED[word], recipe, folder=folder, device="cpu", progress=False)


def equal(one, other):
    """Whether two batches hold the same numbers."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return all(map(equal, one, other))


def test_every_kind_has_a_word_of_its_own_and_every_recipe_a_name():
    assert len({kind.word for kind in KINDS}) == len(KINDS)
    names = [name for kind in KINDS for name in kind.recipes]
    assert len(set(names)) == len(names)
    assert all(name == recipe.name for kind in KINDS for name, recipe in kind.recipes.items())
    assert set(TINY) == set(TRAINED), "tests.zoo.tiny has a recipe for every kind that is trained"


@trained
def test_the_seed_decides_the_first_weights(word):
    recipe, kind = TINY[word], TRAINED[word]
    one, again, other = (files.weights_once(kind.build(recipe.shape, seed)) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@trained
def test_a_batch_depends_on_the_recipe_and_the_step_alone(word, tmp_path, small_corpus):
    one, again = (TRAINED[word].batches(TINY[word], tmp_path) for _ in range(2))
    assert equal(one[3], one[3]) and equal(one[3], again[3]) and not equal(one[3], one[4])


@trained
def test_an_update_lowers_the_loss_on_its_batch(word, tmp_path, small_corpus):
    kind, recipe = TRAINED[word], TINY[word]
    model, batches = kind.build(recipe.shape, recipe.seed), kind.batches(recipe, tmp_path)
    updates = kind.updates(recipe, model, batches)
    loop = Loop(model, dataclasses.replace(updates, steps=2, batch=lambda step: updates.batch(0)))
    list(loop.run(progress=False))
    assert loop.losses[1].sum() < loop.losses[0].sum()


@trained
@pytest.mark.parametrize("step", [0, 2, 5])
def test_a_run_that_was_killed_ends_as_one_that_was_not(word, step, tmp_path, small_corpus, killed):
    whole = run(word, tmp_path / "whole")
    killed(step, lambda: run(word, tmp_path / "killed"))
    resumed = run(word, tmp_path / "killed")
    assert resumed.files == whole.files
    assert (tmp_path / "killed/card.json").read_bytes() == (tmp_path / "whole/card.json").read_bytes()
    assert run(word, tmp_path / "killed") == resumed, "a finished run is finished"


@trained
def test_a_folder_belongs_to_one_recipe(word, tmp_path, small_corpus, killed):
    """From the first moment on; what is said about a recipe is no part of it."""
    killed(0, lambda: run(word, tmp_path))
    for change, message in (
        ({"seed": 7}, "recipe.seed is 0 there and 7 here"),
        ({"look_every": 5}, r"recipe.look_every is \d there and 5 here"),
        ({"training": dataclasses.replace(TINY[word].training, learning_rate=0.5)}, "recipe.training.learning_rate"),
    ):
        with pytest.raises(ValueError, match=f"another recipe.*{message}"):
            run(word, tmp_path, **change)
    assert run(word, tmp_path, remarks=("Small.",)).notes[-1] == "Small."


@trained
def test_a_finished_run_ships_and_loads_as_it_was_trained(word, shop, small_corpus):
    kind, recipe = TRAINED[word], TINY[word]
    card = run(word, shop / "run")
    assert reading.read_card(card.folder) == dataclasses.replace(card, **_from_json(card))
    release.install(card)
    assert zoo.names() == zoo.names(word) == (recipe.name,)
    assert zoo.steps(recipe.name) == (0, *recipe.shipped) and zoo.card(recipe.name).kind == word
    assert tuple(zoo.card(recipe.name).log["step"]) == recipe.looks
    assert len(kind.sizes(card)) == len(kind.columns)
    assert all(status == "ok" for _, status in zoo.verify())
    meter = kind.meter(recipe, kind.batches(recipe, shop / "tokens"))
    for checkpoint in zoo.card(recipe.name).checkpoints:
        for source in (recipe.name, shop / "run"):
            model = zoo.load(source, step=checkpoint.step, device="cpu")
            assert not model.training
            assert meter.held_out(model) == pytest.approx(checkpoint.held_out_loss, abs=2e-4)


def _from_json(card):
    """What lists and tuples become on the way through JSON."""
    return {field: json.loads(json.dumps(getattr(card, field))) for field in ("recipe", "data")}


@trained
@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_a_damaged_file_is_named_and_never_loaded(word, damage, shop, small_corpus):
    card = run(word, shop / "run")
    file = card.folder / card.checkpoints[-1].file
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(data[:-100] if damage == "truncated" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match=rf"{file.name} is .*mechlib zoo train {card.name}"):
        zoo.load(card.folder, device="cpu")
    zoo.load(card.folder, step=2, device="cpu")


@trained
def test_a_finished_run_can_be_asked_for_by_its_recipe(word, tmp_path, small_corpus, monkeypatch):
    monkeypatch.setattr(type(TRAINED[word]), "recipes", {TINY[word].name: TINY[word]})
    assert recipe_named(TINY[word].name) == (TRAINED[word], TINY[word])
    card = train(TINY[word].name, folder=tmp_path / "run", device="cpu", progress=False)
    assert card.name == TINY[word].name and card.kind == word


def test_a_kind_that_is_not_trained_has_no_recipes():
    others = [kind for kind in KINDS if not isinstance(kind, TrainedKind)]
    assert [kind.word for kind in others] == ["folder"]
    assert all(not kind.recipes for kind in others)


def test_unknown_names_and_kinds_are_answered_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'code-2l'"):
        train("code-2", folder=tmp_path)
    with pytest.raises(ValueError, match="did you mean 'icl-linear'"):
        train("icl-liner", folder=tmp_path)
    with pytest.raises(ValueError, match=r"'language', 'regression', 'folder', 'docstring'.*got 'vision'"):
        zoo.names("vision")


@pytest.mark.parametrize("checkpoints", [(2, 2), (6,), (9,), (0,), (4, 2)])
def test_checkpoints_ascend_below_the_last_step(checkpoints):
    with pytest.raises(ValueError, match=r"checkpoints of tiny ascend .* 6 steps"):
        dataclasses.replace(TINY["language"], checkpoints=checkpoints)


def test_cards_of_models_trained_here_say_nothing_of_a_licence(tmp_path, small_corpus):
    card = run("docstring", tmp_path)
    assert not {"licence", "attribution", "source", "parts"} & json.loads((tmp_path / "card.json").read_text()).keys()
    assert card.licence == ""
