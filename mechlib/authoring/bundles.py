"""One style sheet and one script for a page instead of dozens: a Sphinx extension.

What themes and extensions register is joined as it stands, in its order, in a file that is named after its content, so
that pages with the same needs share it; so are the lines of script that stand in every page. What one page alone has,
and what is loaded in a way of its own (deferred, as a module), stays.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

__all__ = ["FOLDER", "joined_scripts", "joined_styles", "setup"]

FOLDER = "_static/bundles"
LAST = 900
"""After every extension that adds to what a page loads."""
ADDRESS = re.compile(r"""url\(\s*["']?(?!["']?(?:data:|#|[a-z]+://))([^"')]+)["']?\s*\)""")
"""A relative address in a style sheet."""
LATER = {"_static/pygments.css"}
"""Files that the theme writes when all pages are written."""
PLAIN = (("rel", "stylesheet"), ("type", "text/css"))
"""What every style sheet says of itself."""
FOR_ONE_PAGE = {"_static/ledger.js": "book/claims", "_static/review.js": "book/review", "_static/search.js": "search"}
"""Scripts that a single page needs."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.connect("html-page-context", _bundle, priority=LAST)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def joined_styles(texts: dict[str, str]) -> str:
    """Style sheets as one for ``FOLDER``; by their paths from the root of the pages, which their addresses go from.

    Raises:
        ValueError: if one imports another, which would have to stand first.
    """
    for path, text in texts.items():
        if "@import" in text:
            raise ValueError(f"{path} imports another style sheet: it cannot be joined to others")

    def moved(path: str, text: str) -> str:
        folder = posixpath.dirname(path)
        return ADDRESS.sub(lambda at: f'url("{posixpath.relpath(posixpath.join(folder, at[1]), FOLDER)}")', text)

    return "\n".join(moved(path, text) for path, text in texts.items())


def joined_scripts(texts: dict[str, str]) -> str:
    """Scripts as one: each is ended, so that the next one begins."""
    return "\n;\n".join(texts.values())


def _bundle(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if app.builder.format != "html":
        return
    scripts = [file for file in context["script_files"] if FOR_ONE_PAGE.get(_path(file), pagename) == pagename]
    context["script_files"] = _with_bundle(app, scripts, "js", joined_scripts)
    context["css_files"] = _with_bundle(app, context["css_files"], "css", joined_styles)


def _with_bundle(app: Sphinx, files: list[Any], kind: str, join: Callable[[dict[str, str]], str]) -> list[Any]:
    """The files, in their order, with those that are loaded plainly as a single one in the place of the first."""
    ordered = sorted(files, key=lambda file: file.priority)
    of_all = {said["body"] for _, said in app.registry.js_files if "body" in said}
    found = [_text(file, Path(app.outdir), of_all) for file in ordered]
    texts = {place: text for place, text in enumerate(found) if text is not None}
    if not texts:
        return ordered
    text = join({_path(ordered[place]) or f"line {place}": text for place, text in texts.items()})
    name = f"{FOLDER}/{hashlib.sha256(text.encode()).hexdigest()[:12]}.{kind}"
    (Path(app.outdir) / FOLDER).mkdir(parents=True, exist_ok=True)
    (Path(app.outdir) / name).write_text(text, encoding="utf-8")
    first = min(texts)
    bundle = type(ordered[first])(name, priority=ordered[first].priority)
    kept = [file for place, file in enumerate(ordered) if place not in texts]
    return [*kept[:first], bundle, *kept[first:]]


def _path(file: Any) -> str:
    """The path of a style sheet or script from the root of the pages; empty for one that stands in the page."""
    return str(file.filename or "")


def _text(file: Any, out: Path, of_all: Set[str]) -> str | None:
    """The text of a style sheet or script that is loaded without ado, from this site or as a line of every page."""
    said = {key: value for key, value in file.attributes.items() if (key, value) not in PLAIN}
    if set(said) == {"body"}:
        return str(said["body"]) if said["body"] in of_all else None
    path = out / _path(file)
    if _path(file) in LATER:
        return None
    return path.read_text(encoding="utf-8") if not said and path.is_file() else None
