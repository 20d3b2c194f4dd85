"""A text of the book in Markdown that every reader of notebooks knows, without MyST.

Boxes become quotations, citations links, and links within the book addresses of the built pages. What has no plain
form yet is an error, so that no markup reaches a reader.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mechlib.authoring import checkout, citations, markdown, tries
from mechlib.authoring.citations import Reference

__all__ = ["Plain", "numbers"]

NUMBERED = re.compile(r"\n?\$\$ +\((?P<formula>[\w-]+)\)[^\S\n]*$", re.MULTILINE)
"""The end of a formula with a name."""
MARKUP = re.compile(
    r"(?P<fenced>^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?^(?P=fence)[^\S\n]*$)"
    r"|\{(?P<role>[\w:-]+)\}`(?P<content>[^`]+)`"
    r"|(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)"
    r"|(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    rf"|{NUMBERED.pattern}"
    r"|(?P<place>^\([\w-]+\)=\n)",
    re.MULTILINE | re.DOTALL,
)
"""What is not the same in plain Markdown, and code, in which nothing is."""
ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:")
PAGES = (".ipynb", ".md")


@dataclass(frozen=True)
class Plain:
    """Makes the texts of one page plain.

    Raises:
        ValueError: if a text has a role, a directive or a link that has no plain form; the message has the page.
    """

    folder: Path
    """The checkout."""
    path: str
    """The page's file in it."""
    pages: str
    """The address of the built pages."""
    known: Mapping[str, Reference]
    """What can be cited."""
    numbers: Mapping[str, int]
    """The formulas of the page with a name, in their order, from 1."""

    def text(self, source: str) -> str:
        """A Markdown cell in plain Markdown."""
        lines, done, at = source.split("\n"), [], 0
        for token in markdown.parser(self.folder).parse(source):
            if box := markdown.box(token):
                done.append(self._inline("\n".join(lines[at : box.begin])))
                done.append(self._quoted(token.info, box.content))
                at = box.end
            elif token.type in ("fence", "colon_fence") and markdown.DIRECTIVE.match(token.info):
                raise self._error(f"the directive {token.info.split('}')[0]}}} has no plain form")
        return "\n".join([*done, self._inline("\n".join(lines[at:]))])

    def _quoted(self, info: str, content: str) -> str:
        """A box as a quotation with its title in bold."""
        name, _, title = info.removeprefix("{").partition("}")
        said = title.strip() if name == "admonition" else ": ".join(filter(None, [name.capitalize(), title.strip()]))
        lines = [f"**{self._inline(said)}**", "", *self.text(content.strip("\n")).split("\n")]
        return "\n".join(f"> {line}".rstrip() for line in lines)

    def _inline(self, text: str) -> str:
        return MARKUP.sub(self._plainly, text)

    def _plainly(self, found: re.Match[str]) -> str:
        if found["role"]:
            return self._role(found["role"], found["content"])
        if found["target"]:
            return f"[{self._shown(found)}]({self._address(found['target'])})"
        if found["formula"]:
            return f" \\tag{{{self.numbers[found['formula']]}}}\n$$"
        return "" if found["place"] else found[0]

    def _role(self, name: str, content: str) -> str:
        if name == "eq" and content in self.numbers:
            return f"({self.numbers[content]})"
        if name == tries.ROLE:
            words, address = tries.linked(content)
            return f"[{words}]({self.pages}/{address})"
        if name not in citations.ROLES:
            raise self._error(f"the role {{{name}}} has no plain form")
        try:
            return citations.cited(name, content, dict(self.known))
        except ValueError as error:
            raise self._error(str(error)) from error

    def _shown(self, found: re.Match[str]) -> str:
        """The text of a link; the title of the page that it leads to where it has none."""
        if found["text"] or ABSOLUTE.match(found["target"]):
            return found["text"]
        path = self.folder / self._within(found["target"].partition("#")[0])
        if path.suffix == ".ipynb":
            return checkout.title(checkout.read_notebook(path))
        return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")

    def _address(self, target: str) -> str:
        if ABSOLUTE.match(target):
            return target
        path, sharp, place = target.partition("#")
        within = self._within(path) if path else self.path
        root = posixpath.splitext(within)
        if root[1] not in PAGES:
            raise self._error(f"the link {target} leads to no page")
        return f"{self.pages}/{root[0]}.html{sharp}{place}"

    def _within(self, target: str) -> str:
        """The path in the checkout of a file that the page links."""
        within = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), target))
        if not (self.folder / within).is_file():
            raise self._error(f"the link {target} leads nowhere")
        return within

    def _error(self, problem: str) -> ValueError:
        return ValueError(f"{self.path}: {problem}")


def numbers(sources: list[str]) -> dict[str, int]:
    """The named formulas of a page's texts, numbered in their order."""
    names = [name for source in sources for name in NUMBERED.findall(source)]
    return {name: number for number, name in enumerate(names, 1)}
