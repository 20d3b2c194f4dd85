"""Judging: a claim's rule on its system, on what makes it false, on what makes it true, and in other settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mechlib.claims.card import size
from mechlib.claims.claim import BOUND, Claim, Under
from mechlib.claims.evidence import FEWEST, Evidence, listed, measured, pooled
from mechlib.claims.results import Line
from mechlib.claims.rules import Rule
from mechlib.claims.verdicts import Verdict
from mechlib.claims.words import DEPENDS


class RuleFailed(AssertionError):
    """A rule says of a system that is known what is known to be wrong. It ends the build of the book."""


class NullSupported(RuleFailed):
    """A rule supports its claim where the claim is false."""


class PlantedMissed(RuleFailed):
    """A rule does not support its claim where the claim is true."""


def judge(claim: Claim, system: object, *, also: Mapping[str, Any] | None = None) -> Verdict:
    """The verdict on a claim, its rule tested on the way; the last expression of a cell.

    Args:
        claim: as it was declared.
        system: what the measure takes, such as a model; a list of them where the unit is runs.
        also: by name, other systems on which the same rule is run, such as the real model; each has its line on the
            card, and none decides.

    Raises:
        NullSupported: if the rule supports the claim for a null.
        PlantedMissed: if it does not support it for a planted truth.
        ValueError: if the evidence does not fit the rule or the unit, or has fewer than five units or runs.
    """
    nulls, planted = _all_of(claim, claim.nulls), _all_of(claim, claim.planted)
    _check(claim, nulls, planted)
    evidence = _evidence(claim, system)
    line = _line(claim, evidence)
    knobs = {
        knob: {
            label: line if label == claim.default(knob) else _turned(claim, system, evidence, knob, value)
            for label, value in settings.items()
        }
        for knob, settings in claim.settings.items()
    }
    found = {
        "outcome": _depends(line, knobs) or line.outcome,
        "line": line,
        "rule": claim.rule.sentence(line.arms),
        "supports": claim.rule.supports,
        "over": _over(claim, line, system),
        "nulls": nulls or claim.nulls,
        "planted": planted or claim.planted,
        "knobs": knobs or claim.knobs,
        "also": _all_of(claim, also or {}),
    }
    return Verdict(**vars(claim.record) | found)


def read(claim: Claim, system: Any, **options: Any) -> Line:
    """What a claim's rule says of one system in one setting.

    Args:
        claim: as it was declared.
        system: as for ``judge``; or ``under(system, ...)``.
        options: keywords of the measure.

    Raises:
        ValueError: as ``judge``.
    """
    return _line(claim, _evidence(claim, system, **options))


def _evidence(claim: Claim, system: Any, **options: Any) -> list[Evidence]:
    """What the measure finds in a system, or in each of its runs."""
    if isinstance(system, Under):
        system, options = system.system, {**system.options, **options}
    kind = claim.over.kind
    runs = [system] if kind == "units" else listed(system, claim.claim_id, FEWEST if kind == "runs" else 1)
    return [measured(claim.measure, run, options) for run in runs]


def _line(claim: Claim, found: list[Evidence], rule: Rule | None = None) -> Line:
    """What the claim's rule, or another, says of evidence."""
    rule = rule or claim.rule
    if claim.over.kind == "each run":
        return _in_each([_of_one(claim, evidence, rule) for evidence in found])
    return _of_one(claim, pooled(found) if claim.over.kind == "runs" else found[0], rule)


def _turned(claim: Claim, system: Any, evidence: list[Evidence], knob: str, value: Any) -> Line:
    """The line of another setting; of another bound, from the same evidence."""
    if knob == BOUND:
        return _line(claim, evidence, claim.rule.at(value))
    return read(claim, system, **{knob: value})


def _of_one(claim: Claim, evidence: Evidence, rule: Rule) -> Line:
    if evidence.warned and evidence.n < FEWEST:
        return Line("undecided", n=evidence.n, why=_warned(evidence))
    if evidence.n < FEWEST:
        raise ValueError(
            f"claim {claim.claim_id} needs at least {FEWEST} {claim.over.name}, its measure gives {evidence.n}"
        )
    reading = rule.read(evidence.arms)
    ends = float(reading.low), float(reading.high)
    alike = "" if ends[0] < ends[1] else f"all {evidence.n} values are equal"
    return Line(
        "undecided" if evidence.warned else str(reading.word),
        float(reading.effect),
        ends,
        evidence.n,
        reading.contrasts[int(reading.deciding)],
        _warned(evidence) or alike,
        reading.contrasts,
    )


def _warned(evidence: Evidence) -> str:
    return f"the library warns: {evidence.warned}" if evidence.warned else ""


def _in_each(lines: list[Line]) -> Line:
    """The line of several runs that are judged one by one: an outcome only where all agree."""
    counts = Counter(line.outcome for line in lines)
    told = ", ".join(f"{outcome} in {count} of {len(lines)} runs" for outcome, count in counts.items())
    effects = [line.effect for line in lines if line.effect is not None]
    ends = [end for line in lines if line.interval is not None for end in line.interval]
    return Line(
        lines[0].outcome if len(counts) == 1 else "undecided",
        sum(effects) / len(effects) if effects else None,
        (min(ends), max(ends)) if ends else None,
        min(line.n for line in lines),
        lines[0].arm if len({line.arm for line in lines}) == 1 else "",
        "; ".join([told, *dict.fromkeys(line.why for line in lines if line.why)]),
        lines[0].arms,
    )


def _all_of(claim: Claim, systems: Mapping[str, Any] | str) -> dict[str, Line]:
    return {} if isinstance(systems, str) else {name: read(claim, system) for name, system in systems.items()}


def _check(claim: Claim, nulls: Mapping[str, Line], planted: Mapping[str, Line]) -> None:
    """See that the rule says of known systems what is known."""
    for name, line in nulls.items():
        if line.outcome == "supported":
            raise NullSupported(
                f"claim {claim.claim_id}: its rule supports it for {name!r}, where it is false: {_told(claim, line)}"
            )
    for name, line in planted.items():
        if line.outcome != "supported":
            raise PlantedMissed(
                f"claim {claim.claim_id}: its rule says {line.outcome} for {name!r}, where it is true: "
                f"{_told(claim, line)}"
            )


def _told(claim: Claim, line: Line) -> str:
    return f"{size(line, claim.rule.unit)}, over {line.n} {claim.over.name}. {claim.rule.sentence(line.arms)}"


def _depends(line: Line, knobs: Mapping[str, Mapping[str, Line]]) -> str:
    """The outcome where some settings support the claim and others refute it; empty where they do not."""
    turned = {knob: {found.outcome for found in settings.values()} - {line.outcome} for knob, settings in knobs.items()}
    decided = {"supported", "refuted"}
    if not decided <= {line.outcome}.union(*turned.values()):
        return ""
    return DEPENDS + ", ".join(knob for knob, outcomes in turned.items() if outcomes & decided)


def _over(claim: Claim, line: Line, system: object) -> str:
    each = f" in each of {len(listed(system, claim.claim_id, 1))} runs" if claim.over.kind == "each run" else ""
    return f"{line.n} {claim.over.name}{each}"
