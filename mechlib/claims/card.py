"""The card of a claim: what was said, what was tested, the verdict, and folded away how its rule was tested."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping

from mechlib import stats
from mechlib.claims.results import Line, Record
from mechlib.claims.words import DECLARED, OUR_OWN, SIGNS, kind, signed

FRAME = "border:1px solid;border-left-width:.5em;padding:.6em 1em"
LARGE = "margin:.4em 0;font-size:1.25em"
CLOSE = "margin:.3em 0 0"

NULL, PLANTED, KNOB = "false in", "true in", "with"


def said(record: Record) -> str:
    """Who said what, where: the words in quotation marks, or that the claim is ours."""
    if record.source == OUR_OWN:
        return "A claim of our own."
    if not record.words:
        return f"{record.source}; in our words."
    return f"“{record.words}” ({record.source}, {record.place})"


def tested(record: Record) -> str:
    """The sentence that was tested, and how it is narrower than what was said."""
    return " ".join(filter(None, [record.tested, record.narrower]))


def turns(record: Record) -> str:
    """What could turn the verdict: the settings that change it, or that none does, and what is left open."""
    return " ".join(filter(None, [varied(record), record.open]))


def varied(record: Record) -> str:
    """The settings that change the outcome, or that none does."""
    if isinstance(record.knobs, str):
        return record.knobs
    turned = {
        f"{knob} = {label}": line.outcome
        for knob, settings in record.knobs.items()
        for label, line in settings.items()
        if record.line and line.outcome != record.line.outcome
    }
    if turned:
        return "; ".join(f"{setting} makes it {outcome}" for setting, outcome in turned.items()) + "."
    tried = ", ".join(f"{knob} ({len(settings)} settings)" for knob, settings in record.knobs.items())
    return f"Nothing that was varied: {tried}."


def others(record: Record) -> Iterator[str]:
    """A sentence for each other system that the rule was run on."""
    for name, line in record.also.items():
        yield f"On {name}: {signed(line.outcome)}, {size(line, record.unit)}"


def size(line: Line, unit: str) -> str:
    """What the rule found, in numbers and words."""
    return _with_arm(line, line.size(unit))


def text(record: Record) -> str:
    """The card without markup."""
    return "\n".join(
        filter(
            None,
            [
                f"Claim {record.claim_id}. Said: {said(record)}",
                f"Tested: {tested(record)}",
                signed(record.outcome),
                *_facts(record),
                *_details(record),
                str(_table(record)) if _runs(record) else "",
            ],
        )
    )


def anchor(claim_id: str) -> str:
    """What an address ends with, behind its ``#``, that leads to the verdict on a claim on its page."""
    return f"verdict-{claim_id}"


def page(record: Record) -> str:
    """The card as HTML. What it says no colour says alone; it has none of its own."""
    head = f"<strong>Claim {record.claim_id}</strong>. <strong>Said:</strong> {html.escape(said(record))}"
    if record.outcome == DECLARED:
        name = 'class="mechlib-claim"'
    else:
        name = f'class="mechlib-verdict {kind(record.outcome).split()[0]}" id="{anchor(record.claim_id)}"'
    return (
        f'<div {name} style="{FRAME}"><p style="margin:0">{head}</p>'
        f'<p style="{CLOSE}"><strong>Tested:</strong> {html.escape(tested(record))}</p>'
        f'<p style="{LARGE}"><strong>{html.escape(signed(record.outcome))}</strong></p>'
        f"{''.join(map(_paragraph, _facts(record)))}{_fold(record)}</div>"
    )


def _facts(record: Record) -> Iterator[str]:
    """What stands below the verdict, outside the fold; a title ends with its colon."""
    if record.outcome == DECLARED:
        yield f"Measure: {record.measure}"
        yield f"Rule: {record.rule}"
        return
    if record.line:
        yield f"{record.measure}: {size(record.line, record.unit)}"
    if record.reason:
        yield f"Why: {record.reason}"
    yield from others(record)
    if turned := turns(record):
        yield f"What could turn it: {turned}"


def _details(record: Record) -> Iterator[str]:
    """What stands above the table in the fold."""
    if record.rule and record.outcome != DECLARED:
        yield f"Rule: {record.rule}"
    if record.rule:
        yield f"Unit: {record.over}. Chosen by its result: {record.chosen}."
    for title, given in (("Nulls", record.nulls), ("Planted", record.planted), ("Knobs", record.knobs)):
        if isinstance(given, str) and given:
            yield f"{title}: none. {given}"


def _fold(record: Record) -> str:
    if not record.rule:
        return ""
    table = _table(record)._repr_mimebundle_()["text/html"] if _runs(record) else ""
    table = f'<div style="overflow-x:auto">{table}</div>' if table else ""
    title = "How the rule is tested" if record.outcome == DECLARED else "The rule, and how it was tested"
    lines = "".join(map(_paragraph, _details(record)))
    return f'<details style="{CLOSE}"><summary>{title}</summary>{lines}{table}</details>'


def _paragraph(line: str) -> str:
    title, colon, rest = line.partition(": ")
    return f'<p style="{CLOSE}"><em>{html.escape(title)}{colon}</em>{html.escape(rest)}</p>'


def _runs(record: Record) -> dict[str, tuple[str, Line]]:
    """By what was run, what it is to show, and what it showed."""
    found = {f"{NULL} {name}": ("not supported", line) for name, line in _lines(record.nulls).items()}
    found |= {f"{PLANTED} {name}": ("supported", line) for name, line in _lines(record.planted).items()}
    for knob, settings in ({} if isinstance(record.knobs, str) else record.knobs).items():
        for label, line in settings.items():
            default = " (default)" if record.defaults.get(knob) == label else ""
            found[f"{KNOB} {knob} = {label}{default}"] = ("", line)
    return found


def _lines(given: Mapping[str, Line] | str) -> Mapping[str, Line]:
    return {} if isinstance(given, str) else given


def _table(record: Record) -> stats.Table:
    rows: dict[object, dict[str, str]] = {
        name: {
            "must be": must,
            "is": SIGNS[DECLARED] if line.outcome == DECLARED else signed(line.outcome),
            f"{record.unit} [95 % interval]": _with_arm(line, str(line)),
        }
        for name, (must, line) in _runs(record).items()
    }
    return stats.table(rows, head="the claim", caption="The rule on other systems and in other settings")


def _with_arm(line: Line, numbers: str) -> str:
    arm = f"{line.arm}: " if line.arm else ""
    return f"{arm}{numbers}" + (f" ({line.why})" if line.why else "")
