"""What a page says of its chapter beyond the notebook's text: a Sphinx extension.

The number in the name of the file stands before the title, and so in the sidebar and in the browser's tab. Under the
title are links to the exercises, on Colab and as a file to be downloaded, and to the chapter's review cards; where the
text names that file, it is a link.
The launch button opens the chapter's copy on Colab, as the link under the title does; every page has one that reports a
mistake on it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from mechlib.authoring import address, cards

__all__ = ["NumberedTitle", "OfferedExercises", "setup"]

CHAPTER = re.compile(r"book/part\d+/(?P<number>\d\d)_\w+")
"""The name of a chapter's page."""
REVIEW = "book/review.html"
FORM = "text.yml"
"""The form for issues that a reader of a page gets."""
AFTER_THE_THEME = 502
"""The theme makes its buttons at 501."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.add_transform(NumberedTitle)
    app.add_transform(OfferedExercises)
    app.connect("html-page-context", _launch_the_copy, priority=AFTER_THE_THEME)
    app.connect("html-page-context", _offer_a_report, priority=AFTER_THE_THEME)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class NumberedTitle(SphinxTransform):
    """Sets the chapter's number before its title."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        chapter, title = CHAPTER.fullmatch(self.env.docname), self.document.next_node(nodes.title)
        if chapter and title:
            title.insert(0, nodes.Text(f"{chapter['number']} "))


class OfferedExercises(SphinxTransform):
    """Links the exercises of a chapter: in a line under its title, and where its text names their notebook."""

    default_priority = 400

    def apply(self, **_: Any) -> None:
        chapter, title = CHAPTER.fullmatch(self.env.docname), self.document.next_node(nodes.title)
        folder = Path(self.env.srcdir)
        path = f"exercises/{self.env.docname.rpartition('/')[2]}.ipynb"
        if not (chapter and title and (folder / path).is_file()):
            return
        for literal in list(self.document.findall(nodes.literal)):
            if literal.astext() == path:
                literal.replace_self(_download(path, nodes.literal("", path)))
        colab = nodes.reference("", "Open in Colab", refuri=address.colab_link(folder, path), internal=False)
        parts = [
            nodes.Text("Exercises: "),
            colab,
            nodes.Text(" · "),
            _download(path, nodes.Text("Download the notebook")),
        ]
        if (folder / cards.FOLDER / f"{chapter['number']}.toml").is_file():
            review = posixpath.relpath(REVIEW, posixpath.dirname(self.env.docname))
            where = f"{review}?chapter={chapter['number']}"
            parts += [nodes.Text(" · "), nodes.reference("", "Review cards", refuri=where, internal=True)]
        line = title.parent.next_node(nodes.paragraph)
        line.parent.insert(line.parent.index(line) + 1, nodes.paragraph("", "", *parts, classes=["mechlib-exercises"]))


def _launch_the_copy(app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Lead the theme's button for Colab to the copy of a chapter."""
    colab = address.colab_link(Path(app.srcdir), f"{docname}.ipynb")
    for button in context.get("header_buttons", ()):
        for choice in button.get("buttons", ()):
            if str(choice.get("url", "")).startswith(address.COLAB):
                choice["url"] = colab


def _offer_a_report(app: Sphinx, docname: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Add a button that opens the form for mistakes, with the page filled in."""
    if doctree is not None and "header_buttons" in context:
        where = urlencode({"template": FORM, "where": f"{docname}.html"})
        url = f"{address.repository(Path(app.srcdir))}/issues/new?{where}"
        told = {"text": "Report a mistake", "tooltip": "Report a mistake on this page", "label": "report-button"}
        context["header_buttons"].append({"type": "link", "url": url, "icon": "fas fa-comment-dots", **told})


def _download(path: str, shown: nodes.Node) -> download_reference:
    return download_reference("", "", shown, reftarget=f"/{path}", refwarn=True)
