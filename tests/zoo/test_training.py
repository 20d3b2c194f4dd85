"""The trainer on a recipe of a few steps; what it shares with the shipped models is all but the sizes."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from mechlib import text, zoo
from mechlib.bridge import Shape
from mechlib.zoo import data, release, train
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import token_losses, windows
from mechlib.zoo.recipes import RECIPES, Recipe, Rows
from mechlib.zoo.train import Trainer

TINY = Recipe(
    name="tiny",
    about="A test.",
    shape=Shape(n_layers=2, d_model=32, n_heads=2, d_head=16, d_mlp=48, n_ctx=24, d_vocab=2048),
    rows=Rows(stdlib=5, repeated=2),
    steps=6,
    checkpoints=(2, 6),
    warmup=2,
    decay_from=4,
    optimiser="muon",
    learning_rate=3e-3,
)


@pytest.fixture
def small_corpus(monkeypatch):
    documents = {"train": text.files("train")[:12], "held_out": text.files("held_out")[:3]}
    monkeypatch.setattr(text, "files", lambda split, tests=False: documents[split])


def run(folder, *, until=None, recipe=TINY):
    trainer = Trainer(recipe, folder, progress=False)
    trainer.run(until)
    return trainer


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(tmp_path, small_corpus, monkeypatch, optimiser):
    recipe = dataclasses.replace(TINY, optimiser=optimiser)
    monkeypatch.setattr(train, "SAVE_EVERY", 3)
    whole = run(tmp_path / "whole", recipe=recipe)
    run(tmp_path / "killed", until=5, recipe=recipe)
    resumed = run(tmp_path / "killed", recipe=recipe)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key
    assert load_file(tmp_path / "whole/step-000006.safetensors").keys() == whole.model.state_dict().keys() - {
        "head.weight"
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "another recipe and another text .*recipe.seed is 0 there and 1 here"),
        ({"learning_rate": 1e-3}, "recipe.learning_rate is 0.003 there and 0.001 here"),
        ({"steps": 8, "checkpoints": (2, 8)}, "recipe.steps is 6 there and 8 here"),
        (
            {"shape": dataclasses.replace(TINY.shape, n_heads=1, d_head=32)},
            "recipe.shape.n_heads is 2 there and 1 here",
        ),
        ({"rows": Rows(stdlib=5, repeated=3)}, "recipe.rows.repeated is 2 there and 3 here"),
    ],
)
def test_a_folder_belongs_to_one_recipe(tmp_path, small_corpus, change, message):
    """From the first moment on, so that no log of another run is added to; what a recipe remarks is no part of it."""
    Trainer(TINY, tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match=message):
        Trainer(dataclasses.replace(TINY, **change), tmp_path / "run", progress=False)
    run(tmp_path / "run", until=3)
    with pytest.raises(ValueError, match=message):
        Trainer(dataclasses.replace(TINY, **change), tmp_path / "run", progress=False)
    assert Trainer(dataclasses.replace(TINY, remarks=("Small.",)), tmp_path / "run", progress=False).step == 3


def test_a_folder_belongs_to_one_text(tmp_path, small_corpus, monkeypatch):
    run(tmp_path / "run", until=3)
    less = text.files("train")[:11]
    monkeypatch.setattr(text, "files", lambda split, tests=False: less)
    with pytest.raises(ValueError, match=r"another text .*text has other numbers"):
        Trainer(TINY, tmp_path / "run", progress=False)


def test_an_untied_model_keeps_its_unembedding(tmp_path, small_corpus):
    recipe = dataclasses.replace(TINY, shape=dataclasses.replace(TINY.shape, tied=False))
    trainer = run(tmp_path / "run", recipe=recipe)
    saved = load_file(tmp_path / "run/step-000006.safetensors")
    assert saved.keys() == trainer.model.state_dict().keys()
    reloaded = release._decoder(recipe, tmp_path / "run", 6)
    torch.testing.assert_close(reloaded.head.weight, trainer.model.head.weight, atol=1e-3, rtol=1e-3)
    assert not torch.equal(reloaded.head.weight, reloaded.tok_embed.weight)


def test_the_log_is_what_evaluation_measures_and_a_step_stands_in_it_once(tmp_path, small_corpus, monkeypatch):
    monkeypatch.setattr(train, "SAVE_EVERY", 3)
    run(tmp_path / "run", until=5)
    trainer = run(tmp_path / "run")
    with (tmp_path / "run" / release.LOG).open("a") as file:
        file.write(json.dumps({"step": 9, "held_out": 0.0, "in_context": 0.0, "repeat": 0.0}) + "\n")
    log = release._log(tmp_path / "run", 6)
    assert log["step"] == (0, 2, 3, 5, 6)
    passages = windows(text.stream(text.files("held_out")), 25)
    passages = passages[:: max(1, len(passages) // train.CURVE_ROWS)]
    assert log["held_out"][-1] == pytest.approx(token_losses(trainer.model, passages).mean().item(), abs=1e-4)


def test_training_lowers_the_loss_on_what_it_sees(tmp_path, small_corpus):
    longer = dataclasses.replace(TINY, steps=60, checkpoints=(60,), decay_from=None)
    run(tmp_path / "run", recipe=longer)
    losses = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    batches = data.Batches(longer, tmp_path / "tokens")
    trained = release._decoder(longer, tmp_path / "run", 60)
    before = token_losses(Decoder(longer.shape, longer.seed), batches[1000]).mean()
    after = token_losses(trained, batches[1000]).mean()
    assert after < before - 0.5
    assert losses[-1]["step"] == 60


def test_a_batch_depends_on_seed_and_step_alone(tmp_path, small_corpus):
    batches = data.Batches(TINY, tmp_path)
    assert torch.equal(batches[3], batches[3])
    assert not torch.equal(batches[3], batches[4])
    assert not torch.equal(batches[3], data.Batches(dataclasses.replace(TINY, seed=1), tmp_path)[3])
    assert batches[3].shape == (7, 25)


def test_repeated_rows_repeat_with_their_own_period(tmp_path, small_corpus):
    rows = data.Batches(TINY, tmp_path)[0][-2:]
    for row in rows:
        periods = [p for p in range(1, len(row)) if torch.equal(row[p:], row[:-p])]
        assert periods and 10 <= periods[0] < 13


def test_near_copies_of_held_out_files_are_left_out(tmp_path, monkeypatch):
    held_out = "\n".join(f"held_out_statement_number_{i} = compute_something({i})" for i in range(40))
    fresh = "\n".join(f"entirely_different_line_{i} = another_function({i})" for i in range(40))
    monkeypatch.setattr(text, "files", lambda split, tests=False: (text.SourceFile("a.py", held_out),))
    package = tmp_path / "twins"
    package.mkdir()
    for name, source in {"__init__.py": fresh, "copy.py": held_out, "third.py": fresh + "\n" + held_out[:900]}.items():
        (package / name).write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    kept = {d.path for d in data.package_files(["twins"])}
    assert kept == {"twins/__init__.py"}
    with pytest.raises(ModuleNotFoundError, match="'no_such_package'"):
        data.package_files(["no_such_package"])


def test_the_rate_warms_up_stays_and_decays_to_zero():
    rates = [TINY.rate(step) for step in range(TINY.steps + 1)]
    assert rates == pytest.approx([1.5e-3, 3e-3, 3e-3, 3e-3, 3e-3, 1.5e-3, 0.0])


def test_a_finished_run_becomes_a_card_that_loads(tmp_path, small_corpus, monkeypatch):
    shipped = tmp_path / "shipped"
    monkeypatch.setattr("mechlib.zoo.cards.SHIPPED", shipped)
    monkeypatch.setattr("mechlib.zoo.release.SHIPPED", shipped)
    monkeypatch.setitem(RECIPES, "tiny", TINY)
    card = train.train("tiny", folder=tmp_path / "run", device="cpu", progress=False)
    release.install(card)
    assert zoo.names() == ("tiny",) and zoo.steps("tiny") == (0, 2, 6)
    model = zoo.load("tiny", device="cpu")
    rows = windows(text.stream(text.files("held_out")), 25)
    measured = token_losses(model, rows).mean().item()
    assert measured == pytest.approx(zoo.card("tiny").metrics["held_out"], abs=2e-4)
    assert all(status == "ok" for _, status in zoo.verify())
    untrained = zoo.load("tiny", step=0, device="cpu")
    torch.testing.assert_close(untrained.W_E, Decoder(TINY.shape, TINY.seed).tok_embed.weight)
    zoo.card.cache_clear()


def test_an_unknown_recipe_is_named_with_its_neighbours(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'code-2l'"):
        train.train("code-2", folder=tmp_path)


def test_windows_cut_without_overlap_or_remainder():
    assert windows(torch.arange(10), 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
