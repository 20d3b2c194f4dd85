"""Markdown as the book's own parser reads it: its paragraphs, also those in boxes, and the page that it makes.

The parser is MyST's with the extensions of ``_config.yml``, so that what is found here is what a page shows.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from mechlib.authoring import checkout

BOXES = frozenset({"admonition", "dropdown", "exercise", "hint", "important", "note", "proof", "tip", "warning"})
"""Directives whose content is Markdown again."""

DIRECTIVE = re.compile(r"\{([\w:-]+)\}")
OPTION = re.compile(r":[\w-]+:")


@dataclass(frozen=True)
class Passage:
    """Text that is set as one: a paragraph, or the cell of a table."""

    kind: str
    """``"paragraph"``, ``"heading"`` or ``"cell"``."""
    lines: tuple[int, int]
    """The first line in the source and the line after the last, counted from 0."""
    token: Token
    """The parser's: what stands in the passage, as ``children``, and its text without the marks of lists and quotes."""
    header: Passage | None = None
    """Of a cell, the one at the head of its column."""


@cache
def parser(folder: Path | None = None) -> MarkdownIt:
    """The book's parser, with the extensions named in the ``_config.yml`` of a checkout."""
    config = yaml.safe_load(((folder or checkout.root()) / "_config.yml").read_text(encoding="utf-8"))
    return create_md_parser(
        MdParserConfig(enable_extensions=set(config["parse"]["myst_enable_extensions"])), RendererHTML
    )


def passages(source: str) -> Iterator[Passage]:
    """The passages of a text in order, those in its boxes included; code, formulas and other directives have none."""
    yield from _passages(source, 0)


def _passages(source: str, above: int) -> Iterator[Passage]:
    """With ``above``, how many lines of the file stand above ``source``."""
    head: list[Passage] = []
    column, kind, in_head = 0, "paragraph", False
    for token in parser().parse(source):
        if token.type in ("paragraph_open", "heading_open"):
            kind = token.type.removesuffix("_open")
        elif token.type == "thead_open":
            head, in_head = [], True
        elif token.type == "thead_close":
            in_head = False
        elif token.type == "tr_open":
            column, kind = 0, "cell"
        elif token.type == "inline" and token.map:
            first, end = token.map
            at = (above + first, above + end)
            found = Passage(kind, at, token, head[column] if kind == "cell" and not in_head else None)
            head += [found] if in_head else []
            column += 1
            yield found
        elif inner := box(token):
            yield from _passages(inner.content, above + inner.inside)


class Box(NamedTuple):
    """A box, with the lines of the source at which it begins, its content begins, and what follows begins."""

    begin: int
    inside: int
    end: int
    content: str


def box(token: Token) -> Box | None:
    """The box that a token is; ``None`` for whatever is no box."""
    if token.type not in ("fence", "colon_fence") or not token.map:
        return None
    name = DIRECTIVE.match(token.info)
    if not name or name[1] not in BOXES:
        return None
    begin, end = token.map
    lines = token.content.split("\n")
    options = next((i for i, line in enumerate(lines) if not OPTION.match(line)), len(lines))
    return Box(begin, begin + 1 + options, end, "\n".join(lines[options:]))


def page(source: str) -> str:
    """The HTML of a text, its boxes opened; white space is one space, as a browser shows it."""
    parts, rest = [], source.split("\n")
    at = 0
    for token in parser().parse(source):
        if found := box(token):
            before, head = rest[at : found.begin], rest[found.begin : found.inside]
            parts += [_html("\n".join(before)), html.escape("\n".join(head)), page(found.content)]
            at = found.end
    parts.append(_html("\n".join(rest[at:])))
    return " ".join(" ".join(parts).split())


def _html(source: str) -> str:
    return parser().render(source) if source.strip() else ""
