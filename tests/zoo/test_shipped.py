"""The models that ship: intact, loadable, as good as their cards say."""

import json
import shutil

import pytest
import torch

from mechlib import heads, text, zoo
from mechlib.zoo import cards, reading, shelf
from mechlib.zoo.evaluation import measure, token_losses, windows
from mechlib.zoo.kinds.language import CURVE_ROWS
from mechlib.zoo.kinds.language_recipes import RECIPES

MB = 1_000_000


def test_the_models_of_the_book_are_there():
    assert set(zoo.names("language")) == set(RECIPES)
    assert len(zoo.steps("code-4l-mlp")) >= 5  # four checkpoints and the untrained model
    assert len(zoo.steps("code-2l")) >= 17


def test_every_file_is_intact_and_all_fit_the_budget(monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path))
    assert all(status == "ok" for _, status in zoo.verify())
    files = [file for file, _ in zoo.verify()]
    stored = sum(zoo.card(name).outputs is not None for name in zoo.names())
    assert len(files) == stored + sum(len(zoo.steps(name)) - 1 for name in zoo.names())
    assert sum(file.stat().st_size for file in files) <= 72 * MB


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_card_tells_the_recipe_that_made_the_weights(name):
    recipe, card = RECIPES[name], zoo.card(name)
    assert card.shape == recipe.shape
    assert zoo.steps(name)[-1] == recipe.steps
    assert zoo.steps(name) == (0, *recipe.shipped)
    assert card.recipe["rows"] == {
        "stdlib": recipe.data.stdlib,
        "packages": recipe.data.packages,
        "repeated": recipe.data.repeated,
    }
    assert card.recipe["seed"] == recipe.seed and card.recipe["learning_rate"] == recipe.training.learning_rate
    told = f"{recipe.data.repeated} of the {recipe.data.total} rows" if recipe.data.repeated else "Natural text alone"
    assert told in card.notes[0]
    assert set(recipe.remarks) <= set(card.notes)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_loss_on_the_card_can_be_measured_again(name):
    """On every eighth passage of the held-out files; the card's figure is for all of them."""
    rows = windows(text.stream(text.files("held_out")), 257)
    loss = token_losses(zoo.load(name, device="cpu"), rows[::4]).mean().item()
    assert loss == pytest.approx(zoo.card(name).metrics["held_out_without_tests"], abs=0.1)
    losses = [c.held_out_loss for c in zoo.card(name).checkpoints]
    assert losses == sorted(losses, reverse=True), "every shipped checkpoint is better than the one before"


def test_the_chapter_model_is_as_good_as_promised():
    assert zoo.card("code-4l-mlp").metrics["held_out"] <= 2.25


@pytest.mark.parametrize("name", zoo.names("language"))
def test_the_log_covers_every_checkpoint(name):
    """The log is of 192 passages and the checkpoint's loss of 400 to 800."""
    card = zoo.card(name)
    assert {len(column) for column in card.log.values()} == {len(card.log["step"])}
    assert list(card.log["step"]) == sorted(set(card.log["step"]))
    held_out = dict(zip(card.log["step"], card.log["held_out"], strict=True))
    for checkpoint in card.checkpoints:
        assert held_out[checkpoint.step] == pytest.approx(checkpoint.held_out_loss, abs=0.06)


@pytest.mark.parametrize(("name", "step"), [("code-2l-s1", 7_500), ("code-1l", 12_000), ("twin-untied-s1", 3_000)])
def test_the_log_can_be_measured_again(name, step):
    """Weights ship in half precision; the log is of the weights that were trained."""
    card = zoo.card(name)
    line = {key: column[card.log["step"].index(step)] for key, column in card.log.items()}
    passages = windows(text.stream(text.files("held_out", tests=True)), card.shape.n_ctx + 1)
    measured = measure(
        zoo.load(name, step=step, device="cpu"), card.shape, passages[:: max(1, len(passages) // CURVE_ROWS)]
    )
    assert {"step": step} | measured == pytest.approx(line, abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_twins_differ_in_their_unembedding_and_agree_in_size(seed):
    tied, untied = (zoo.card(f"twin-{kind}-s{seed}") for kind in ("tied", "untied"))
    assert tied.shape.parameters == pytest.approx(untied.shape.parameters, rel=0.01)
    assert tied.recipe == untied.recipe
    for card in (tied, untied):
        model = zoo.load(card.name, device="cpu")
        assert torch.equal(model.W_U.T, model.W_E) == card.shape.tied


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("code-2l", 0.6, 1.0),
        ("code-2l-s1", 0.6, 1.0),
        ("code-2l-s2", 0.6, 1.0),
        ("code-2l-natural", 0.55, 1.0),
        ("code-1l", 0.0, 0.15),
        ("twin-tied-s0", 0.0, 0.15),
    ],
)
def test_induction_is_as_strong_as_the_book_says(name, low, high):
    model, generator = zoo.load(name, device="cpu"), torch.Generator().manual_seed(20)
    rows = heads.repeated_tokens(8, 40, model.cfg.d_vocab, bos=text.BOS, generator=generator)
    assert low <= heads.head_scores(model, rows).attained("induction").max() <= high


@pytest.mark.parametrize(
    ("name", "step", "message"),
    [
        ("code-4l-mpl", None, "did you mean 'code-4l-mlp'"),
        ("code-4l-mlp", 1_001, r"no checkpoint at step 1001; nearest: 1000, 250"),
        ("gpt2", 5, "embedded models: code-1l, code-2l, .*icl-linear, .*, twin-untied-s2; only these have steps"),
    ],
)
def test_an_unknown_model_or_step_is_answered_with_the_nearest(name, step, message):
    with pytest.raises(ValueError, match=message):
        zoo.load(name, step=step)


@pytest.fixture
def copied(tmp_path, monkeypatch):
    shutil.copytree(shelf.SHIPPED / "twin-tied-s0", tmp_path / "twin-tied-s0")
    monkeypatch.setattr(shelf, "SHIPPED", tmp_path)
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    return next((tmp_path / "twin-tied-s0").glob("*.safetensors"))


@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_a_damaged_file_is_named_and_not_loaded(copied, damage):
    data = copied.read_bytes()
    if damage == "missing":
        copied.unlink()
    else:
        copied.write_bytes(data[:-100] if damage == "truncated" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match=copied.name):
        zoo.load("twin-tied-s0")
    ((file, status),) = zoo.verify()
    assert file == copied and status != "ok"


def test_without_a_network_the_error_names_the_reason_and_the_embedded_models(monkeypatch):
    def refused(*args, **kwargs):
        raise OSError("We couldn't connect to the hub\nmore lines")

    monkeypatch.setattr("mechlib.bridge.originals.load", refused)
    with pytest.raises(OSError, match=r"code-4l-mlp.*We couldn't connect to the hub$"):
        zoo.load("gpt2")


def test_a_local_folder_loads_like_a_hub_model(gpt2_folder):
    model = zoo.load(str(gpt2_folder), device="cpu")
    assert model(torch.tensor([[1, 2, 3]])).shape == (1, 3, 83)


def test_a_card_survives_the_disk(tmp_path):
    card = zoo.card("code-1l")
    copied = cards.Card(**{f: getattr(card, f) for f in card.__dataclass_fields__ if f != "folder"}, folder=tmp_path)
    copied.write()
    assert reading.read_card(tmp_path) == copied
    assert json.loads((tmp_path / "card.json").read_text())["name"] == "code-1l"
