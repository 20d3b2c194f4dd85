"""The rule by which the first form of chapter 02 found that late layers look at their own guess, run on its null.

A referee found what it says of random weights: .176 [.162, .191] of positions above another position's guess, and .307
[.271, .344] above the true next token; of the trained model .347 [.321, .372] and .238 [.217, .257].
"""

from dataclasses import replace
from functools import cache

import pytest
import torch

from mechlib import stats, text, zoo
from mechlib.claims import Claim, NullSupported, Said, exceeds, judge, read
from mechlib.stream import logit_lens

OWN, ANOTHERS, TRUTH = "its own guess", "another position's", "the true next token"


@cache
def readable(model):
    """share of wrong guesses among the ten likeliest tokens halfway up"""
    sample = text.passages(text.files("held_out"), per_document=2, length=129)
    tokens, targets = sample.tokens[:, :-1], sample.tokens[:, 1:]
    guess = logit_lens(model, tokens, targets=targets).top_ids[-1, ..., 0]
    order = torch.argsort(torch.rand(tokens.shape, generator=torch.Generator().manual_seed(0)), -1)
    shown = torch.stack([guess, guess.gather(1, order), targets])
    rank = logit_lens(model, tokens, targets=shown, fields=["target_rank"]).target_rank[:, 2]
    found = (rank < 10).float().where(guess != targets, torch.nan)
    return dict(zip((OWN, ANOTHERS, TRUTH), stats.by_unit(found, sample.document), strict=True))


@pytest.fixture(scope="module")
def models():
    return {"trained": zoo.load("code-4l-mlp"), "untrained": zoo.load("code-4l-mlp", step=0)}


@pytest.fixture(scope="module")
def claim(models):
    return Claim(
        "02b",
        said=Said(
            "in the late layers, the model is (roughly) looking at its own guesses", "nostalgebraist (S2)", "here"
        ),
        tested="A wrong final guess is read halfway up more often than another position's, or than the truth.",
        measure=readable,
        rule=exceeds(OWN, ANOTHERS, TRUTH, unit="of positions"),
        unit="files",
        chosen="nothing",
        nulls={"untrained": models["untrained"]},
        planted="Nobody has made a model that does.",
        knobs="It is its null that matters here.",
    )


def test_the_rule_supports_the_claim_for_random_weights_and_ends_the_build(claim, models):
    with pytest.raises(
        NullSupported, match=rf"02b: its rule supports it for 'untrained', .*{OWN} − {ANOTHERS}: \+0\.1[78]"
    ):
        judge(claim, models["trained"])


def test_it_reads_what_the_referee_read(claim, models):
    unit = claim.rule.unit
    found = {
        (system, other): read(replace(claim, rule=exceeds(OWN, other, unit=unit)), one).effect
        for system, one in models.items()
        for other in (ANOTHERS, TRUTH)
    }
    assert found == {
        ("trained", ANOTHERS): pytest.approx(0.347, abs=0.02),
        ("trained", TRUTH): pytest.approx(0.238, abs=0.02),
        ("untrained", ANOTHERS): pytest.approx(0.176, abs=0.02),
        ("untrained", TRUTH): pytest.approx(0.307, abs=0.02),
    }
