"""Prompts for indirect objects: what stands where, and that the real model solves them."""

import pytest
import torch

from mechlib import english


@pytest.fixture(scope="module")
def prompts(smollm2):
    return english.indirect_objects(smollm2.tokenizer.encode)


def strings(model, tokens: torch.Tensor) -> list[str]:
    return [model.tokenizer.decode([token]).strip() for token in tokens.tolist()]


def test_the_names_stand_where_it_is_said(smollm2, prompts):
    right, wrong, third = (strings(smollm2, names) for names in (prompts.right, prompts.wrong, prompts.third))
    for i, text in enumerate(prompts.texts):
        assert smollm2.to_tokens(text)[0].tolist() == prompts.tokens[i].tolist()
        words = text.replace(",", "").split()
        assert (words.count(right[i]), words.count(wrong[i]), words.count(third[i])) == (1, 2, 0)
    rows = torch.arange(len(prompts.texts))
    assert prompts.tokens[rows, prompts.right_at].equal(prompts.right)
    assert prompts.tokens[rows, prompts.wrong_at].equal(prompts.wrong)
    assert prompts.tokens[rows, prompts.again_at].equal(prompts.wrong)
    assert (prompts.again_at > torch.maximum(prompts.right_at, prompts.wrong_at)).all()


def test_each_template_is_used_as_often_with_either_order(prompts):
    giver_first = prompts.wrong_at < prompts.right_at
    templates = [text.split()[0] for text in prompts.texts]
    for template in set(templates):
        orders = [first for first, own in zip(giver_first.tolist(), templates, strict=True) if own == template]
        assert orders.count(True) == orders.count(False) == 3


@torch.no_grad()
def test_the_real_model_solves_them_and_their_swapped_twins(smollm2, prompts):
    logits = smollm2(prompts.tokens)
    difference = prompts.logit_difference(logits)
    expected = [
        (logits[i, -1, right] - logits[i, -1, wrong]).item()
        for i, (right, wrong) in enumerate(zip(prompts.right.tolist(), prompts.wrong.tolist(), strict=True))
    ]
    assert difference.tolist() == expected
    assert (difference > 0).all() and 3 < difference.mean() < 7
    swapped = prompts.logit_difference(smollm2(prompts.swapped))
    assert (swapped < 0).sum() >= 23 and swapped.mean() < -3
    unrepeated = prompts.logit_difference(smollm2(prompts.unrepeated))
    assert unrepeated.abs().mean() < 0.5 * difference.mean()


def test_twins_differ_in_one_token(prompts):
    for twin, names in ((prompts.swapped, prompts.right), (prompts.unrepeated, prompts.third)):
        changed = (twin != prompts.tokens).nonzero()
        assert changed[:, 0].tolist() == list(range(len(prompts.texts)))
        assert changed[:, 1].equal(prompts.again_at)
        assert twin[changed[:, 0], changed[:, 1]].equal(names)


def test_a_seed_decides(smollm2, prompts):
    encode = smollm2.tokenizer.encode
    assert english.indirect_objects(encode).tokens.equal(prompts.tokens)
    assert not english.indirect_objects(encode, seed=1).tokens.equal(prompts.tokens)


def test_prompts_that_cannot_be_made_are_refused(smollm2, prompts):
    encode = smollm2.tokenizer.encode
    with pytest.raises(ValueError, match=r"the templates give \[14, 15\] tokens"):
        english.indirect_objects(encode, templates=[english.TEMPLATES[0], f"Then {english.TEMPLATES[0]}"])
    with pytest.raises(ValueError, match="of the names, places and things 0, 0, 0 are one token"):
        english.indirect_objects(lambda text: list(text.encode()))
    with pytest.raises(ValueError, match="are other tokens there than on their own"):
        english.indirect_objects(encode, templates=["At the {place} {first}{second} {giver} gave {thing} to"])
    with pytest.raises(ValueError, match=r"\[24, 14\] before the vocabulary, not \[24, 7\]"):
        prompts.logit_difference(torch.zeros(24, 7))
