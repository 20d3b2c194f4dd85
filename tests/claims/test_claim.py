"""What is declared badly is refused, with what was given and what would be right."""

from dataclasses import replace
from functools import partial

import pytest

from mechlib.claims import Chosen, Claim, Said, above, each_run


def gap(model, *, probe="softmax", rows=40, fit=max):
    """share of tokens named at the last entry,
    minus the same one position earlier.

    More of it.
    """
    return model


def bare(model):
    return model


SAID = Said("The token is still there.", "somebody (S9)", "section 3")
CLAIM = Claim(
    "02c",
    said=SAID,
    tested="The last entry names the token more often than the position before.",
    measure=gap,
    rule=above(0.1, "of positions"),
    unit="files",
    chosen="nothing",
    nulls={"untrained": [0.0] * 5},
    planted={"copying": [1.0] * 5},
    knobs={"probe": ["least squares", "softmax", "two layers"], "rows": [20, 40, 80]},
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claim_id": "2c"}, "two digits and a letter, such as '02a', not '2c'"),
        ({"said": "It is there."}, r"said in words, Said\(words, source, place\), or is 'our own', not 'It is there.'"),
        ({"tested": " "}, "claim 02c needs the sentence that is tested, got ' '"),
        ({"measure": bare}, "02c needs a measure whose docstring says what its values are, got <function bare"),
        ({"rule": 0.1}, "made by above, below, within or exceeds, got 0.1"),
        ({"unit": ""}, "name the unit: 'files', 'prompts', 'runs', or each_run"),
        ({"chosen": ""}, r"'nothing' was chosen, or Chosen\(what, on=, judged_on=\), not ''"),
        (
            {"nulls": {}},
            "02c needs systems known to make it false, by name, or a sentence on why there is none, got {}",
        ),
        ({"nulls": ""}, "known to make it false.*got ''"),
        ({"planted": {}}, "02c needs systems in which it is true by construction, by name, or a sentence"),
        ({"knobs": {}}, "02c needs settings of the measure's keywords, by name, or a sentence"),
        ({"knobs": {"rows": [40, 80]}}, r"knob 'rows' has 3 to 5 settings, its default among them, got \['40', '80'\]"),
        ({"knobs": {"rows": [10, 20, 30, 40, 50, 60]}}, "knob 'rows' has 3 to 5 settings"),
        ({"knobs": {"rows": [10, 20, 30]}}, "'rows' has its default 40 among its settings, got .*'30'"),
        (
            {"knobs": {"layer": [1, 2, 3]}},
            "'layer' is a keyword of the measure with a default, and the measure has none",
        ),
        ({"knobs": {"model": [1, 2, 3]}}, "'model' is a keyword of the measure with a default"),
    ],
)
def test_a_bad_declaration_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CLAIM, **change)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Said("", "somebody", "section 3"), "where nobody made the claim said='our own', got ''"),
        (lambda: Said("It is there.", " ", "section 3"), "has a source, such as .*got ' '"),
        (lambda: Said("It is there.", "somebody", ""), "has a place in its source, such as 'section 3', got ''"),
        (lambda: Chosen("", "some", "others"), "say what was chosen"),
        (lambda: Chosen("the head", "files", "files"), "the head must be judged on others .* got files in both"),
        (lambda: Chosen("the head", range(5), range(4, 9)), "judged on others than it was chosen on, got 4 in both"),
        (lambda: Chosen("the head", range(0), range(4)), "on what the head was chosen and judged, got range"),
        (lambda: each_run(" "), "name the units within a run"),
    ],
)
def test_so_are_its_parts(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_reasons_stand_where_there_is_none():
    reason = "No system is known to make it false."
    bare = replace(CLAIM, said="our own", nulls=reason, planted=reason, knobs="The measure has no free setting.")
    assert bare.settings == {}


def test_the_measure_says_what_it_measures():
    said = "share of tokens named at the last entry, minus the same one position earlier"
    assert CLAIM.quantity == replace(CLAIM, measure=partial(gap, fit=min)).quantity == said


def test_settings_have_labels_and_a_default():
    fits = {"greatest": max, "least": min, "sum": sum}
    claim = replace(CLAIM, knobs={"fit": fits, "rows": (20, 40, 80)})
    assert claim.settings == {"fit": fits, "rows": {"20": 20, "40": 40, "80": 80}}
    assert (claim.default("fit"), claim.default("rows")) == ("greatest", "40")
    assert replace(CLAIM, measure=partial(gap, rows=80)).default("rows") == "80"


def test_what_was_chosen_is_told():
    assert str(Chosen("the head", "training files", "held-out files")) == (
        "the head: chosen on training files, judged on held-out files"
    )
    assert str(Chosen("the head", range(20), range(20, 23))) == (
        "the head: chosen on 0, 1, 2, 3, 4, 5, ... (20), judged on 20, 21, 22"
    )
