"""Puts what the playground's page reads beside the built pages, and leads texts there: a Sphinx extension."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from mechlib.authoring import tries
from mechlib.widgets.playground import served

__all__ = ["FOLDER", "beside", "setup"]

FOLDER = "_static/playground"
"""The folder, from the root of the pages."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.add_role(tries.ROLE, Try())
    app.connect("build-finished", beside)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


class Try(SphinxRole):
    """A link into the playground, as ``tries.linked`` has it; what is wrong with one is an error of the page."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            words, address = tries.linked(self.text)
        except ValueError as error:
            said = self.inliner.reporter.error(str(error), line=self.lineno)
            return [nodes.problematic(self.rawtext, self.rawtext)], [said]
        where = posixpath.relpath(address, posixpath.dirname(self.env.docname))
        return [nodes.reference(self.rawtext, words, refuri=where, internal=True, classes=["mechlib-try"])], []


def beside(app: Sphinx, failure: Exception | None) -> None:
    """Write the files, where pages of HTML were built.

    Raises:
        ValueError: as ``served.write``.
    """
    if failure is None and app.builder.format == "html":
        served.write(Path(app.outdir) / FOLDER)
