"""Training a language model on recipes of a few steps; what it shares with the shipped ones is all but the sizes."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from mechlib import text, zoo
from mechlib.zoo import data, release
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import token_losses, windows
from mechlib.zoo.kinds.language import CURVE_ROWS, Language
from mechlib.zoo.kinds.language_recipes import TextTraining
from mechlib.zoo.train import train_recipe
from tests.zoo.tiny import LANGUAGE as TINY


def run(folder, recipe=TINY):
    return train_recipe(Language(), recipe, folder=folder, device="cpu", progress=False)


def tuned(**change):
    return dataclasses.replace(TINY, training=dataclasses.replace(TINY.training, **change))


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(tmp_path, small_corpus, killed, optimiser):
    recipe = tuned(optimiser=optimiser)
    whole = run(tmp_path / "whole", recipe)
    killed(5, lambda: run(tmp_path / "killed", recipe))
    assert run(tmp_path / "killed", recipe).files == whole.files


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (tuned(steps=8), "recipe.training.steps is 6 there and 8 here"),
        (
            dataclasses.replace(TINY, shape=dataclasses.replace(TINY.shape, n_heads=1, d_head=32)),
            "recipe.shape.n_heads is 2 there and 1 here",
        ),
        (dataclasses.replace(TINY, data=data.Rows(stdlib=5, repeated=3)), "recipe.data.repeated is 2 there and 3 here"),
    ],
)
def test_a_folder_belongs_to_one_recipe(tmp_path, small_corpus, recipe, message):
    run(tmp_path / "run")
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "run", recipe)


def test_a_folder_belongs_to_one_text(tmp_path, small_corpus, monkeypatch):
    run(tmp_path / "run")
    less = text.files("train")[:11]
    monkeypatch.setattr(text, "files", lambda split, tests=False: less)
    with pytest.raises(ValueError, match=r"another first batch .*first batch has other numbers"):
        run(tmp_path / "run")


def test_a_tied_embedding_is_kept_once_and_an_untied_unembedding_too(tmp_path, small_corpus):
    tied = run(tmp_path / "tied")
    names = Decoder(TINY.shape, 0).state_dict().keys()
    assert load_file(tied.folder / "step-000006.safetensors").keys() == names - {"head.weight"}
    untied = run(tmp_path / "untied", dataclasses.replace(TINY, shape=dataclasses.replace(TINY.shape, tied=False)))
    assert load_file(untied.folder / "step-000006.safetensors").keys() == names
    for card in (tied, untied):
        model = zoo.load(card.folder, device="cpu")
        assert torch.equal(model.W_U.T, model.W_E) == card.shape.tied


def test_the_log_is_what_evaluation_measures_and_a_step_stands_in_it_once(tmp_path, small_corpus, killed):
    killed(5, lambda: run(tmp_path))
    with (tmp_path / release.LOG).open("a") as file:
        file.write(json.dumps({"step": 9, "held_out": 0.0, "in_context": 0.0, "repeat": 0.0}) + "\n")
    card = run(tmp_path)
    assert card.log["step"] == (0, 2, 3, 6)
    assert len((tmp_path / release.LOG).read_text().splitlines()) == 6, "step 3 was measured twice"
    passages = windows(text.stream(text.files("held_out")), 25)
    losses = token_losses(zoo.load(tmp_path, device="cpu"), passages[:: max(1, len(passages) // CURVE_ROWS)])
    assert card.log["held_out"][-1] == pytest.approx(losses.mean().item(), abs=1e-3)


def test_training_lowers_the_loss_on_what_it_sees(tmp_path, small_corpus):
    longer = dataclasses.replace(TINY, training=TextTraining(60, learning_rate=3e-3, warmup=2, optimiser="muon"))
    card = run(tmp_path / "run", longer)
    fresh = data.Batches(longer, tmp_path / "tokens")[1000]
    before, after = (token_losses(zoo.load(card.folder, step=step, device="cpu"), fresh).mean() for step in (0, 60))
    assert after < before - 0.5


def test_the_seed_decides_the_batches_too(tmp_path, small_corpus):
    batches = data.Batches(TINY, tmp_path)
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
    rates = [TINY.training.rate(step) for step in range(TINY.steps + 1)]
    assert rates == pytest.approx([1.5e-3, 3e-3, 3e-3, 3e-3, 3e-3, 1.5e-3, 0.0])


def test_the_card_of_a_finished_run_can_be_measured_again(tmp_path, small_corpus):
    card = run(tmp_path)
    rows = windows(text.stream(text.files("held_out")), 25)
    measured = token_losses(zoo.load(tmp_path, device="cpu"), rows).mean().item()
    assert measured == pytest.approx(card.metrics["held_out"], abs=2e-4)
    untrained = zoo.load(tmp_path, step=0, device="cpu")
    torch.testing.assert_close(untrained.W_E, Decoder(TINY.shape, TINY.seed).tok_embed.weight)


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(ValueError, match="optimiser is 'adamw' or 'muon', got 'sgd'"):
        tuned(optimiser="sgd")


def test_windows_cut_without_overlap_or_remainder():
    assert windows(torch.arange(10), 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
