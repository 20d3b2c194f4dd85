"""The card says what was said, what was tested, the verdict on that and what could turn it; the rest is folded."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mechlib.claims import (
    METADATA,
    SIGNS,
    Claim,
    Said,
    Verdict,
    above,
    exceeds,
    illustrated,
    judge,
    not_tested,
    signed,
    under,
    verdict,
    withdrawn,
)
from mechlib.claims.card import anchor

SAID = Said("Late layers < 3 & > 1 matter.", "somebody (S9)", "section 3")
VALUES = [0.9, 0.95, 1.0, 1.05, 1.1]


def effect(system, *, probe="softmax", rows=40):
    """share of tokens that are named"""
    return [system + value - (probe == "weak") for value in VALUES]


CLAIM = Claim(
    "02c",
    said=SAID,
    tested="The last entry names the token.",
    measure=effect,
    rule=above(0.5, "of positions"),
    unit="files",
    chosen="nothing",
    nulls={"untrained": -1.0},
    planted={"copying": 1.0},
    knobs={"probe": ["weak", "softmax", "two layers"], "rows": [20, 40, 80]},
    narrower="Said of every model; tested on one.",
    open="A larger model.",
)


class Page(HTMLParser):
    """The text of a page outside and inside its fold, and its tags."""

    def __init__(self, source):
        super().__init__()
        self.texts, self.tags, self.folded = {False: "", True: ""}, [], False
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.folded |= tag == "details"

    def handle_endtag(self, tag):
        self.folded &= tag != "details"

    def handle_data(self, data):
        self.texts[self.folded] += data + " "


def page(found):
    return Page(found._repr_mimebundle_()[0]["text/html"])


EVERY = {
    "supported": judge(replace(CLAIM, knobs={"rows": [20, 40, 80]}), 0.0),
    "depends on probe": judge(CLAIM, 0.0, also={"smollm2-135m": -2.0, "another": under(0.0, probe="weak")}),
    "refuted": judge(replace(CLAIM, knobs="The measure has no free setting."), -2.0),
    "illustrated": illustrated("02c", said=SAID, shown="A prefix has the same columns.", check=lambda: True),
    "withdrawn": withdrawn("02c", said="our own", tested="It helps.", reason="Nothing reads that place."),
    "not tested at this scale": not_tested("02c", said=SAID, tested="It helps.", reason="It takes a large model."),
    "undecided": verdict(
        "02c", "undecided", claim="It holds.", source="x", measure="gap", effect=0, interval=(0, 1), unit="nats"
    ),
}


@pytest.mark.parametrize("outcome", EVERY)
def test_every_outcome_comes_back_from_a_notebooks_json(outcome):
    found = EVERY[outcome]
    _, metadata = found._repr_mimebundle_()
    assert found.outcome == outcome and Verdict.from_data(json.loads(json.dumps(metadata[METADATA]))) == found


def test_data_of_another_form_are_refused():
    data = EVERY["supported"].data
    assert data["version"] == 3
    for other in (data | {"version": 2}, {key: value for key, value in data.items() if key != "version"}):
        with pytest.raises(ValueError, match=r"has the form [12], not 3: execute its notebook again"):
            Verdict.from_data(other)


@pytest.mark.parametrize("outcome", EVERY)
def test_the_verdict_stands_with_its_sign_beside_what_was_tested(outcome):
    found = EVERY[outcome]
    outside = page(found).texts[False]
    assert signed(outcome) in outside and signed(outcome) == f"{SIGNS.get(outcome, '↔')} {outcome}"
    assert re.search(rf"Tested: +{re.escape(found.tested)}.*{re.escape(signed(outcome))}", outside)
    assert outside.startswith("Claim 02c")


@pytest.mark.parametrize("outcome", EVERY)
def test_page_and_terminal_say_the_same(outcome):
    found = EVERY[outcome]
    shown = page(found)
    on_page = re.sub(r"\s+", " ", " ".join(shown.texts.values()))
    for line in str(found).splitlines():
        for part in re.split(r"\s{2,}|: |\. ", line.strip()):
            assert part in on_page


def test_no_colour_says_anything():
    source = EVERY["depends on probe"]._repr_mimebundle_()[0]["text/html"]
    assert "color" not in source and "background" not in source
    assert 'class="mechlib-verdict depends"' in source


def test_an_address_leads_to_the_verdict_and_not_to_the_declaration():
    found = EVERY["depends on probe"]
    assert [a["id"] for _, a in page(found).tags if "id" in a] == [anchor(found.claim_id)] == ["verdict-02c"]
    assert "id=" not in CLAIM._repr_mimebundle_()["text/html"]


def test_a_measured_claim_says_where_its_interval_has_to_lie():
    assert EVERY["supported"].supports in EVERY["supported"].rule and EVERY["supported"].supports
    assert EVERY["illustrated"].supports == ""


def test_the_card_is_short_and_the_rest_unfolds():
    shown = page(EVERY["depends on probe"])
    outside, inside = shown.texts[False], shown.texts[True]
    assert "“Late layers < 3 & > 1 matter.” (somebody (S9), section 3)" in outside
    assert "Said of every model; tested on one." in outside
    assert re.search(r"share of tokens that are named: +\+1 of positions, 95 % interval \+0\.9", outside)
    assert re.search(r"On smollm2-135m: +✗ refuted, -1 of positions", outside)
    assert re.search(r"What could turn it: +probe = weak makes it refuted. A larger model.", outside)
    for part in (
        "Supported if the 95 % interval lies above 0.5 of positions",
        "5 files",
        "nothing",
        "false in untrained",
    ):
        assert part in inside and part not in outside
    for row in ("true in copying", "with probe = softmax (default)", "with probe = weak", "with rows = 80"):
        assert row in inside
    assert [tag for tag, _ in shown.tags].count("details") == 1


def test_a_claim_is_shown_with_its_rule_before_it_is_judged():
    shown = Page(CLAIM._repr_mimebundle_()["text/html"])
    outside = shown.texts[False]
    assert re.search(r"Tested: +The last entry names the token\. Said of every model; .*… not judged yet", outside)
    assert CLAIM.rule.sentence() in outside and "share of tokens that are named" in outside
    assert all(row in shown.texts[True] for row in ("false in untrained", "true in copying", "with probe = weak"))
    assert "supported" not in outside and "A larger model" not in outside
    assert ("div", {"class": "mechlib-claim"}) in [(tag, {"class": attrs.get("class")}) for tag, attrs in shown.tags]
    assert METADATA not in str(CLAIM._repr_mimebundle_())


def test_a_rule_between_arms_names_them_before_there_is_evidence():
    for rule, named in (
        (exceeds("own", "a", unit="nats"), "own − a"),
        (exceeds("own", unit="nats"), "own − every other"),
    ):
        assert f"paired difference {named}" in str(replace(CLAIM, rule=rule))


def test_what_was_varied_in_vain_is_told():
    assert "Nothing that was varied: rows (3 settings). A larger model." in page(EVERY["supported"]).texts[False]
    assert "The measure has no free setting. A larger model." in page(EVERY["refuted"]).texts[False]


def test_why_there_is_no_null_is_told():
    found = judge(replace(CLAIM, nulls="Nobody knows one.", planted="It needs a trained model."), 0.0)
    inside = page(found).texts[True]
    assert re.search(r"Nulls: +none\. Nobody knows one\.", inside)
    assert re.search(r"Planted: +none\. It needs a trained model\.", inside)


def test_a_claim_of_our_own_names_nobody():
    assert "A claim of our own." in page(EVERY["withdrawn"]).texts[False]
    assert "Nothing reads that place." in str(EVERY["withdrawn"])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: illustrated("02c", said=SAID, shown="It is so.", check=False),
            AssertionError,
            "by what is not so: It",
        ),
        (lambda: illustrated("02c", said=SAID, shown="It.", check=lambda: []), AssertionError, "02c is illustrated by"),
        (lambda: illustrated("02c", said="them", shown="It.", check=True), ValueError, "or is 'our own', not 'them'"),
        (lambda: illustrated("02c", said=SAID, shown="", check=True), ValueError, "02c has no tested claim"),
        (
            lambda: withdrawn("02c", said=SAID, tested="It.", reason=" "),
            ValueError,
            "say why 02c is withdrawn, got ' '",
        ),
        (lambda: not_tested("02c", said=SAID, tested="It.", reason=""), ValueError, "say why 02c is not tested"),
        (lambda: not_tested("2c", said=SAID, tested="It.", reason="No."), ValueError, "two digits and a letter"),
        (lambda: Verdict("02c", "depends", "x", "It."), ValueError, r"supported, .*depends on \.\.\., .*not 'depends'"),
        (lambda: Verdict("02c", "depends on ", "x", "It."), ValueError, "not 'depends on '"),
    ],
)
def test_what_is_no_verdict_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
