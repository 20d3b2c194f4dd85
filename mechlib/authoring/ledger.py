"""The ledger of claims, ``book/claims.md``: made from the verdicts in the executed chapters, never typed.

Building the book executes every chapter; what was then shown is read here.
"""

from __future__ import annotations

import platform
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from mechlib.authoring import checkout
from mechlib.authoring.outputs import Outputs
from mechlib.claims import METADATA, WORDS, ProseWarning, Verdict, at_home

PAGE = "book/claims.md"
RELATIVE_TOLERANCE = 0.05
"""A recorded number may differ from a new run's by this share, or by ``WIDTHS`` of the interval."""
WIDTHS = 2
"""A chain goes another way on another processor. Two runs then differ by sqrt(2) standard errors, 0.36 widths of a 95 %
interval, and the ends of intervals by little more: 2 widths are five times that."""

HEAD = """\
# Claims and verdicts

Every claim that a chapter tests, with its verdict and the effect that decides it. This page is made from the executed
chapters by `mechlib book claims`; a test fails when a chapter no longer says what stands here. Who argued what, and
where, is told in each chapter; the sources are listed under [](references.md).

| claim | verdict | effect, with its 95 % interval | what stays open |
|---|---|---|---|
"""

ROW = re.compile(r"\| \*\*(?P<id>\d\d[a-z])\*\* ")
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
    return HEAD + "".join(_row(path, found) for path, found in verdicts(folder))


def _row(path: Path, found: Verdict) -> str:
    low, high = found.interval
    chapter = f"[chapter {path.name[:2]}]({path.relative_to('book').as_posix()})"
    cells = [
        f"**{found.claim_id}** {found.claim} *{found.source}; {chapter}*",
        f"{WORDS[found.verdict]} {found.verdict}",
        f"{found.measure}: {found.effect:+.3g} [{low:+.3g}, {high:+.3g}] {found.unit}",
        found.note,
    ]
    return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |\n"


def write(folder: Path | None = None) -> list[Path]:
    """Write the ledger of a checkout; the files that changed. Errors as ``verdicts``."""
    folder = folder or checkout.root()
    return checkout.write_changed({folder / PAGE: page(folder)})


def stale(folder: Path | None = None) -> list[str]:
    """One line for everything in the committed ledger that the executed chapters do not say.

    Words must be equal. An effect and the ends of its interval may differ between machines: by ``RELATIVE_TOLERANCE``,
    or by ``WIDTHS`` of the interval. On another Python than the book was written for, where the text that the models
    read is another, what differs is only warned of.
    """
    folder = folder or checkout.root()
    path = folder / PAGE
    recorded = _rows(path.read_text(encoding="utf-8")) if path.is_file() else {}
    problems = []
    for chapter, found in verdicts(folder):
        old = recorded.pop(found.claim_id, None)
        if old is None:
            problems.append(f"{PAGE} has no row for claim {found.claim_id} of {chapter}")
        elif problem := _difference(old, _row(chapter, found), WIDTHS * (found.interval[1] - found.interval[0])):
            problem = f"{PAGE}, claim {found.claim_id}: {problem}"
            if at_home():
                problems.append(problem)
            else:
                warnings.warn(f"{problem} (on Python {platform.python_version()})", ProseWarning, stacklevel=2)
    problems += [f"{PAGE} has a row for claim {claim}, on which no chapter gives a verdict" for claim in recorded]
    return [f"{problem}; run 'mechlib book claims'" for problem in problems]


def _rows(text: str) -> dict[str, str]:
    return {match["id"]: line + "\n" for line in text.splitlines() if (match := ROW.match(line))}


def _difference(old: str, new: str, slack: float) -> str | None:
    if NUMBER.sub("#", old) != NUMBER.sub("#", new):
        return f"the page says {old.strip()!r}, the chapter {new.strip()!r}"
    for was, now in zip(map(float, NUMBER.findall(old)), map(float, NUMBER.findall(new)), strict=True):
        if abs(was - now) > max(slack, RELATIVE_TOLERANCE * abs(now)):
            return f"the page says {was:g}, the chapter {now:g}"
    return None
