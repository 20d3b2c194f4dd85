"""The start page's numbers and its map of the book: a Sphinx extension with two directives.

``mechlib-counts`` says how many claims there are with which verdict, and how many questions. ``mechlib-map`` draws the
chapters by parts, what each needs (to the left) and what helps (dashed, to the right), with hours and points. Both are
made from the chapters, the exercises and the ledger when the page is built.
"""

from __future__ import annotations

import html
import posixpath
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from mechlib.authoring import ledger, overview
from mechlib.authoring.ledger_page import slug
from mechlib.authoring.overview import Entry

__all__ = ["counts", "drawing", "setup"]

WIDTH, RIGHT = 372, 324
"""In units of the drawing: its width, and where every chapter ends."""
STEP, LINE, GAP, CAPTION = 34, 17, 13, 34
"""How far what needs a chapter is moved in, the height of a line, the room between chapters, that of a part's title."""
LETTER = 8.3
"""Width of a letter of a title, on the average."""
LANES = 4


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.add_directive("mechlib-counts", Counts)
    app.add_directive("mechlib-map", Map)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class Counts(Directive):
    """Claims by verdict, each with a link to them in the ledger, and questions with their points."""

    def run(self) -> list[nodes.Node]:
        folder = _folder(self)
        return [nodes.raw("", counts(folder, list(overview.chapters(folder))), format="html")]


class Map(Directive):
    """The chapters and what builds on what."""

    def run(self) -> list[nodes.Node]:
        folder = _folder(self)
        docname = self.state.document.settings.env.docname
        shown = drawing(list(overview.chapters(folder)), captions(folder), posixpath.dirname(docname))
        return [nodes.raw("", shown, format="html")]


def _folder(directive: Directive) -> Path:
    """The checkout; the page is read anew when what is counted has changed."""
    env = directive.state.document.settings.env
    folder = Path(env.srcdir)
    for pattern in ("book/part*/*.ipynb", "solutions/*.ipynb", ledger.PAGE, overview.LINES):
        for path in folder.glob(pattern):
            env.note_dependency(str(path))
    return folder


def counts(folder: Path, chapters: list[Entry]) -> str:
    """The numbers of the book in HTML."""
    found = Counter(map(_kind, ledger.recorded(folder).values()))
    questions, points = sum(each.questions for each in chapters), sum(each.points for each in chapters)
    items = [
        f'<a href="claims.html"><b>{sum(found.values())}</b> claims</a>',
        *(_counted(verdict, number) for verdict, number in found.most_common()),
        f"<b>{questions}</b> questions with {points:g} points",
        f"<b>{len(chapters)}</b> chapters",
    ]
    return f'<ul class="mechlib-counts">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def _counted(verdict: str, number: int) -> str:
    name = slug(verdict.partition(" ")[2])
    return f'<a href="claims.html?verdict={name}"><b>{number}</b> {html.escape(verdict)}</a>'


def _kind(verdict: str) -> str:
    """A verdict with its sign, without what it depends on."""
    return " ".join(verdict.split()[:2]) if verdict.split()[1] == "depends" else verdict


def captions(folder: Path) -> dict[int, str]:
    """What every part is about, by its number, from the table of contents."""
    contents = yaml.safe_load((folder / "_toc.yml").read_text(encoding="utf-8"))
    found = {}
    for part in contents["parts"]:
        for chapter in part["chapters"]:
            if str(chapter.get("glob", "")).startswith("book/part"):
                found[int(chapter["glob"].removeprefix("book/part").partition("/")[0])] = part["caption"]
    return found


@dataclass(frozen=True)
class Box:
    """A chapter's place in the drawing."""

    chapter: Entry
    left: float
    top: float
    lines: tuple[str, ...]

    @property
    def height(self) -> float:
        return LINE * (len(self.lines) + 1) + 12

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def drawing(chapters: list[Entry], captions: dict[int, str], folder: str) -> str:
    """The map as inline SVG; ``folder`` is the page's, from which links begin."""
    parts: list[str] = []
    boxes: dict[str, Box] = {}
    top, part = 0.0, 0
    for chapter in chapters:
        if chapter.part != part:
            part = chapter.part
            top += CAPTION
            parts.append(f'<text x="2" y="{top - 9:g}" class="part">{html.escape(captions.get(part, ""))}</text>')
        left = 2 + STEP * _depth(chapter, boxes)
        room = int((RIGHT - left - 20) / LETTER)
        box = Box(chapter, left, top, tuple(textwrap.wrap(f"{chapter.number} {chapter.title}", room)))
        boxes[chapter.number] = box
        top += box.height + GAP
    helping = sorted({number for box in boxes.values() for number in box.chapter.helped_by})
    arrows = [arrow for box in boxes.values() for arrow in _arrows(box, boxes, helping)]
    shown = "".join([*arrows, *parts, *(_drawn(box, folder) for box in boxes.values())])
    told = "The chapters of the book, by parts, with what each builds on."
    return (
        f'<svg class="mechlib-map" viewBox="0 0 {WIDTH} {top:g}" role="group" aria-label="{told}">'
        '<defs><marker id="ml-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>{shown}</svg>'
    )


def _depth(chapter: Entry, boxes: dict[str, Box]) -> int:
    """How many chapters have to be read before, one behind the other."""
    before = [boxes[number] for number in chapter.needs if number in boxes]
    return max((round((box.left - 2) / STEP) + 1 for box in before), default=0)


def _arrows(box: Box, boxes: dict[str, Box], helping: list[str]) -> Iterator[str]:
    """Lines to a chapter from those that it builds on; those from one that helps have a lane of their own."""
    for number in box.chapter.needs:
        if number in boxes:
            other = boxes[number]
            x = other.left + STEP / 2
            yield f'<path d="M{x:g} {other.top + other.height:g}V{box.middle:g}H{box.left:g}" class="needs"/>'
    helped = [number for number in box.chapter.helped_by if number in boxes]
    for place, number in enumerate(helped):
        other = boxes[number]
        far = RIGHT + 14 + 9 * (helping.index(number) % LANES)
        end = box.middle + 5 * place - 2.5 * (len(helped) - 1)
        yield f'<path d="M{RIGHT} {other.middle:g}H{far}V{end:g}H{RIGHT}" class="helps"/>'


def _drawn(box: Box, folder: str) -> str:
    chapter = box.chapter
    address = posixpath.relpath(chapter.path.removesuffix(".ipynb"), folder) + ".html"
    claims = f" · {len(chapter.verdicts)} claims" if chapter.verdicts else ""
    facts = (
        f"{overview.hours(chapter.reading)} + {overview.hours(chapter.exercises)} · {chapter.points:g} points{claims}"
    )
    before = [f"needs {' and '.join(chapter.needs)}"] * bool(chapter.needs)
    before += [f"helped by {' and '.join(chapter.helped_by)}"] * bool(chapter.helped_by)
    told = ". ".join(filter(None, [f"{chapter.number} {chapter.title}", chapter.line, facts, ", ".join(before)]))
    texts = [
        f'<text x="{box.left + 10:g}" y="{box.top + LINE * (row + 1):g}" class="title">{html.escape(line)}</text>'
        for row, line in enumerate(box.lines)
    ]
    under = box.top + LINE * (len(box.lines) + 1)
    return (
        f'<a href="{address}"><title>{html.escape(told)}</title>'
        f'<rect x="{box.left:g}" y="{box.top:g}" width="{RIGHT - box.left:g}" height="{box.height:g}" rx="4"/>'
        f'{"".join(texts)}<text x="{box.left + 10:g}" y="{under:g}" class="facts">{html.escape(facts)}</text></a>'
    )
