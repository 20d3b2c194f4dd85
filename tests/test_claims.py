"""Verdicts keep their fields through a notebook, refuse what makes no sense, and quoted numbers are compared."""

import json
import math

import pytest
import torch

from mechlib.claims import METADATA, WORDS, Verdict, quoted, verdict

FIELDS = {
    "claim": "Layers < 3 & > 1 matter.",
    "source": "somebody 2020 (S9)",
    "measure": "loss with it minus loss without",
    "effect": -0.125,
    "interval": (-0.25, 0.5),
    "unit": "nats per token",
    "note": "One seed.",
}


@pytest.mark.parametrize("word", WORDS)
def test_the_fields_come_back_from_a_notebooks_json(word):
    given = verdict("02a", word, **FIELDS)
    _, metadata = given._repr_mimebundle_()
    assert Verdict.from_data(json.loads(json.dumps(metadata[METADATA]))) == given


def test_page_and_terminal_say_the_same():
    data, _ = verdict("02a", "refuted", **FIELDS)._repr_mimebundle_()
    for part in ("02a", "✗ refuted", "-0.125 nats per token", "-0.25 to +0.5", "somebody 2020 (S9)", "One seed."):
        assert part in data["text/html"].replace("<strong>", "").replace("</strong>", "")
        assert part in data["text/plain"]
    assert "Layers &lt; 3 &amp; &gt; 1 matter." in data["text/html"]


def test_an_effect_may_be_a_tensor_of_one_element():
    given = verdict("02a", "supported", **FIELDS | {"effect": torch.tensor(0.25), "interval": torch.tensor([0.0, 1.0])})
    assert (given.effect, given.interval) == (0.25, (0.0, 1.0))


@pytest.mark.parametrize(
    ("claim_id", "word", "change", "message"),
    [
        ("2a", "supported", {}, "two digits and a letter.*'2a'"),
        ("02a", "proved", {}, "supported, refuted, undecided, not 'proved'"),
        ("02a", "supported", {"interval": (0.0, 1.0)}, "-0.125 does not lie in its interval"),
        ("02a", "supported", {"effect": math.nan}, "does not lie"),
        ("02a", "supported", {"interval": (-math.inf, 1.0)}, "not finite"),
        ("02a", "supported", {"unit": " "}, "02a has no unit"),
    ],
)
def test_what_is_no_verdict_is_refused(claim_id, word, change, message):
    with pytest.raises(ValueError, match=message):
        verdict(claim_id, word, **FIELDS | change)


def test_a_quoted_number_holds_up_to_its_tolerance():
    quoted(torch.tensor(3.5), 3.25, within=0.25)
    for measured in (3.0, 3.6, math.nan):
        with pytest.raises(AssertionError, match=r"the text says 3.3 \(within 0.2\), this run gives"):
            quoted(measured, 3.3, within=0.2)
