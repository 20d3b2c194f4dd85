"""The ledger of claims, ``book/claims.md``: made from the verdicts in the executed chapters, never typed.

Building the book executes every chapter; what was then shown is read here.
"""

from __future__ import annotations

import platform
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from mechlib.authoring import checkout
from mechlib.authoring.outputs import Outputs
from mechlib.claims import CLAIM_ID, METADATA, Line, ProseWarning, Verdict, at_home, card, signed

PAGE = "book/claims.md"
RELATIVE_TOLERANCE = 0.05
"""A recorded number may differ from a new run's by this share, or by ``WIDTHS`` of the interval."""
WIDTHS = 2
"""A chain goes another way on another processor. Two runs then differ by sqrt(2) standard errors, 0.36 widths of a 95 %
interval, and the ends of intervals by little more: 2 widths are five times that."""

HEAD = """\
# Claims and verdicts

Every claim of the book: what was said, what is tested, the verdict on that, and the effect that decides it. What was
tested may be narrower than what was said; a verdict is on what was tested. A claim is supported if its whole interval
lies in the grey part of the small picture; each picture has its own scale. This page is made from the executed chapters
by `mechlib book claims`; a test fails when a chapter no longer says what stands here. The sources are listed under
[](references.md).

| said | tested | verdict | effect, with its 95 % interval | what could turn it |
|---|---|---|---|---|
"""

ROW = re.compile(r"\| \*\*(?P<key>\d\d[a-z](?: on [^*]+)?)\*\* ")
VERDICT = 2
"""The cell of a row in which the verdict stands."""
BREAK = "<br>"
"""It stands behind what the last cell says of the settings that were varied."""
VARIED = re.compile(rf"[^|]*{BREAK}")
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def verdicts(folder: Path) -> Iterator[tuple[Path, Verdict]]:
    """Every verdict of the executed chapters of a checkout, with the chapter's path in it, in the book's order.

    Raises:
        FileNotFoundError: if a chapter has not been executed as it now stands.
        ValueError: if two verdicts are on the same claim.
    """
    outputs = Outputs(folder)
    seen: dict[str, Path] = {}
    for chapter in checkout.notebooks(folder, "book"):
        path = chapter.relative_to(folder)
        for found in _verdicts_of(outputs.read(path)):
            if found.claim_id in seen:
                raise ValueError(f"claim {found.claim_id} has one verdict in {seen[found.claim_id]}, another in {path}")
            seen[found.claim_id] = path
            yield path, found


def _verdicts_of(notebook: NotebookNode) -> Iterator[Verdict]:
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if data := output.get("metadata", {}).get(METADATA):
                yield Verdict.from_data(data)


def page(folder: Path) -> str:
    """The text of the ledger, from the executed chapters."""
    return HEAD + "".join(row.text for path, found in verdicts(folder) for row in _rows_of(path, found))


@dataclass(frozen=True)
class Row:
    """What the ledger says of a claim, or of a claim on a further system."""

    key: str
    """It stands in bold at the beginning."""
    text: str
    slack: float = 0.0
    """How far its numbers may be off."""


def _rows_of(path: Path, found: Verdict) -> Iterator[Row]:
    chapter = f"[chapter {checkout.label(path)}]({path.relative_to('book').as_posix()})"
    said = f"**{found.claim_id}** ({chapter}) {card.said(found)}"
    last = f"{varied}{BREAK}" if (varied := card.varied(found)) else ""
    last += " ".join(filter(None, [found.reason, found.open]))
    yield _row(found.claim_id, [said, card.tested(found), signed(found.outcome)], found, found.line, last)
    for name, line in found.also.items():
        key = f"{found.claim_id} on {name}"
        yield _row(key, [f"**{key}**", "the same", signed(line.outcome)], found, line, line.why)


def _row(key: str, cells: list[str], found: Verdict, line: Line | None, last: str) -> Row:
    low, high = (line and line.interval) or (0.0, 0.0)
    effect = f"{found.measure}: {line} {found.unit}" if line else ""
    if line and line.interval and found.supports:
        effect += f"; supported {found.supports}"
    cells = [cell.replace("|", r"\|").replace("\n", " ") for cell in (*cells, effect, last)]
    return Row(key, f"| {' | '.join(cells)} |\n", WIDTHS * (high - low))


def write(folder: Path | None = None) -> list[Path]:
    """Write the ledger of a checkout; the files that changed. Errors as ``verdicts``."""
    folder = folder or checkout.root()
    return checkout.write_changed({folder / PAGE: page(folder)})


def recorded(folder: Path) -> dict[str, str]:
    """By claim, the verdict with its sign that the ledger of a checkout has, in its order."""
    path = folder / PAGE
    rows = _rows(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {key: cells_of(row)[VERDICT] for key, row in rows.items() if CLAIM_ID.fullmatch(key)}


def cells_of(row: str) -> list[str]:
    """The cells of a row of the ledger, in Markdown."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def stale(folder: Path | None = None) -> list[str]:
    """One line for everything in the committed ledger that the executed chapters do not say.

    Words must be equal, but for what is said of settings that were varied: one that is nearly undecided may be it on
    another machine. An effect and the ends of its interval may differ too: by ``RELATIVE_TOLERANCE``, or by ``WIDTHS``
    of the interval. On another Python than the book was written for, where the text that the models read is another,
    what differs is only warned of.
    """
    folder = folder or checkout.root()
    path = folder / PAGE
    recorded = _rows(path.read_text(encoding="utf-8")) if path.is_file() else {}
    problems = []
    for chapter, row in ((path, row) for path, found in verdicts(folder) for row in _rows_of(path, found)):
        old = recorded.pop(row.key, None)
        if old is None:
            problems.append(f"{PAGE} has no row for claim {row.key} of {chapter}")
        elif problem := _difference(old, row):
            problem = f"{PAGE}, claim {row.key}: {problem}"
            if at_home():
                problems.append(problem)
            else:
                warnings.warn(f"{problem} (on Python {platform.python_version()})", ProseWarning, stacklevel=2)
    problems += [f"{PAGE} has a row for claim {claim}, on which no chapter gives a verdict" for claim in recorded]
    return [f"{problem}; run 'mechlib book claims'" for problem in problems]


def _rows(text: str) -> dict[str, str]:
    return {match["key"]: line + "\n" for line in text.splitlines() if (match := ROW.match(line))}


def _difference(old: str, row: Row) -> str | None:
    old, new = VARIED.sub(" ", old), VARIED.sub(" ", row.text)
    if NUMBER.sub("#", old) != NUMBER.sub("#", new):
        return f"the page says {old.strip()!r}, the chapter {new.strip()!r}"
    for was, now in zip(map(float, NUMBER.findall(old)), map(float, NUMBER.findall(new)), strict=True):
        if abs(was - now) > max(row.slack, RELATIVE_TOLERANCE * abs(now)):
            return f"the page says {was:g}, the chapter {now:g}"
    return None
