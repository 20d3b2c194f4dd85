"""How often a rule errs: an effect that lies at the bound is found in at most 2.5 of 100 data sets, one of twice the
bound nearly always; for each form of a rule, each kind of unit, and values that are skewed.

The data sets are drawn with a fixed seed. A share of 2,000 is compared with what is meant, plus a margin that chance
passes once in 10,000 times.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from mechlib.claims import Rule, above, below, exceeds, within

SETS = 2000
BOUND = 0.5
MEANT = 0.025

SHAPES: dict[str, Callable[..., np.ndarray]] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "Student's t with 3 degrees": lambda rng, size: rng.standard_t(3, size) / np.sqrt(3),
    "exponential": lambda rng, size: rng.exponential(size=size) - 1,
}
"""Values with mean 0 and variance 1."""

RUNS, FEW, MANY = 5, 20, 200
Arms = dict[str, np.ndarray]


def most(rate: float) -> float:
    """A share of the sets that a rate exceeds once in 10,000 times."""
    return binom.isf(1e-4, SETS, rate) / SETS


def shares(rule: Rule, arms: Arms) -> dict[str, float]:
    words = rule.read(arms).word
    return {word: float((words == word).mean()) for word in ("supported", "refuted", "undecided")}


@pytest.fixture(params=SHAPES)
def shape(request):
    return request.param


@pytest.fixture(params=[RUNS, FEW, MANY])
def n(request):
    return request.param


@pytest.fixture
def draw(shape, n):
    """``draw(mean, spread)``: 2,000 sets of n values, anew at every call."""
    rng = np.random.default_rng(n)
    return lambda mean, spread=1.0: mean + spread * SHAPES[shape](rng, (SETS, n))


FORMS: dict[str, Callable[[Callable[..., np.ndarray], float], tuple[Rule, Arms]]] = {
    "above": lambda draw, x: (above(BOUND, "nats"), {"": draw(x)}),
    "below": lambda draw, x: (below(-BOUND, "nats"), {"": draw(-x)}),
    "within, at its upper end": lambda draw, x: (within(-9, -BOUND, "nats"), {"": draw(-x)}),
    "within, at its lower end": lambda draw, x: (within(BOUND, 9, "nats"), {"": draw(x)}),
    "exceeds": lambda draw, x: (exceeds("own", "placebo", by=BOUND, unit="nats"), pair(draw, x)),
    "exceeds the nearest of three": lambda draw, x: (
        exceeds("own", by=BOUND, unit="nats"),
        pair(draw, x) | {"b": np.full(1, -99.0), "c": np.full(1, -99.0)},
    ),
    "every arm below, one near": lambda draw, x: (below(-BOUND, "nats"), {"a": draw(-x), "b": draw(-9)}),
    "some of three below, all alike": lambda draw, x: (
        below(-BOUND, "nats", some=True),
        {"a": draw(-x), "b": draw(-x), "c": draw(-x)},
    ),
}
"""By form, a rule and evidence whose effect is x, to be found where x is above the bound. All but the first and the
fourth have the tail of skewed values on the side on which an interval is too short."""

RATES = {("some of three below, all alike", "exponential", RUNS): 0.13, ("any", "exponential", RUNS): 0.069}
"""Shares of wrong answers that five values allow and more do not: what the docstrings of ``stats.skewed_interval`` and
``Rule.read`` say. Elsewhere it is ``MEANT``."""


def pair(draw: Callable[..., np.ndarray], x: float) -> Arms:
    """Two arms that vary together, much more than their difference does."""
    shared = draw(0, 10)
    return {"own": shared - draw(-x), "placebo": shared}


@pytest.mark.parametrize("form", FORMS)
def test_an_effect_at_the_bound_is_hardly_ever_found_nor_refuted(form, draw, shape, n):
    rate = RATES.get((form, shape, n), RATES.get(("any", shape, n), MEANT))
    rule, arms = FORMS[form](draw, BOUND)
    found = shares(rule, arms)
    assert found["supported"] <= most(rate) and found["refuted"] <= most(rate)


@pytest.mark.parametrize("form", FORMS)
def test_an_effect_of_twice_the_bound_is_nearly_always_found(form, draw, shape, n):
    """Where its standard error is a twentieth of the bound: a sample that looks skewed has a wide interval."""
    spread = BOUND / 20 * np.sqrt(n)
    rule, arms = FORMS[form](lambda mean, wider=1.0: draw(mean, spread * wider), 2 * BOUND)
    assert shares(rule, arms)["supported"] >= (0.99 if shape == "normal" else 0.95)


@pytest.mark.parametrize("n", [24, 200])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_at_the_bound_is_hardly_ever_found(n, share):
    drawn = np.random.default_rng(0).random((SETS, n)) < share
    for rule in (above(share, "of texts"), below(share, "of texts")):
        found = shares(rule, {"": drawn})
        assert found["supported"] <= most(MEANT) and found["refuted"] <= most(MEANT)


def test_a_share_of_twice_the_bound_is_nearly_always_found():
    drawn = np.random.default_rng(0).random((SETS, 400)) < 0.2
    assert shares(above(0.1, "of texts"), {"": drawn})["supported"] >= 0.99


def test_runs_that_are_judged_one_by_one_agree_by_chance_even_less_often():
    """Each of three runs with an effect at the bound: 2.5 of 100 to the third power."""
    rule, rng = above(BOUND, "nats"), np.random.default_rng(0)
    words = [rule.read({"": BOUND + rng.standard_normal((SETS, FEW))}).word for _ in range(3)]
    assert np.mean([word == "supported" for word in words]) <= most(MEANT)
    assert np.all([word == "supported" for word in words], axis=0).mean() <= most(MEANT**3)
