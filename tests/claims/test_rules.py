"""Rules say where an interval must lie, in words and in fact."""

import math

import numpy as np
import pytest
from scipy import stats as reference

from mechlib.claims import Rule, above, below, exceeds, within

AROUND = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
"""Symmetric about 0: the interval is Student's, with ends of 1.96."""
HALF = reference.t.ppf(0.975, 4) * math.sqrt(2.5 / 5)


def word(rule: Rule, **arms: np.ndarray) -> str:
    return str(rule.read(arms).word)


def test_the_interval_is_students_where_nothing_is_skewed():
    found = above(0, "nats").read({"": AROUND + 5})
    assert (float(found.effect), float(found.low), float(found.high)) == pytest.approx((5, 5 - HALF, 5 + HALF))


@pytest.mark.parametrize(
    ("rule", "outcomes"),
    [
        (above(1, "nats"), "refuted undecided undecided supported"),
        (above(1, "nats", refuted_below=0.5), "refuted undecided undecided supported"),
        (above(1, "nats", refuted_below=-8), "undecided undecided undecided supported"),
        (below(1, "nats"), "supported undecided undecided refuted"),
        (below(1, "nats", refuted_above=8), "supported undecided undecided undecided"),
        (within(-2, 2, "nats"), "refuted supported undecided refuted"),
        (within(-2, 2, "nats", refuted_beyond=(-8, 2)), "undecided supported undecided refuted"),
        (within(-5, -1, "nats"), "undecided undecided refuted refuted"),
    ],
)
def test_every_form_has_three_outcomes(rule, outcomes):
    assert " ".join(word(rule, a=AROUND + mean) for mean in (-5, 0, 1.5, 4)) == outcomes


def test_every_arm_is_asked_or_one_is_enough():
    arms = {"a": AROUND + 3, "b": AROUND, "c": AROUND + 9}
    assert word(above(0.5, "nats"), **arms) == "undecided"
    assert word(above(0.5, "nats", some=True), **arms) == "supported"
    assert word(above(-5, "nats"), **arms) == word(below(15, "nats"), **arms) == "supported"
    assert word(above(4, "nats"), **arms) == word(below(4, "nats"), **arms) == "refuted"
    assert word(above(20, "nats", some=True), **arms) == "refuted"
    found = above(0.5, "nats").read(arms)
    assert found.contrasts[found.deciding] == "b" and float(found.effect) == 0
    found = above(0.5, "nats", some=True).read(arms)
    assert found.contrasts[found.deciding] == "c" and float(found.effect) == 9


def test_where_one_of_three_is_enough_its_interval_has_a_third_of_the_error():
    third = reference.t.ppf(1 - 0.025 / 3, 4) * math.sqrt(2.5 / 5)
    low = {"b": AROUND - 90, "c": AROUND - 90}
    high = {"b": AROUND + 90, "c": AROUND + 90}
    for off, some, one in ((-0.01, "undecided", "undecided"), (0.01, "supported", "refuted")):
        assert word(above(0, "nats", some=True), a=AROUND + third + off, **low) == some
        assert word(above(0, "nats"), a=AROUND - third - off, **high) == one
    for off, every, all_ in ((-0.01, "undecided", "undecided"), (0.01, "supported", "refuted")):
        assert word(above(0, "nats"), a=AROUND + HALF + off, **high) == every
        assert word(above(0, "nats", some=True), a=AROUND - HALF - off, **low) == all_


def test_one_arm_exceeds_others_unit_by_unit():
    shared = np.linspace(0, 100, 5)
    own, placebo = AROUND / 9 + shared + 2, shared
    assert word(exceeds("own", "placebo", by=1.5, unit="nats"), own=own, placebo=placebo) == "supported"
    assert word(exceeds("own", "placebo", by=3, unit="nats"), own=own, placebo=placebo) == "refuted"
    assert word(exceeds("own", by=1.5, unit="nats"), own=own, a=placebo, b=placebo - 1) == "supported"
    assert word(exceeds("own", by=1.5, unit="nats"), own=own, a=placebo, b=placebo + 1) == "refuted"
    assert word(exceeds("own", "a", by=1.5, unit="nats"), own=own, a=placebo, b=placebo + 9) == "supported"
    assert word(exceeds("own", "a", unit="nats", times=2), own=AROUND + 7, a=AROUND / 2 + 2) == "supported"
    assert word(exceeds("own", "a", unit="nats", times=2), own=AROUND + 7, a=AROUND / 2 + 4) == "refuted"


def test_booleans_are_counted_and_have_the_exact_interval():
    none = np.zeros(24, dtype=bool)
    found = below(0.2, "of texts").read({"": none})
    assert (found.word, float(found.low), float(found.high)) == ("supported", 0, pytest.approx(1 - 0.025 ** (1 / 24)))
    assert word(below(0.1, "of texts"), a=none) == "undecided"
    assert word(above(0.9, "of texts"), a=~none) == "undecided"
    assert word(exceeds("yes", "no", by=0.9, unit="of texts"), yes=~none, no=none) == "supported"


def test_many_sets_are_read_at_once():
    values = np.random.default_rng(0).normal(size=(7, 3, 20))
    rule = exceeds("a", by=0.1, unit="nats")
    arms = {"a": values[0], "b": values[1], "c": values[2]}
    together = rule.read(arms)
    for i in range(3):
        alone = rule.read({name: arm[i] for name, arm in arms.items()})
        assert alone.word == together.word[i] and alone.deciding == together.deciding[i]
        assert (alone.effect, alone.low, alone.high) == pytest.approx(
            (together.effect[i], together.low[i], together.high[i])
        )


@pytest.mark.parametrize(
    ("rule", "contrasts", "sentence"),
    [
        (
            above(0.1, "nats"),
            [""],
            "Supported if the 95 % interval lies above 0.1 nats; refuted if it lies below 0.1; undecided otherwise.",
        ),
        (
            below(0.1, "nats", refuted_above=0.3),
            [""],
            "Supported if the 95 % interval lies below 0.1 nats; refuted if it lies above 0.3; undecided otherwise.",
        ),
        (
            within(-1, 1, "nats", refuted_beyond=(-2, 3)),
            ["a", "b"],
            "Supported if the 95 % interval of every arm (a, b) lies between -1 and 1 nats; refuted if that of any one "
            "lies below -2 or above 3; undecided otherwise. Where one of the 2 is enough, its interval is one of "
            "97.5 %.",
        ),
        (
            above(0.1, "nats", some=True),
            ["a", "b"],
            "Supported if the 95 % interval of at least one arm (a, b) lies above 0.1 nats; refuted if every one of "
            "them lies below 0.1; undecided otherwise. Where one of the 2 is enough, its interval is one of 97.5 %.",
        ),
        (
            exceeds("own", "placebo", by=1, unit="nats", times=2),
            ["own − 2 × placebo"],
            "Supported if the 95 % interval of the paired difference own − 2 × placebo lies above 1 nats; refuted if "
            "it lies below 1; undecided otherwise.",
        ),
    ],
)
def test_a_rule_says_all_its_outcomes(rule, contrasts, sentence):
    assert rule.sentence(contrasts) == sentence


def test_the_names_of_contrasts_are_those_of_the_sentence():
    rule = exceeds("own", "placebo", by=1, unit="nats", times=2)
    assert rule.read({"own": AROUND, "placebo": AROUND}).contrasts == ("own − 2 × placebo",)


@pytest.mark.parametrize(
    ("rule", "bound", "moved"),
    [
        (above(1, "nats", refuted_below=0.5), 3, above(3, "nats", refuted_below=2.5)),
        (below(1, "nats", some=True), 3.0, below(3, "nats", some=True)),
        (within(-1, 1, "nats", refuted_beyond=(-2, 3)), (0, 4), within(0, 4, "nats", refuted_beyond=(-1, 6))),
        (exceeds("a", "b", by=1, unit="nats", times=2), 2, exceeds("a", "b", by=2, unit="nats", times=2)),
    ],
)
def test_a_rule_moves_to_another_bound(rule, bound, moved):
    assert rule.at(bound) == moved and moved.bound == bound and rule.at(rule.bound) == rule


@pytest.mark.parametrize(("rule", "bound"), [(above(1, "nats"), (1, 2)), (within(0, 1, "nats"), 2)])
def test_another_bound_is_one_like_it(rule, bound):
    with pytest.raises(ValueError, match="another is one like it, not"):
        rule.at(bound)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: above(1, " "), "names the unit of its bound"),
        (lambda: above(1, "nats", refuted_below=2), "supported between 1 and inf, refuted below 2"),
        (lambda: below(1, "nats", refuted_above=0), "refuted .*above 0"),
        (lambda: within(2, 1, "nats"), "a band a width, got 2 to 1"),
        (lambda: within(1, 2, "nats", refuted_beyond=(1.5, 3)), "refuted below 1.5"),
        (lambda: above(math.inf, "nats"), "needs a bound"),
        (lambda: exceeds("own", "own", unit="nats"), r"different names, got \['own', 'own'\]"),
        (lambda: exceeds("", unit="nats"), "different names"),
        (lambda: exceeds("own", unit="nats").read({"own": AROUND}), r"the arms \['own', 'another'\].*gives \['own'\]"),
        (
            lambda: exceeds("own", "a", unit="nats").read({"own": AROUND, "b": AROUND}),
            r"\['own', 'a'\].*\['own', 'b'\]",
        ),
    ],
)
def test_what_is_no_rule_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
