"""The tuned lens that is fitted once: found again to the bit, by its weights and recipe, whole or not at all."""

import dataclasses
import re
import threading

import pytest
import torch

from mechlib import text, zoo
from mechlib.stream import (
    fit_tuned_lens,
    keep_tuned_lens,
    kept_lens,
    load_tuned_lens,
    logit_lens,
    tuned_lens_at_hand,
)
from mechlib.stream.kept_lens import LensRecipe

SHORT = kept_lens.RECIPES["short"]
TINY = LensRecipe(n_rows=6, length=24, ridge=1e-2, judged=2)


@pytest.fixture(scope="module")
def model():
    return zoo.load("code-1l", device="cpu")


@pytest.fixture(scope="module")
def few():
    return text.docstrings("train")[:8]


@pytest.fixture
def cache(tmp_path, monkeypatch, few):
    """An empty cache, few documents and a small recipe."""
    monkeypatch.setattr(text, "docstrings", lambda split: few)
    monkeypatch.setitem(kept_lens.RECIPES, "short", TINY)
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lenses"


def files(cache):
    return [path for path in cache.iterdir() if path.suffix != ".lock"]


def silent(line: str) -> None:
    pass


def test_what_is_kept_is_found_to_the_bit_and_is_the_fit_of_the_recipe(model, cache):
    lines = []
    made = keep_tuned_lens(model, say=lines.append)
    found = load_tuned_lens(model)
    again = keep_tuned_lens(model, say=lines.append)
    assert found.origin == made.origin == again.origin and found.origin.model == "code-1l"
    assert all(torch.equal(getattr(found, name), getattr(made, name)) for name in made.TENSORS)
    (path,) = files(cache)
    weights = found.origin.weights[:16]
    assert path.name == f"code-1l-tuned-{weights}-{TINY.digest[:16]}.safetensors"
    assert [line.split(" ")[0] for line in lines] == ["Fitting", "The", "The"] and str(path) in lines[-1]
    assert "to 144 tokens of docstrings" in lines[0] and made.origin.n_tokens == 144


def test_the_passages_begin_as_the_tokenizer_begins_a_text(model, cache, monkeypatch):
    seen = []

    def fit(model, tokens, **how):
        seen.append((tokens, how))
        return fit_tuned_lens(model, tokens, **how)

    monkeypatch.setattr(kept_lens, "fit_tuned_lens", fit)
    keep_tuned_lens(model, say=silent)
    ((tokens, how),) = seen
    assert tokens.shape == (6, 24) and (tokens[:, 0] == text.BOS).all() and (tokens[:, 1:] != text.BOS).all()
    documents = [document.text for document in text.docstrings("train")]
    assert all(any(text.decode(row[2:-1]) in document for document in documents) for row in tokens)
    assert how == {"start": "least-squares", "steps": 0, "ridge": 1e-2, "judged": 2}


def test_where_there_is_none_the_message_has_the_command(model, cache):
    with pytest.raises(
        FileNotFoundError, match=r"no tuned lens of code-1l .*: mechlib zoo lens code-1l --recipe short"
    ):
        load_tuned_lens(model)
    assert not cache.exists()


def test_other_weights_and_other_recipes_are_other_files(model, cache, monkeypatch):
    keep_tuned_lens(model, say=silent)
    other = zoo.load("code-1l", device="cpu", dtype=torch.bfloat16)
    with pytest.raises(FileNotFoundError, match=r"in torch\.bfloat16 is on this machine"):
        load_tuned_lens(other)
    monkeypatch.setitem(kept_lens.RECIPES, "long", dataclasses.replace(TINY, ridge=0.1))
    with pytest.raises(FileNotFoundError, match="--recipe long"):
        load_tuned_lens(model, "long")
    keep_tuned_lens(model, "long", say=silent)
    assert len(files(cache)) == 2 and not torch.equal(
        load_tuned_lens(model).weight, load_tuned_lens(model, "long").weight
    )
    with pytest.raises(ValueError, match="recipe is one of short, long, not 'longer'"):
        load_tuned_lens(model, "longer")


@pytest.mark.parametrize(
    "harm", [lambda b: b[: len(b) // 2], lambda b: b[:-4] + b"\1\2\3\4", lambda b: b"", lambda b: b"no"]
)
def test_a_damaged_file_is_named_never_loaded_and_replaced(model, cache, harm):
    keep_tuned_lens(model, say=silent)
    (path,) = files(cache)
    whole = load_tuned_lens(model)
    path.write_bytes(harm(path.read_bytes()))
    for ask in (load_tuned_lens, tuned_lens_at_hand):
        with pytest.raises(
            ValueError, match=rf"{re.escape(str(path))} is damaged.*; fit the lens again: mechlib zoo lens"
        ):
            ask(model)
    lines = []
    keep_tuned_lens(model, say=lines.append)
    assert lines[0].startswith(f"Replacing the tuned lens: {path} is damaged")
    torch.testing.assert_close(load_tuned_lens(model).weight, whole.weight)


def test_a_fit_that_is_broken_off_leaves_nothing(model, cache, monkeypatch):
    def broken(*given, **how):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(kept_lens, "fit_tuned_lens", broken)
        keep_tuned_lens(model, say=silent)
    assert files(cache) == []
    keep_tuned_lens(model, say=silent)
    assert len(files(cache)) == 1


def test_of_two_at_once_the_second_waits_and_fits_nothing(model, cache, monkeypatch):
    inside, waiting, fits, lines = threading.Event(), threading.Event(), [], []

    def fit(*given, **how):
        fits.append(given)
        inside.set()
        assert waiting.wait(60)
        return fit_tuned_lens(*given, **how)

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("Another process is fitting code-1l-tuned-"):
            waiting.set()

    monkeypatch.setattr(kept_lens, "fit_tuned_lens", fit)
    first = threading.Thread(target=keep_tuned_lens, args=(model,), kwargs={"say": silent})
    first.start()
    assert inside.wait(60)
    keep_tuned_lens(model, say=say)
    first.join()
    assert len(fits) == 1 and len(lines) == 2 and len(files(cache)) == 1


def test_a_notebook_is_told_what_to_run(model, cache, monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)
    assert tuned_lens_at_hand(model) is None
    line = capsys.readouterr().out
    assert line.endswith("mechlib zoo lens code-1l --recipe short\n") and line.count("\n") == 1
    monkeypatch.setenv("CI", "true")
    with pytest.raises(FileNotFoundError, match="mechlib zoo lens"):
        tuned_lens_at_hand(model)
    made = keep_tuned_lens(model, say=silent)
    assert torch.equal(tuned_lens_at_hand(model).weight, made.weight) and capsys.readouterr().out == ""


def test_a_model_without_a_tokenizer_and_another_object_are_refused(small, cache):
    with pytest.raises(ValueError, match="has no tokenizer"):
        keep_tuned_lens(small, say=silent)
    for ask in (keep_tuned_lens, load_tuned_lens, tuned_lens_at_hand):
        with pytest.raises(TypeError, match="model is a TransformerBridge"):
            ask("code-1l")


def test_the_model_is_left_as_it_was(cache):
    model = zoo.load("code-1l", device="cpu").train()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    hooks = [list(point.fwd_hooks) for point in model.hook_dict.values()]
    keep_tuned_lens(model, say=silent)
    load_tuned_lens(model)
    assert model.training and hooks == [list(point.fwd_hooks) for point in model.hook_dict.values()]
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())


def test_what_is_kept_reads_text_that_it_was_not_fitted_to_better_than_the_logit_lens(model, cache, monkeypatch):
    monkeypatch.setitem(kept_lens.RECIPES, "short", SHORT)
    fitted, others = text.docstrings("train")[:4], text.docstrings("train")[4:]
    rows = text.rows(others, n_rows=8, length=64)
    monkeypatch.setattr(text, "docstrings", lambda split: fitted)
    lens = keep_tuned_lens(model, say=silent)
    plain, tuned = (logit_lens(model, rows, fields=["kl_to_final"], lens=each).kl_to_final for each in (None, lens))
    assert (tuned[:-1].mean((1, 2)) < plain[:-1].mean((1, 2))).all()
