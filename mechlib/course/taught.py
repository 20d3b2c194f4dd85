"""What a graded class teaches its lecturer, as a page: which questions were hard and tell students apart, which known
mistakes were made, and which wrong answers are alike without being a known mistake.

The page sorts, filters by section and words, and prints; without its script it shows all there is.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from mechlib.checks import registry
from mechlib.checks.question import Question
from mechlib.course.clusters import clusters
from mechlib.course.feedback import STATES
from mechlib.course.items import FEWEST, Item, items
from mechlib.course.matching import Group, matches
from mechlib.course.pages import Markup, element, page
from mechlib.course.roster import Student
from mechlib.grading.notebook import Cell
from mechlib.grading.results import GradeStatus, SubmissionGrade

__all__ = ["EVERYBODY", "answer_code", "taught"]

EVERYBODY = "everybody"
"""The section of everybody."""

LONGEST = 4000
"""Characters of an example."""

WRONG = ("misconception", "wrong", "error")

STYLE = """
main { max-width: 84rem; } th, td { overflow-wrap: break-word; } th.number { white-space: normal; }
.controls { display: flex; flex-wrap: wrap; gap: 0.6rem 1.4rem; align-items: end; margin: 1rem 0; }
.controls label { display: block; } .controls[hidden], [data-section][hidden] { display: none; }
select, input, th button { font: inherit; color: inherit; background: var(--page); border: 1px solid var(--line);
  padding: 0.2rem 0.4rem; }
th button { border: 0; padding: 0; text-align: inherit; cursor: pointer; text-decoration: underline dotted; }
th[aria-sort="ascending"] button::after { content: " \\2191"; }
th[aria-sort="descending"] button::after { content: " \\2193"; }
details pre { max-height: 26rem; overflow: auto; } ul.plain { list-style: none; margin: 0; padding: 0; }
@page { size: landscape; }
@media print { .controls { display: none; } details pre { max-height: none; } tr { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Entry:
    """A cell of a table that sorts: what is shown, and the number it sorts by, if it is one."""

    shown: str
    by: float | None = None


Row = tuple[Iterable[str], Sequence[Entry]]
"""The sections in whose view a row stands, and its cells."""


def taught(
    grades: Iterable[SubmissionGrade],
    code: Callable[[SubmissionGrade, str], str] = lambda grade, question_id: "",
    students: Sequence[Student] = (),
    groups: Sequence[Group] = (),
) -> str:
    """The page on a class.

    Args:
        grades: all of them; those that count for somebody are looked at.
        code: the answer's text, of a grade and the id of a question.
        students: the roster, whose sections the page tells apart; who hands in together is in that of the first.
        groups: those who handed in together.
    """
    found = [m for m in matches(list(grades), students, groups) if m.counts and not m.grade.ungraded]
    classes = [Class(chapter, [m.grade for m in found if m.grade.chapter == chapter]) for chapter in _chapters(found)]
    section = {id(m.grade): m.student.section if m.student else "" for m in found}
    sections = sorted({name for name in section.values() if name not in ("", EVERYBODY)})
    for each in classes:
        each.sections = {EVERYBODY: each.grades} | {
            name: [grade for grade in each.grades if section[id(grade)] == name] for name in sections
        }
    parts = (part for each in classes for part in (each.questions(), each.misconceptions(), each.unnamed(code)))
    return page(
        f"What the class shows: {len(found)} submission{'s' * (len(found) != 1)}",
        _controls(sections),
        *(piece for part in parts for piece in part),
        script="class.js",
        style=STYLE,
    )


def _chapters(found: Iterable) -> list[str]:
    return sorted({match.grade.chapter for match in found if match.grade.questions})


def _controls(sections: Sequence[str]) -> Markup:
    options = [element("option", "everybody", value=EVERYBODY), *(element("option", s, value=s) for s in sections)]
    choose = element("label", "Section ", element("select", *options, id="section")) if sections else Markup("")
    words = element("label", "Rows that hold ", Markup('<input type="search" id="words">'))
    return element("div", choose, words, class_="controls", hidden="hidden")


class Class:
    """The submissions that count on one chapter."""

    def __init__(self, chapter: str, grades: list[SubmissionGrade]) -> None:
        self.chapter, self.grades = chapter, grades
        self.sections: dict[str, list[SubmissionGrade]] = {EVERYBODY: grades}
        self.titles = {q.id: q.title for grade in grades for q in grade.questions}

    def questions(self) -> tuple[Markup, ...]:
        """Difficulty and discrimination of every question, for everybody and in every section."""
        states = get_args(GradeStatus)
        header = ("question", "section", "students", "share of points", "discrimination", "95 % interval")
        rows: list[Row] = []
        for name, grades in self.sections.items():
            counts = Counter((q.id, q.status) for grade in grades for q in grade.questions)
            for item in items(grades):
                own = [Entry(str(counts[item.id, state]), counts[item.id, state]) for state in states]
                rows.append(((name,), [Entry(item.title), Entry(name), *_measured(item), *own]))
        caption = (
            f"The questions of {self.chapter}. Share of points: the mean, 1 where everybody has them all. "
            "Discrimination: how the points for a question go with those for all the others, from -1 to 1; near 0 or "
            f"below it, ask what the question asks. It is given from {FEWEST} students on."
        )
        return (
            element("h2", f"{self.chapter}: the questions"),
            _sortable(caption, (*header, *(STATES[state] for state in states)), rows),
        )

    def misconceptions(self) -> tuple[Markup, ...]:
        """The named mistakes, the commonest first."""
        rows: list[Row] = []
        for section, grades in self.sections.items():
            counts = Counter((q.id, q.misconception) for g in grades for q in g.questions if q.misconception)
            for (name, mistake), count in counts.most_common():
                wrong = sum(q.status in WRONG for g in grades for q in g.questions if q.id == name)
                cells = [Entry(mistake or ""), Entry(self.titles[name]), Entry(section)]
                shares = [Entry(str(count), count), Entry(f"{count / wrong:.0%}", count / wrong)]
                rows.append(((section,), [*cells, *shares, Entry(_sentence(name, mistake or ""))]))
        if not rows:
            return ()
        header = ("mistake", "question", "section", "answers", "of the wrong ones", "what the student is told")
        return element("h2", f"{self.chapter}: known mistakes"), _sortable("Mistakes that have a name.", header, rows)

    def unnamed(self, code: Callable[[SubmissionGrade, str], str]) -> tuple[Markup, ...]:
        """The groups of wrong answers without a name, the largest first."""
        whose = {str(number): grade for number, grade in enumerate(self.grades)}
        groups = []
        for name in self.titles:
            question = registry.find(name)
            returned = {n: q.returned for n, g in whose.items() for q in g.questions if q.id == name and q.returned}
            if isinstance(question, Question):
                groups += [(name, each) for each in clusters(returned, question.fields)]
        if not groups:
            return ()
        rows: list[Row] = []
        for name, group in sorted(groups, key=lambda pair: -len(pair[1].members)):
            members = [whose[member] for member in group.members]
            ids = set(map(id, members))
            counts = {s: sum(id(grade) in ids for grade in grades) for s, grades in self.sections.items()}
            shown = ", ".join(f"{s} {n}" for s, n in counts.items() if s != EVERYBODY and n)
            example = code(members[0], name)
            cells = [
                Entry(self.titles[name]),
                Entry(str(len(members)) + (f" ({shown})" if shown else ""), len(members)),
                Entry(element("ul", *(element("li", trait) for trait in group.traits), class_="plain")),
                Entry(_example(members, example)),
            ]
            rows.append(([s for s, n in counts.items() if n], cells))
        caption = (
            "Answers that are wrong in no known way. Those in one row returned the same on the same cases; a row of "
            "several is a mistake that may deserve a name."
        )
        header = ("question", "answers", "what they have in common", "one of them")
        return element("h2", f"{self.chapter}: wrong in the same way"), _sortable(caption, header, rows)


def _measured(item: Item) -> list[Entry]:
    share = Entry("", -1) if math.isnan(item.difficulty) else Entry(f"{item.difficulty:.2f}", item.difficulty)
    both = [Entry("", -2), Entry(item.why, -2)]
    if item.discrimination is not None:
        r = item.discrimination
        both = [Entry(f"{r.mean:.2f}", r.mean), Entry(f"{r.low:.2f} to {r.high:.2f}", r.low)]
    return [Entry(str(item.n), item.n), share, *both]


def _sentence(question_id: str, name: str) -> str:
    question = registry.find(question_id)
    known = question.misconceptions if isinstance(question, Question) else {}
    return known[name].sentence if name in known else ""


def _example(members: Sequence[SubmissionGrade], code: str) -> Markup:
    names = ", ".join(grade.student for grade in members[:30]) + ("" if len(members) <= 30 else ", ...")
    text = element("pre", code[:LONGEST]) if code else element("p", "The text of the answer is not at hand.")
    return element("details", element("summary", members[0].student or "(no name)"), text, element("p", names))


def _sortable(caption: str, header: Sequence[str], rows: Sequence[Row]) -> Markup:
    numbers = {column for _, cells in rows for column, cell in enumerate(cells) if cell.by is not None}

    def cell(column: int, content: Entry) -> Markup:
        right = {"class_": "number"} if column in numbers else {}
        by = {} if content.by is None else {"data_by": repr(float(content.by))}
        tag, scope = ("th", {"scope": "row"}) if column == 0 else ("td", {})
        return element(tag, content.shown, **scope, **right, **by)

    body = [
        element("tr", *(cell(c, content) for c, content in enumerate(cells)), data_section="\n".join(sections))
        for sections, cells in rows
    ]
    heads = [
        element("th", text, scope="col", **({"class_": "number"} if column in numbers else {}))
        for column, text in enumerate(header)
    ]
    whole = element(
        "table", element("caption", caption), element("thead", element("tr", *heads)), element("tbody", *body)
    )
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def answer_code(cells: Sequence[Cell], question_id: str) -> str:
    """The text of an answer in a notebook: the last function of its name, else the last cell that checks it."""
    name, found, checked = re.escape(question_id.partition(".")[2]), "", ""
    answer = re.compile(rf"^(?:(?:async +)?def {name}\b|{name} *=).*(?:\n(?:[ \t)\]}}#].*)?)*", re.MULTILINE)
    for cell in cells:
        if f'"{question_id}"' in cell.source or f"'{question_id}'" in cell.source:
            checked = cell.source
        found = [found, *answer.findall(cell.source)][-1]
    return (found or checked).strip()
