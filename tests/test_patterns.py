"""Masks against a double loop over the definition; repeats against what makes them repeats."""

import pytest
import torch

from mechlib.patterns import KINDS, pattern_mask, repeated_tokens

TARGETS = {
    "previous_token": lambda row, query, key: key == query - 1,
    "duplicate_token": lambda row, query, key: key < query and row[key] == row[query],
    "induction": lambda row, query, key: 1 <= key <= query and key - 1 < query and row[key - 1] == row[query],
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 2, 13])
def test_masks_are_the_definition(kind, length):
    tokens = torch.randint(4, (3, length), generator=generator())
    expected = [
        [[bool(TARGETS[kind](row, q, k)) for k in range(length)] for q in range(length)] for row in tokens.tolist()
    ]
    assert pattern_mask(tokens, kind).tolist() == expected


def test_no_token_repeats_no_target():
    tokens = torch.randperm(9, generator=generator())
    assert not pattern_mask(tokens, "induction").any()
    assert not pattern_mask(tokens, "duplicate_token").any()


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="previous_token, duplicate_token, induction, not 'current_token'"):
        pattern_mask(torch.zeros(1, 3, dtype=torch.long), "current_token")


@pytest.mark.parametrize(("bos", "start"), [(None, 0), (0, 1), (3, 1), (10, 1)])
def test_a_block_and_the_same_block(bos, start):
    rows = repeated_tokens(50, 6, 11, bos=bos, generator=generator())
    assert rows.shape == (50, start + 12)
    assert torch.equal(rows[:, start : start + 6], rows[:, start + 6 :])
    assert (rows[:, :start] == (bos or 0)).all()
    assert set(rows[:, start:].unique().tolist()) == set(range(11)) - {bos}


def test_tokens_are_drawn_uniformly():
    counts = repeated_tokens(3000, 20, 5, bos=2, generator=generator())[:, 1:].flatten().bincount(minlength=5)
    shares = counts / counts.sum()
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.25, 0.0, 0.25, 0.25]), atol=0.01, rtol=0)


def test_the_generator_decides():
    first, again, other = (repeated_tokens(4, 9, 50, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 0}, "at least 1, not batch=0, period=5"),
        ({"period": 0}, "period=0"),
        ({"d_vocab": 1}, "d_vocab=1 with bos=None leaves 1 token to draw; at least 2"),
        ({"d_vocab": 2, "bos": 0}, "d_vocab=2 with bos=0 leaves 1 token"),
        ({"bos": 9}, "bos=9 is no token: ids are from 0 to 8"),
        ({"bos": -1}, "bos=-1 is no token"),
        ({"n_ctx": 9}, "period 5 is too long: a context of 9 takes periods up to 4"),
        ({"n_ctx": 10, "bos": 0}, "a context of 10 takes periods up to 4"),
    ],
)
def test_bad_input(arguments, message):
    given = {"batch": 2, "period": 5, "d_vocab": 9} | arguments
    with pytest.raises(ValueError, match=message):
        repeated_tokens(**given, generator=generator())


@pytest.mark.parametrize(("n_ctx", "bos"), [(10, None), (11, 0)])
def test_the_longest_period_fits(n_ctx, bos):
    assert repeated_tokens(2, 5, 9, bos=bos, n_ctx=n_ctx, generator=generator()).shape == (2, n_ctx)
