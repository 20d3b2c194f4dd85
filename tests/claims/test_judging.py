"""A claim is judged on its system, on what is known, and in other settings; a rule that errs there raises."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.claims import (
    Claim,
    Evidence,
    NullSupported,
    PlantedMissed,
    ProseWarning,
    above,
    each_run,
    exceeds,
    judge,
    read,
    under,
)
from mechlib.llc import Unreliable

AROUND = torch.linspace(-0.02, 0.02, 9)


def effect(system, *, probe="softmax", rows=40, shuffled=False):
    """what is found in a system"""
    shift = {"softmax": 0.0, "least squares": -0.3, "two layers": 0.1, "three layers": 0.2, "loose": -0.25}[probe]
    return AROUND + (0.0 if shuffled else system) + shift + rows / 1e4


CLAIM = Claim(
    "02c",
    said="our own",
    tested="Something is found.",
    measure=effect,
    rule=above(0.1, "nats", refuted_below=0.05),
    unit="files",
    chosen="nothing",
    nulls={"untrained": 0.0},
    planted={"copying": 1.0},
    knobs={"rows": [20, 40, 80]},
)


@pytest.mark.parametrize(("system", "outcome"), [(0.5, "supported"), (-0.5, "refuted"), (0.1, "undecided")])
def test_the_rule_is_run_on_everything(system, outcome):
    found = judge(CLAIM, system)
    assert found.outcome == found.line.outcome == outcome
    assert found.effect == pytest.approx(system + 0.004) and found.line.n == 9
    assert found.nulls["untrained"].outcome == "refuted" and found.planted["copying"].outcome == "supported"
    assert {label: line.effect for label, line in found.knobs["rows"].items()} == {
        "20": pytest.approx(system + 0.002),
        "40": pytest.approx(system + 0.004),
        "80": pytest.approx(system + 0.008),
    }
    assert found.defaults == {"rows": "40"} and found.also == {}


@pytest.mark.parametrize("null", [0.5, under(0.5), under(-0.5, probe="two layers", rows=9000)])
def test_a_null_that_is_supported_raises(null):
    with pytest.raises(
        NullSupported, match=r"claim 02c: its rule supports it for 'shuffled', where it is false: .* 9 f"
    ):
        judge(replace(CLAIM, nulls={"untrained": 0.0, "shuffled": null}), 0.5)


@pytest.mark.parametrize("truth", [0.1, -0.5, under(0.5, shuffled=True)])
def test_a_planted_truth_that_is_missed_raises(truth):
    with pytest.raises(
        PlantedMissed, match=r"says (undecided|refuted) for 'a copy', where it is true: .* 95 % interval"
    ):
        judge(replace(CLAIM, planted={"copying": 1.0, "a copy": truth}), 0.5)


def test_a_null_that_is_undecided_passes_and_is_shown():
    found = judge(replace(CLAIM, nulls={"nearly": 0.1, "shuffled": under(0.5, shuffled=True)}), 0.5)
    assert [line.outcome for line in found.nulls.values()] == ["undecided", "refuted"]


@pytest.mark.parametrize(
    ("system", "settings", "outcome"),
    [
        (0.2, ["softmax", "least squares", "two layers"], "depends on probe"),
        (0.02, ["softmax", "two layers", "least squares"], "depends on probe"),
        (0.07, ["softmax", "two layers", "three layers"], "undecided"),
        (0.34, ["softmax", "loose", "two layers"], "supported"),
    ],
)
def test_a_verdict_that_turns_over_within_the_range_depends_on_the_knob(system, settings, outcome):
    found = judge(replace(CLAIM, knobs={"rows": [20, 40, 80], "probe": settings}), system)
    words = {label: line.outcome for label, line in found.knobs["probe"].items()}
    assert found.outcome == outcome, words
    if outcome == "supported":
        assert words == {"softmax": "supported", "loose": "undecided", "two layers": "supported"}


def test_it_may_depend_on_two_knobs_together():
    knobs = {"probe": ["softmax", "least squares", "loose"], "rows": [40, 1000, 3000]}
    found = judge(replace(CLAIM, knobs=knobs), 0.1)
    assert found.outcome == "depends on probe, rows" and found.line.outcome == "undecided"


def test_the_bound_may_be_a_knob_and_needs_no_other_evidence():
    calls = []

    def counted(system):
        """what is found"""
        calls.append(system)
        return AROUND + system

    claim = replace(CLAIM, measure=counted, knobs={"bound": [0.1, 0.5, 0.6, 1.9]}, planted={"copying": 9.0})
    found = judge(claim, 0.54)
    words = {label: line.outcome for label, line in found.knobs["bound"].items()}
    assert words == {"0.1": "supported", "0.5": "supported", "0.6": "undecided", "1.9": "refuted"}
    assert found.outcome == "depends on bound" and calls.count(0.54) == 1


def test_another_system_has_its_line_and_decides_nothing():
    found = judge(CLAIM, 0.5, also={"smollm2-135m": -0.5, "two layers": under(0.1, probe="two layers")})
    assert found.outcome == "supported"
    assert {name: line.outcome for name, line in found.also.items()} == {
        "smollm2-135m": "refuted",
        "two layers": "supported",
    }


def warned(system, *, rows=40):
    """what is found, with doubts"""
    if rows > 50:
        warnings.warn("gamma sets the estimate", Unreliable, stacklevel=2)
    return Evidence(AROUND + system, "only by hand" if rows < 30 else "")


WARNED = replace(CLAIM, measure=warned)


def test_a_setting_of_which_the_library_warns_decides_nothing():
    found = judge(WARNED, 0.5)
    assert found.outcome == "supported"
    lines = found.knobs["rows"]
    assert [line.outcome for line in lines.values()] == ["undecided", "supported", "undecided"]
    assert lines["80"].why == "the library warns: gamma sets the estimate" and lines["80"].effect == pytest.approx(0.5)
    assert lines["20"].why == "the library warns: only by hand"


def test_nor_does_it_where_the_claim_is_judged_there():
    lines = [read(WARNED, system, rows=80) for system in (0.5, -0.5)]
    assert [line.outcome for line in lines] == ["undecided", "undecided"]
    with pytest.raises(PlantedMissed, match="the library warns: gamma sets"):
        judge(replace(WARNED, planted={"copying": under(1.0, rows=80)}), 0.5)


def test_every_call_is_heard_and_only_the_librarys_warnings_count():
    def loud(system):
        """what is found, loudly"""
        warnings.warn("somebody else's", RuntimeWarning, stacklevel=1)
        return AROUND + system

    claim = replace(CLAIM, measure=loud, knobs="The measure has no free setting.")
    with pytest.warns(RuntimeWarning, match="somebody else's"):
        assert judge(claim, 0.5).outcome == "supported"
    assert [read(WARNED, 0.5, rows=80).outcome for _ in range(3)] == ["undecided"] * 3
    assert Unreliable.__module__.startswith("mechlib") and ProseWarning.__module__.startswith("mechlib")


def test_where_a_warning_leaves_no_numbers_there_is_none():
    def diverged(system):
        """what is left"""
        return Evidence([math.nan, math.inf, *[0.1] * 3], "it diverged")

    line = read(replace(CLAIM, measure=diverged, knobs="None."), 0.5)
    assert (line.outcome, line.effect, line.interval, str(line)) == ("undecided", None, None, "no number")


def test_what_the_library_warns_of_may_be_infinite():
    def diverged(system):
        """what is left"""
        warnings.warn("it diverged", Unreliable, stacklevel=2)
        return [math.inf, *AROUND.tolist()]

    line = read(replace(CLAIM, measure=diverged, knobs="None."), 0.5)
    assert (line.outcome, line.n, line.why) == ("undecided", 9, "the library warns: it diverged")


def test_no_run_is_left_out_in_silence():
    def broken(system):
        """what is found, or not"""
        return [math.nan] if system == 3 else [system]

    claim = replace(CLAIM, measure=broken, unit="runs", knobs="None.")
    with pytest.raises(ValueError, match=r"left out of a mean in silence, and \[3\] have no value"):
        read(claim, [0, 1, 2, 3, 4, 5])


def test_equal_values_are_told():
    line = read(replace(CLAIM, measure=same, knobs="None."), 0.5)
    assert line.outcome == "supported" and line.why == "all 6 values are equal"


def same(system):
    """the same everywhere"""
    return [system] * 6


RUNS = [0.5, 0.6, 0.7, 0.8, 0.9]


def test_runs_are_measured_one_by_one_and_their_means_are_the_units():
    claim = replace(CLAIM, unit="runs", nulls={"untrained": [0.0] * 5}, planted={"copying": [1.0] * 6})
    found = judge(claim, RUNS)
    alone = above(0.1, "nats").read({"": np.array(RUNS) + 0.004})
    assert found.effect == pytest.approx(float(alone.effect))
    assert found.interval == pytest.approx((float(alone.low), float(alone.high)), abs=1e-6)
    assert found.line.n == 5 and found.over == "5 runs" and found.planted["copying"].n == 6


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ([0.5] * 4, r"02c needs at least 5 runs of each system, got 4; of fewer, .*each_run\(\.\.\.\)"),
        (0.5, "02c is about runs, so each of its systems is a list of runs, got float"),
        ("many", "a list of runs, got str"),
    ],
)
def test_fewer_than_five_runs_are_refused(system, message):
    claim = replace(CLAIM, unit="runs", nulls="There is none.", planted="There is none.")
    with pytest.raises(ValueError, match=message):
        judge(claim, system)


def test_a_warning_in_one_run_is_one_of_all():
    claim = replace(WARNED, unit="runs")
    line = read(claim, RUNS, rows=80)
    assert line.outcome == "undecided" and line.why.count("gamma sets the estimate") == 5
    assert line.why.startswith("the library warns: run 0: gamma")


@pytest.mark.parametrize(
    ("runs", "outcome", "told"),
    [
        ([0.5, 0.6, 0.7], "supported", "supported in 3 of 3 runs"),
        ([0.5, 0.6, -0.7], "undecided", "supported in 2 of 3 runs, refuted in 1 of 3 runs"),
        ([-0.5], "refuted", "refuted in 1 of 1 runs"),
    ],
)
def test_each_run_may_be_judged_by_itself(runs, outcome, told):
    claim = replace(CLAIM, unit=each_run("files"), nulls={"untrained": [0.0]}, planted={"copying": [1.0, 2.0]})
    found = judge(claim, runs)
    assert (found.outcome, found.line.why) == (outcome, told)
    assert found.over == f"9 files in each of {len(runs)} runs"
    assert found.effect == pytest.approx(sum(runs) / len(runs) + 0.004)
    single = [read(CLAIM, run) for run in runs]
    assert found.interval == (min(line.interval[0] for line in single), max(line.interval[1] for line in single))


def arms(system, *, rows=40):
    """own and placebo"""
    return {"own": AROUND + system + rows / 100, "placebo": [*AROUND[:8].tolist(), math.nan]}


def test_arms_are_paired_and_units_without_a_value_left_out():
    claim = replace(CLAIM, measure=arms, rule=exceeds("own", "placebo", unit="nats"), nulls={"less": -1.0})
    found = judge(claim, 0.5)
    assert found.line.n == 8 and found.line.arm == "own − placebo" and found.effect == pytest.approx(0.9)
    assert "paired difference own − placebo" in found.rule


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0, 3.0, 4.0], "02c needs at least 5 files, its measure gives 4"),
        ([1.0, 2.0, 3.0, 4.0, math.nan], "its measure gives 4"),
        ([1.0] * 5 + [math.inf], "finite, or NaN where a unit is left out, got infinite"),
        (torch.zeros(3, 5), r"one value for each unit, got the shape \(3, 5\); see stats.by_unit"),
        ({"a": [1.0] * 5, "b": [1.0] * 6}, "each of the same units, got {'a': 5, 'b': 6}"),
        ({}, "same units, got {}"),
    ],
)
def test_what_is_no_evidence_is_refused(values, message):
    def given(_):
        """as it is given"""
        return values

    with pytest.raises(ValueError, match=message):
        read(replace(CLAIM, measure=given, knobs="None."), 0.5)


def test_runs_with_other_arms_are_refused():
    def changing(system):
        """other arms in each run"""
        return {str(system): AROUND}

    with pytest.raises(ValueError, match="every run has the same arms"):
        read(replace(CLAIM, measure=changing, unit="runs", knobs="None."), [1, 2, 3, 4, 5])
