"""The page on which a person marks written answers and open tasks: one answer at a time, the rubric beside it.

It is made from ``written.csv`` (``marks.COLUMNS``) and gives the same file back, filled in. It works from a file,
without a network, and the browser keeps whatever is typed.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mechlib.authoring import checkout, exercises
from mechlib.checks import registry
from mechlib.checks.handing_in import INVITATION, WRITTEN
from mechlib.checks.open_task import OpenTask
from mechlib.course import graded
from mechlib.course import rules as terms
from mechlib.course.marks import COLUMNS
from mechlib.course.pages import data, element, page
from mechlib.course.rules import PLAIN, Rules
from mechlib.course.spreadsheet import guarded, records

__all__ = ["REFUTATION", "Line", "Rubric", "marking", "model_answers", "read_rubrics", "write"]

PAGE = "marking.html"
ID = re.compile(r'<script type="application/json" id="marking">\{"key": "([0-9a-f]{16})"')
"""Where a page that was written before says under which name the browser keeps what is typed on it."""


@dataclass(frozen=True)
class Line:
    """One line of a rubric."""

    line: str
    """What is looked at."""
    points: float
    full: str
    """What earns them all."""
    none: str = ""
    """What earns none."""


@dataclass(frozen=True)
class Rubric:
    """What an answer can have, and what for."""

    lines: tuple[Line, ...]
    most: float
    note: str = ""


REFUTATION = Rubric(
    (
        Line(
            "the flaw",
            1,
            "says which step from the numbers to the conclusion does not follow",
            "says that the sample is too small, or that the numbers are wrong",
        ),
        Line("the control", 1, "says what it changes and what it keeps", "names the control without what it keeps"),
        Line(
            "the evidence",
            1,
            "names an outcome of the control that would have supported the claim",
            "would not accept any outcome",
        ),
        Line(
            "the limits",
            1,
            "says what is still open after the refutation",
            "concludes the opposite of the claim",
        ),
    ),
    4,
    "Half of it where the point is named but not argued.",
)
"""That of the written refutations, with which every set of exercises ends."""

OF_STUDENTS = ("student", "file", "text")
"""Columns that hold what students chose: on their way through the page they stay as no spreadsheet computes them."""

RUBRIC_COLUMNS = ("chapter", "question", "line", "points", "full", "none")

STYLE = """
main { max-width: 84rem; } [hidden] { display: none !important; }
.bar-of { display: flex; flex-wrap: wrap; gap: 0.5rem 1.2rem; align-items: center; margin: 0.6rem 0; }
.desk { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1rem 2.5rem; }
@media (max-width: 50rem) { .desk { grid-template-columns: minmax(0, 1fr); } }
button, select, input, textarea { font: inherit; color: inherit; background: var(--page);
  border: 1px solid var(--line); padding: 0.25rem 0.6rem; }
button { cursor: pointer; } input.points { width: 5rem; }
textarea { width: 100%; box-sizing: border-box; min-height: 7rem; }
label { display: block; } .bar-of label { display: inline; } .notice { border-left: 0.25rem solid var(--line);
  padding: 0.2rem 0.8rem; margin: 0.8rem 0; } input:invalid { outline: 0.15rem solid #b00020; }
progress { width: 12rem; } .answer { font-size: 1.05rem; } .prose { font-family: inherit; }
th, td { overflow-wrap: break-word; } #mark { margin-bottom: 1.6rem; } td:nth-child(2) { min-width: 1.5rem; }
"""


def marking(
    rows: Sequence[Mapping[str, str]],
    key: str,
    rubrics: Mapping[tuple[str, str], Rubric] | None = None,
    models: Mapping[tuple[str, str], str] | None = None,
    rules: Rules = PLAIN,
) -> str:
    """The page.

    Args:
        rows: those of ``written.csv``, by column.
        key: under which the browser keeps what is typed; another class needs another one.
        rubrics: by chapter and question, either of which may be empty for all; what has none has ``REFUTATION``, an
            open task its own steps.
        models: model answers by chapter and question.
        rules: how many points a written answer can have; a rubric of others is shown, and the rules hold.

    Raises:
        ValueError: if there is nothing to mark.
    """
    if not rows:
        raise ValueError("there is nothing to mark: the table of written answers has no rows")
    kinds = dict.fromkeys((row["chapter"], row["question"]) for row in rows)
    found = {
        "key": key,
        "columns": COLUMNS,
        "items": [
            {**row, **{n: guarded(row[n]) for n in OF_STUDENTS}, "shown": row["text"]} for row in _in_order(rows)
        ],
        "kinds": [
            {
                "chapter": kind[0],
                "question": kind[1],
                "title": _title(*kind),
                "rubric": asdict(_held_to(rules, kind, _rubric(kind, rubrics or {}))),
                "model": (models or {}).get(kind, ""),
            }
            for kind in kinds
        ],
    }
    desk = element("div", element("p", "This page needs JavaScript, which this browser does not run."), id="desk")
    count = sum(bool(row["text"] or row["points"] or row["comment"]) for row in rows)
    return page(f"Marking: {count} answers", desk, data("marking", found), script="marking.js", style=STYLE)


def _in_order(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """All answers to one question after another, as one marks them evenly."""
    kinds = list(dict.fromkeys((row["chapter"], row["question"]) for row in rows))
    return sorted(rows, key=lambda row: kinds.index((row["chapter"], row["question"])))


def _title(chapter: str, question: str) -> str:
    try:
        return f"{chapter}: {registry.find(question).title}"
    except LookupError:
        return f"{chapter}: {question}"


def _rubric(kind: tuple[str, str], rubrics: Mapping[tuple[str, str], Rubric]) -> Rubric:
    chapter, question = kind
    for name in (kind, ("", question), (chapter, ""), ("", "")):
        if name in rubrics:
            return rubrics[name]
    try:
        task = registry.find(question)
    except LookupError:
        return REFUTATION
    steps = task.steps if isinstance(task, OpenTask) else ()
    lines = tuple(Line("the outcome", p, f"at most {share:.0%} of that of the baseline") for p, share in steps)
    return Rubric(lines, task.points, task.handed_in if isinstance(task, OpenTask) else "")


def _held_to(rules: Rules, kind: tuple[str, str], rubric: Rubric) -> Rubric:
    """The rubric with the most points that the rules of the term give."""
    most = rules.of(kind[0]).written.get(kind[1], rubric.most)
    note = f"The rules of the term give {most:g} in all, the rubric {rubric.most:g}. " * (most != rubric.most)
    return replace(rubric, most=most, note=note + rubric.note)


def read_rubrics(path: Path) -> dict[tuple[str, str], Rubric]:
    """The rubrics of a CSV file with the columns chapter, question, line, points, full and none, a row for each line.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for points that are no number above 0, or a file that cannot be read, see ``spreadsheet.records``.
    """
    found: dict[tuple[str, str], list[Line]] = {}
    for number, row in records(path, "line", RUBRIC_COLUMNS):
        try:
            points = float(row["points"].replace(",", "."))
        except ValueError:
            points = 0.0
        if not 0 < points < 1000:
            raise ValueError(f"{path}, line {number}: the points are {row['points']!r}; a number above 0 is needed")
        line = Line(row["line"], points, row["full"], row["none"])
        found.setdefault((row["chapter"], row["question"]), []).append(line)
    return {kind: Rubric(tuple(lines), sum(line.points for line in lines)) for kind, lines in found.items()}


def model_answers(solutions: Path) -> dict[tuple[str, str], str]:
    """The written answers of the solutions, by chapter and name."""
    found = {}
    for path in exercises.names(solutions):
        for cell in checkout.read_notebook(solutions / path)["cells"]:
            mark = WRITTEN.match(cell["source"])
            if mark and cell["cell_type"] == "markdown":
                found[f"ch{path.name[:2]}", mark[1]] = cell["source"][mark.end() :].strip()
    return {kind: text for kind, text in found.items() if text != INVITATION}


def write(where: Path, *, rubric: Path | None = None, solutions: Path | None = None, out: Path | None = None) -> Path:
    """Write the page for a graded class, or for a ``written.csv``, beside the table if nothing else is said; its path.

    A page that is there already keeps the name under which the browser keeps what was typed on it.

    Args:
        where: the folder of the grades, whose course's solutions, ``rubric.csv`` and rules are taken where they lie
            beside its secret; or a table alone.

    Raises:
        FileNotFoundError: if there is no such table, class, rubric or folder of solutions.
        ValueError: if there is nothing to mark, or a file cannot be read.
    """
    table, rules = where, PLAIN
    if where.is_dir():
        table, secret = where / graded.WRITTEN, graded.opened(where).run.secret
        beside = {name: Path(secret).with_name(name) for name in ("rubric.csv", "solutions", "course.json") if secret}
        there = {name: path for name, path in beside.items() if path.exists()}
        rubric, solutions = rubric or there.get("rubric.csv"), solutions or there.get("solutions")
        rules = terms.read(there["course.json"]) if "course.json" in there else PLAIN
    out = out or table.with_name(PAGE)
    rows = [row for _, row in records(table, "question", COLUMNS)]
    before = ID.search(out.read_text(encoding="utf-8")) if out.is_file() else None
    key = before[1] if before else secrets.token_hex(8)
    rubrics = read_rubrics(rubric) if rubric else {}
    text = marking(rows, key, rubrics, model_answers(solutions) if solutions else {}, rules)
    checkout.write_changed({out: text}, private=True)
    return out
