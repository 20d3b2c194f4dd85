"""The page of the ledger as a browser shows it: a Sphinx extension.

The table of ``book/claims.md`` gets a choice of verdict, source and chapter, a small picture of every interval, and
links that lead to the verdict itself on its page. Without a script the whole table stands there.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from mechlib.authoring.intervals import Interval
from mechlib.claims.card import anchor

__all__ = ["setup"]

PAGE = "book/claims"
KEY = re.compile(r"(?P<claim>\d\d[a-z])(?: on .+)?")
OURS = "A claim of our own."
SOURCE = re.compile(r"(?:(?:von|van|de) )?[\w-]+(?: et al\.| and \w+)? (?:(?:19|20)\d\d\b|\(S\d\))")
"""A source as a chapter names it, such as ``nostalgebraist (S2)`` or ``Olsson et al. 2022``."""
INTERVALS = 3
"""The cell of a row that has the effect."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.connect("doctree-resolved", _dress)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


@dataclass(frozen=True)
class Row:
    """What a row of the ledger is chosen by."""

    verdict: str
    sources: tuple[str, ...]
    """Who said it, or wrote what it goes back to."""
    chapter: str
    further: bool
    """Whether it is the same claim on another system."""

    @property
    def classes(self) -> list[str]:
        """The names by which the script finds the row."""
        named = [f"verdict-{slug(self.verdict)}", f"chapter-{self.chapter}"]
        return named + [f"source-{slug(source)}" for source in self.sources] + ["further"] * self.further


def slug(text: str) -> str:
    """A text as a part of a class's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _dress(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if docname != PAGE or app.builder.format != "html":
        return
    for table in list(doctree.findall(nodes.table)):
        found = list(_rows(table))
        if found:
            table["classes"].append("mechlib-ledger")
            table.parent.insert(table.parent.index(table), nodes.raw("", choice(found), format="html"))


def _rows(table: nodes.table) -> Iterator[Row]:
    """The rows of the ledger's table, each dressed."""
    sources: tuple[str, ...] = ()
    chapter = where = ""
    body = next(table.findall(nodes.tbody))
    for row in body.findall(nodes.row):
        cells = list(row.findall(nodes.entry))
        name = next(iter(cells[0].findall(nodes.strong)), None)
        key = KEY.fullmatch(name.astext()) if name else None
        if name is None or key is None:
            continue
        link = next(iter(cells[0].findall(nodes.reference)), None)
        if link is not None:
            where, chapter, sources = link["refuri"], key["claim"][:2], said_by(cells[0].astext())
        name.replace_self(_linked(name, f"{where}#{anchor(key['claim'])}"))
        _draw(cells[INTERVALS])
        for cell in cells:
            cell["classes"] += ["nothing"] * (not cell.astext().strip())
        verdict = cells[2].astext().partition(" ")[2]
        verdict = "depends" if verdict.startswith("depends") else verdict
        found = Row(verdict, sources, chapter, further=link is None)
        row["classes"] += found.classes
        yield found


def said_by(text: str) -> tuple[str, ...]:
    """Who said a claim, by what the ledger says of it: behind the words, if they are quoted."""
    if text.endswith(OURS):
        return ("our own",)
    return tuple(dict.fromkeys(SOURCE.findall(text.rpartition("”")[2]))) or ("others",)


def _linked(name: nodes.strong, address: str) -> nodes.strong:
    link = nodes.reference("", name.astext(), refuri=address, internal=True)
    return nodes.strong("", "", link)


def _draw(cell: nodes.entry) -> None:
    interval = Interval.told(cell.astext())
    if interval and interval.svg:
        cell.append(nodes.raw("", interval.svg, format="html"))


def choice(rows: list[Row]) -> str:
    """The form in which a reader chooses, hidden until its script is there."""
    claims = [row for row in rows if not row.further]
    counts: Mapping[str, Counter[str]] = {
        "verdict": Counter(row.verdict for row in claims),
        "source": Counter(source for row in claims for source in row.sources),
        "chapter": Counter(row.chapter for row in claims),
    }
    fields = "".join(_field(what, counts[what]) for what in counts)
    return (
        f'<form class="mechlib-choice" hidden>{fields}<button type="reset">All</button>'
        f'<output role="status">{len(claims)} claims</output></form>'
    )


def _field(what: str, counts: Counter[str]) -> str:
    order = sorted(counts, key=lambda value: (-counts[value], value) if what == "source" else (0, value))
    if what == "verdict":
        order = sorted(counts, key=lambda value: -counts[value])
    options = "".join(
        f'<option value="{slug(value)}">{html.escape(value)} ({counts[value]})</option>' for value in order
    )
    return f'<label>{what} <select name="{what}"><option value="">all</option>{options}</select></label>'
