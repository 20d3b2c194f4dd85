"""Verdicts without a tested rule keep their fields through a notebook, and refuse what makes no sense."""

import json
import math

import pytest
import torch

from mechlib.claims import METADATA, WORDS, Line, Verdict, outcome, verdict
from mechlib.stats import Estimate

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


def test_every_field_is_the_argument_of_its_name():
    _, metadata = verdict("02a", "refuted", **FIELDS)._repr_mimebundle_()
    line = Line("refuted", FIELDS["effect"], FIELDS["interval"])
    given = {"claim_id": "02a", "outcome": "refuted", "tested": FIELDS["claim"], "open": FIELDS["note"], "line": line}
    given |= {name: FIELDS[name] for name in ("source", "measure", "unit")}
    assert Verdict.from_data(metadata[METADATA]) == Verdict(**given)


def test_page_and_terminal_say_the_same():
    data, _ = verdict("02a", "refuted", **FIELDS)._repr_mimebundle_()
    for part in ("02a", "✗ refuted", "-0.125 nats per token", "-0.25 to +0.5", "somebody 2020 (S9)", "One seed."):
        assert part in data["text/html"].replace("<strong>", "").replace("</strong>", "")
        assert part in data["text/plain"]
    assert "Layers &lt; 3 &amp; &gt; 1 matter." in data["text/html"]
    assert 'class="mechlib-verdict refuted"' in data["text/html"]
    other = verdict("02a", "supported", **FIELDS | {"effect": 0.125, "unit": "nats < bits"})
    assert "+0.125 nats < bits" in str(other) and "+0.125 nats &lt; bits" in other._repr_mimebundle_()[0]["text/html"]


@pytest.mark.parametrize("effect", FIELDS["interval"])
def test_an_effect_may_be_an_end_of_its_interval(effect):
    assert verdict("02a", "supported", **FIELDS | {"effect": effect}).effect == effect


def test_an_effect_may_be_a_tensor_of_one_element():
    given = verdict("02a", "supported", **FIELDS | {"effect": torch.tensor(0.25), "interval": torch.tensor([0.0, 1.0])})
    assert (given.effect, given.interval) == (0.25, (0.0, 1.0))


def test_an_estimate_brings_its_interval():
    fields = {name: value for name, value in FIELDS.items() if name not in ("effect", "interval")}
    given = verdict("02a", "refuted", effect=Estimate(-0.125, -0.25, 0.5, 8), **fields)
    assert given == verdict("02a", "refuted", **FIELDS)
    for twice_or_never in ({"effect": Estimate(0, 0, 0, 8), "interval": (0, 0)}, {"effect": 0.0}):
        with pytest.raises(TypeError, match="as an Estimate or beside its interval, got"):
            verdict("02a", "refuted", **fields, **twice_or_never)


@pytest.mark.parametrize(
    ("supported", "refuted", "control", "word"),
    [
        (True, False, True, "supported"),
        (False, True, True, "refuted"),
        (False, False, True, "undecided"),
        (True, False, False, "undecided"),
        (False, True, False, "undecided"),
        (True, None, True, "supported"),
        (False, None, True, "refuted"),
        (False, None, False, "undecided"),
    ],
)
def test_a_rule_comes_to_one_of_three_words(supported, refuted, control, word):
    assert outcome(supported=supported, refuted=refuted, control=control) == word in WORDS


def test_a_rule_that_says_both_is_refused():
    with pytest.raises(ValueError, match="both supports and refutes"):
        outcome(supported=True, refuted=True)


@pytest.mark.parametrize(
    ("claim_id", "word", "change", "message"),
    [
        ("2a", "supported", {}, "two digits and a letter.*'2a'"),
        ("02a", "proved", {}, "supported, refuted, undecided, not 'proved'"),
        ("02ab", "supported", {}, "two digits and a letter.*'02ab'"),
        ("02a", "supported", {"interval": (0.0, 1.0)}, "-0.125 does not lie in its interval"),
        ("02a", "supported", {"interval": (-1.0, -0.5)}, "-0.125 does not lie in its interval"),
        ("02a", "supported", {"interval": (-1.0, 1.0, 2.0)}, "does not lie in its interval"),
        ("02a", "supported", {"effect": math.nan}, "does not lie"),
        ("02a", "supported", {"interval": (-math.inf, 1.0)}, "not finite"),
        ("02a", "supported", {"claim": " "}, "02a has no tested claim"),
        *(("02a", "supported", {name: " "}, f"02a has no {name}") for name in ("source", "measure", "unit")),
    ],
)
def test_what_is_no_verdict_is_refused(claim_id, word, change, message):
    with pytest.raises(ValueError, match=message):
        verdict(claim_id, word, **FIELDS | change)
