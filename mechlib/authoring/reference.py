"""The reference of the book: a Sphinx extension that writes one page for every room of the library.

The pages are written before Sphinx looks for pages, each only where it changes, and hold no text of their own: Sphinx's
autodoc reads the docstrings. What the library and the chapters say of each other is read from the sources
(``mechlib.authoring.catalogue``): every function names the chapters that use it, every chapter ends with what it uses.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pydoc
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config as Style
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.inspect import stringify_annotation, stringify_signature

from mechlib.authoring import address, checkout
from mechlib.authoring.catalogue import Catalogue, Section, catalogue

__all__ = ["FOLDER", "pages", "setup", "source"]

FOLDER = "book/library"

SETTINGS = {
    "autodoc_preserve_defaults": True,
    "autodoc_member_order": "bysource",
    "add_module_names": False,
    "python_maximum_signature_line_length": 80,
    "toc_object_entries_show_parents": "hide",
}

ONE_AXIS = re.compile(r"(\[\w+, [\"']) (?=\w)")
"""How some shapes begin: with a space, which tells linters that they are no names."""

INDEX = """\
# The library

What `mechlib` offers, room by room, written from its docstrings.
Every function names the chapters that use it and links to its source; every chapter ends with what it uses.

| room | what it holds |
|---|---|
"""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.linkcode")
    reference = _Reference(Path(app.srcdir))
    app.connect("config-inited", reference.configure)
    app.connect("builder-inited", reference.write)
    app.connect("env-get-outdated", reference.outdated)
    app.connect("autodoc-process-signature", _as_written)
    app.connect("autodoc-process-docstring", _by_sections)
    app.connect("autodoc-process-docstring", reference.name_types)
    app.connect("autodoc-process-docstring", reference.name_chapters)
    app.connect("doctree-read", reference.list_functions)
    app.connect("missing-reference", _undocumented)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def pages(folder: Path, found: Catalogue) -> dict[Path, str]:
    """The text of every page of the reference of a checkout, by its path."""
    rows = [f"| [`{room}`](library/{room}.md) | {_first_sentence(folder, room)} |\n" for room in found.rooms]
    texts = {folder / FOLDER / f"{room}.md": _page(sections) for room, sections in found.rooms.items()}
    return {(folder / FOLDER).with_suffix(".md"): INDEX + "".join(rows), **texts}


def _first_sentence(folder: Path, room: str) -> str:
    path = folder / "mechlib" / room
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`")


def _page(sections: tuple[Section, ...]) -> str:
    return "\n".join(line for depth, section in enumerate(sections) for line in _section(section, min(depth, 1)))


def _section(section: Section, depth: int) -> Iterator[str]:
    """A heading, the module's own docstring, and a directive for every function and class."""
    yield f"{'#' * (depth + 1)} {section.module}\n\n```{{eval-rst}}\n.. automodule:: {section.module}\n"
    yield from (f".. autofunction:: {name}\n" for name in section.functions)
    yield from (f".. autoclass:: {name}\n   :members:\n   :undoc-members:\n" for name in section.classes)
    yield "```\n"


class _Reference:
    """The handlers of Sphinx's events for one checkout."""

    def __init__(self, folder: Path):
        self._folder = folder

    @cached_property
    def catalogue(self) -> Catalogue:
        return catalogue(self._folder)

    def configure(self, _: Sphinx, config: Config) -> None:
        for name, value in SETTINGS.items():
            setattr(config, name, value)
        config.linkcode_resolve = lambda domain, info: source(self._folder, info)
        config.nitpick_ignore_regex = [*config.nitpick_ignore_regex, ("py:.*", r"(?!mechlib\.).*")]

    def write(self, _: Sphinx) -> None:
        texts = pages(self._folder, self.catalogue)
        for path in (self._folder / FOLDER).glob("*.md"):
            if path not in texts:
                path.unlink()
        checkout.write_changed(texts)

    def outdated(self, app: Sphinx, env: BuildEnvironment, *_: set[str]) -> list[str]:
        """The pages whose links between chapters and functions are no longer those with which they were read."""
        links: dict[str, Any] = {chapter.removesuffix(".ipynb"): used for chapter, used in self.catalogue.uses.items()}
        for room, sections in self.catalogue.rooms.items():
            names = [name for section in sections for name in section.names]
            links[f"{FOLDER}/{room}"] = tuple(
                (name, self.catalogue.users(name), self.catalogue.types.get(name)) for name in names
            )
        kept = vars(env)  # what is pickled of an environment
        before, kept["mechlib_links"] = kept.get("mechlib_links", {}), links
        return [page for page, link in links.items() if page in env.all_docs and before.get(page) != link]

    def name_types(self, _: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        """Say behind a function what its signature calls by a name that has no place of its own in the reference."""
        shown = {short: ONE_AXIS.sub(r"\1", meaning) for short, meaning in self.catalogue.types.get(name, {}).items()}
        if shown:
            said = (f"``{short}`` is ``{meaning}``" for short, meaning in shown.items())
            lines += ["", f"*Here* {', '.join(said)}.", ""]

    def name_chapters(self, _: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        """Add the chapters that use a function or class to its docstring."""
        if users := self.catalogue.users(name):
            links = [f":doc:`{checkout.label(Path(user))} </{user.removesuffix('.ipynb')}>`" for user in users]
            lines += ["", f"*In chapter{'s' * (len(links) > 1)}* {', '.join(links)}.", ""]

    def list_functions(self, app: Sphinx, doctree: nodes.document) -> None:
        """Add what a chapter uses to its end, each with a link to its reference."""
        docname = app.env.docname
        used = self.catalogue.uses.get(f"{docname}.ipynb", ())
        if used and (section := doctree.next_node(nodes.section)):
            section += nodes.rubric("", "From the library")
            section += nodes.paragraph(classes=["mechlib-used"])
            for name in used:
                section[-1] += [_reference(name, docname), nodes.Text(" ")]


def source(folder: Path, info: dict[str, str]) -> str | None:
    """The public address of the lines of a checkout that define something; ``None`` where it has none of its own."""
    try:
        located = pydoc.locate(f"{info['module']}.{info['fullname']}")
        if not callable(located):
            return None
        found = inspect.unwrap(located)
        lines, first = inspect.getsourcelines(found)
        path = Path(inspect.getsourcefile(found) or "").relative_to(folder)
    except (TypeError, ValueError, OSError):
        return None
    place = f"{address.ref(folder)}/{path.as_posix()}#L{first}-L{first + len(lines) - 1}"
    return f"{address.repository(folder)}/blob/{place}"


def _reference(name: str, docname: str) -> pending_xref:
    short = name.removeprefix("mechlib.")
    options = {"refdomain": "py", "reftype": "obj", "reftarget": name, "refdoc": docname, "refwarn": True}
    return pending_xref("", nodes.literal("", short, classes=["xref", "py"]), refexplicit=True, **options)


def _by_sections(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Read the sections of a docstring. One of an attribute has none, and what stands before a colon is no type."""
    if what not in ("attribute", "property"):
        style = Style()  # napoleon's own class of configuration, for which its signature names that of Sphinx
        lines[:] = GoogleDocstring(lines, style, app, what, name, obj, options).lines()  # type: ignore[arg-type]


def _as_written(
    _: Sphinx, what: str, name: str, obj: Any, options: object, arguments: str | None, result: str | None
) -> tuple[str, str] | None:
    """A signature with its annotations as they stand in the source: shapes are not evaluated.

    A dataclass has the names alone: its fields follow, each with its type.
    """
    if what not in ("function", "class", "method") or arguments is None:
        return None
    try:
        signature = inspect.signature(obj)
    except ValueError:  # an exception that adds nothing to Python's own
        return None
    if what == "method" and list(signature.parameters)[:1] == ["self"]:
        signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    if dataclasses.is_dataclass(obj):
        fields = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
        signature = signature.replace(parameters=fields)
    returned = signature.return_annotation
    shown = "" if what == "class" or returned is inspect.Signature.empty else stringify_annotation(returned)
    arguments = stringify_signature(signature, show_return_annotation=False)
    return ONE_AXIS.sub(r"\1", arguments), ONE_AXIS.sub(r"\1", shown)


def _undocumented(_: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Node) -> nodes.Node | None:
    """What a docstring mentions of the library that is there, but has no place in the reference, is no link."""
    name = node["reftarget"]
    return content if node["refdomain"] == "py" and name.startswith("mechlib.") and pydoc.locate(name) else None
