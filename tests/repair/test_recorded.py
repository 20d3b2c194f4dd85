"""What is kept of cuts: written and read again, the choice of heads, the prompts, and the record of the real model."""

import numpy as np
import pytest
import torch

from mechlib.repair import cut_heads, direct_effects, recorded
from mechlib.repair.prompts import KINDS, PERIOD, SHOWN, agreement, repeats
from tests.models import SHAPE, random_native


@pytest.fixture(scope="module")
def found():
    rows = torch.randint(SHAPE.d_vocab, (7, 6), generator=torch.Generator().manual_seed(1))
    model = random_native()
    cuts = [(0, 1), (1, 0), [(0, 1), (1, 0)]]
    return cut_heads(model, rows, 3, 5, cuts), direct_effects(model, rows, 3, 5)


@pytest.fixture(scope="module")
def run(found):
    return recorded.kept(found[0], 2, found[1], first_shown=1)


def test_what_is_kept_sums_to_the_repair(found, run):
    cuts, _ = found
    np.testing.assert_allclose(run.made_up.sum(1) + run.norm.mean(1), cuts.repair.mean(1).numpy(), atol=1e-4)
    np.testing.assert_allclose(run.of_movers.mean(-1), run.made_up[:2], atol=1e-5)
    np.testing.assert_allclose(run.frozen, cuts.frozen.numpy(), atol=1e-4)
    assert run.shares.sum() == pytest.approx(float(cuts.shares.sum(0).mean()), abs=1e-4)


def test_parts_are_those_of_the_last_layers_and_the_rest(run):
    names = [str(part) for part in run.parts]
    assert names[-1] == "rest"
    assert set(names[:-1]) == {f"head {layer}.{head}" for layer in (1, 2) for head in (0, 1)} | {"MLP 1", "MLP 2"}


def test_first_is_the_direct_effect_on_the_prompts_of_the_choice(found, run):
    for part, first in zip(run.parts, run.first, strict=True):
        if part.kind == "head":
            assert first == pytest.approx(float(found[1][part.layer, part.head].mean()), abs=1e-6)
        else:
            assert np.isnan(first)


def test_runs_come_back_from_a_file(tmp_path, run):
    recorded.write(tmp_path / "small.npz", {"names, mean": run}, {"model": "small"})
    back = recorded.load("small", tmp_path)["names, mean"]
    assert (back.cuts, back.parts, back.labels) == (run.cuts, run.parts, ("0.1", "1.0", "0.1 + 1.0"))
    for field in ("intact", "shares", "direct", "total", "norm", "made_up"):
        np.testing.assert_allclose(getattr(back, field), getattr(run, field), rtol=1e-6)
    np.testing.assert_allclose(back.of_movers, run.of_movers, rtol=1e-3, atol=1e-3)


def test_a_model_without_record_is_told_which_have_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="no cuts of 'gpt2' are recorded; there are those of: smollm2-135m"):
        recorded.load("gpt2")
    with pytest.raises(FileNotFoundError, match="none"):
        recorded.load("gpt2", tmp_path)


def test_movers_come_first_and_heads_of_no_effect_last():
    direct = 0.01 * torch.randn(40, 3, 2, generator=torch.Generator().manual_seed(0))
    for place, value in {(17, 0): 3.0, (18, 1): 2.0, (2, 2): 1.0, (19, 2): 0.5, (16, 0): 0.4, (18, 0): -5.0}.items():
        direct[place] = value
    chosen = recorded.chosen_heads(direct)
    assert chosen[:6] == [(17, 0), (18, 1), (2, 2), (19, 2), (16, 0), (18, 0)]
    assert len(set(chosen)) == recorded.N_LARGEST + recorded.N_SMALLEST
    assert all(layer >= recorded.FIRST_SHOWN for layer, _ in chosen[recorded.N_LARGEST :])


def encode(text):
    """A toy tokenizer: one token for each word."""
    words = {}
    return [sum(ord(c) * 31**i for i, c in enumerate(word)) % 1_000_003 for word in text.split()] if text else [*words]


def test_repeats_say_what_came_next():
    prompts = repeats(encode, 20, 3)
    assert prompts.tokens.shape == (20, PERIOD + SHOWN)
    block = prompts.tokens[:, :PERIOD]
    assert torch.equal(prompts.tokens[:, PERIOD:], block[:, :SHOWN]) and torch.equal(prompts.right, block[:, SHOWN])
    assert (prompts.wrong[:, None] == block).any(1).all() and not (prompts.wrong == prompts.right).any()


def test_verbs_agree_with_the_first_noun():
    prompts = agreement(encode, 20, 3)
    singular, plural = encode("is")[0], encode("are")[0]
    assert prompts.right.tolist() == [singular, plural] * 10 and prompts.wrong.tolist() == [plural, singular] * 10


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_other_prompts(kind):
    first, second, again = (KINDS[kind](encode, 8, seed).tokens for seed in (0, 1, 0))
    assert torch.equal(first, again) and not torch.equal(first, second)


def test_the_record_is_that_of_the_model(smollm2):
    run = recorded.load("smollm2-135m")["agreement, mean"]
    prompts = recorded.prompts_of(smollm2, "agreement", recorded.JUDGED_ON)
    found = cut_heads(smollm2, prompts.tokens, prompts.right, prompts.wrong, run.cuts[:1])
    np.testing.assert_allclose(run.intact, found.intact.numpy(), atol=5e-3)
    np.testing.assert_allclose(run.direct[0], found.direct[0].numpy(), atol=5e-3)
    np.testing.assert_allclose(run.total[0], found.total[0].numpy(), atol=5e-3)
