"""The page for review: a Sphinx extension with the directive ``mechlib-cards``.

Every card stands on it as a question that unfolds, so that the page is of use without a script. The script
``review.js`` asks those that are due, spaces them, and gives out and takes in what a browser keeps of the book.
"""

from __future__ import annotations

import html
import posixpath
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from mechlib.authoring import checkout
from mechlib.authoring.cards import FOLDER, Card, cards
from mechlib.claims import CLAIM_ID
from mechlib.claims.card import anchor

__all__ = ["setup", "shown"]

PLACE = '<div class="mechlib-review" hidden></div>'
KEPT = '<div class="mechlib-kept" hidden></div>'


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.add_directive("mechlib-cards", Cards)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class Cards(Directive):
    """All cards, by chapters, with the places that the script fills."""

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        folder = Path(env.srcdir)
        for path in (folder / FOLDER).glob("*.toml"):
            env.note_dependency(str(path))
        return [nodes.raw("", shown(folder, posixpath.dirname(env.docname)), format="html")]


def shown(folder: Path, page: str) -> str:
    """The cards of a checkout in HTML, for a page in the folder ``page``."""
    pages = {path.name[:2]: path for path in reversed(list(checkout.notebooks(folder, "book")))}
    parts = []
    for chapter, group in groupby(cards(folder), key=lambda card: card.chapter):
        path = pages[chapter]
        title = html.escape(f"{chapter} {checkout.title(checkout.read_notebook(path))}")
        address = posixpath.relpath(path.relative_to(folder).with_suffix(".html").as_posix(), page)
        body = "".join(_card(card, address) for card in group)
        parts.append(
            f'<details class="mechlib-cards" data-chapter="{chapter}" open><summary>{title}</summary>{body}</details>'
        )
    return f'{PLACE}<div class="mechlib-all-cards">{"".join(parts)}</div>{KEPT}'


def _card(card: Card, address: str) -> str:
    claim = CLAIM_ID.fullmatch(card.of)
    place = f"{address}#{anchor(card.of)}" if claim else f"{address}#exercises"
    source = f"claim {card.of}" if claim else f"exercise {card.of}"
    return (
        f'<details class="mechlib-card" data-card="{card.key}"><summary>{html.escape(card.front)}</summary>'
        f'<p>{html.escape(card.back)}</p><p class="ml-from"><a href="{place}">{source}</a></p></details>'
    )
