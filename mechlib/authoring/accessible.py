"""What those who do not see a page, or not well, are told of it, where others leave it out: a Sphinx extension.

``accessible.js`` does the same in the browser for the parts of a page that are the theme's own.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

__all__ = ["MENDED", "setup"]

MENDED = {
    ' aria-label="Toggle hidden content"': "",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    '<dl>\n<dd><em class="sig-param">': '<dl role="list">\n<dd role="listitem"><em class="sig-param">',
    '<dd><em class="sig-param">': '<dd role="listitem"><em class="sig-param">',
}
"""What other extensions write, and what stands there instead: a name that hides the words on a button, a list whose
entries are links, and one of parameters, which explains no terms."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.connect("html-page-context", _mend)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _mend(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object) -> None:
    for theirs, ours in MENDED.items():
        if "body" in context:
            context["body"] = context["body"].replace(theirs, ours)
