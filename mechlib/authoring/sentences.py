"""One sentence a line in the text of notebooks and pages, so that a change of a sentence is a change of a line.

A line break inside a paragraph is a space on the page: ``write()`` changes no page. Headings, tables, code, formulas,
options of directives and line breaks that are meant (a backslash or two spaces) stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mechlib.authoring import checkout, ledger, markdown

ABBREVIATIONS = frozenset(
    {"al", "approx", "ca", "cf", "ch", "chs", "e.g", "ed", "eds", "eq", "eqs", "fig", "figs", "i.e", "no", "p", "pp"}
    | {"prof", "resp", "sec", "st", "viz", "vol", "vs"}
)
"""Words before a full stop that ends no sentence."""

LABEL = re.compile(r"\d\d[a-z]|\d+")
"""What is no sentence alone: the id of a claim, the number of an item."""

INITIAL = re.compile(r"[A-Z]")
OPENING, CLOSING = " \"'“‘([*_", "\"'”’)]*_"

WHOLE = re.compile(
    r"(?P<ticks>`+)[^`].*?(?P=ticks)(?!`)"  # code and roles
    r"|\$[^$\n]+\$"  # formulas
    r"|\]\([^)\s]*\)"  # targets of links
    r"|<[^>\s][^>]*>",  # tags and addresses
    re.DOTALL,
)
"""Spans inside which no sentence ends."""

END = re.compile(r"[.!?…]+[\"'”’)\]*_]*\s+(?=[^\s])")
BEGINS_LOWER = re.compile(r"[\"'“‘(\[*_]*[a-zß-öø-ÿ]")
AS_BLOCK = re.compile(r"(?:[-+*>|#:=~]|\d+[.)]|`{3}|\$\$|<)(?:\s|$)|(?:[-=:|~+]{2,}|\$\$|`{3}|>|#|\|)")
"""How a line begins that Markdown takes for a list, a quotation, a heading, a table, a rule or a fence."""


def split(text: str) -> list[str]:
    """The sentences of a paragraph whose line breaks are spaces.

    A sentence ends at a full stop, a question or an exclamation mark that is followed by space and no small letter, not
    inside code, formulas, roles and links, and not after an abbreviation, an initial or a label.
    """
    kept = [span.span() for span in WHOLE.finditer(text)]
    sentences, start = [], 0
    for end in END.finditer(text):
        inside = any(first <= end.start() < last for first, last in kept)
        if not inside and _ends(text[start : end.start()], text[end.end() :]):
            sentences.append(text[start : end.end()].rstrip())
            start = end.end()
    return [*sentences, text[start:].rstrip()]


def _ends(before: str, after: str) -> bool:
    """Whether a sentence ends between two texts, the mark at its end left out of both."""
    word = re.split(r"[\s(\[\"'“‘*_]", before.rstrip(CLOSING))[-1]
    alone = before.strip(CLOSING + OPENING) == word and LABEL.fullmatch(word)
    shortened = word.lower() in ABBREVIATIONS or alone or INITIAL.fullmatch(word)
    return not (shortened or BEGINS_LOWER.match(after) or AS_BLOCK.match(after))


def by_sentence(source: str) -> str:
    """The text with one sentence a line in every paragraph, its page the same.

    Raises:
        ValueError: if the page would not be the same; the message has the paragraph.
    """
    lines = source.split("\n")
    for passage in reversed(list(markdown.passages(source))):
        first, last = passage.lines
        if passage.kind == "paragraph":
            lines[first:last] = _rewritten(lines[first:last], passage.token.content)
    done = "\n".join(lines)
    if markdown.page(done) != markdown.page(source):
        changed = [line for line in done.split("\n") if line not in source.split("\n")]
        raise ValueError(f"one sentence a line changes the page of this text: {changed[:3]}")
    return done


def _rewritten(lines: list[str], content: str) -> list[str]:
    """The lines of a paragraph, their marks of lists and quotations kept."""
    head = content.split("\n")[0]
    mark = lines[0][: lines[0].rindex(head)] if head in lines[0] else ""
    further = re.sub(r"[^>\s]", " ", mark)
    parts = re.split(r"(?<=\\)\n|(?<=  )\n", "\n".join(_unmarked(line, further) for line in [head, *lines[1:]]))
    sentences = [sentence for part in parts for sentence in _of_part(part)]
    return [(mark if i == 0 else further) + sentence for i, sentence in enumerate(sentences)]


def _unmarked(line: str, further: str) -> str:
    return line.removeprefix(further) if line.startswith(further) else line.lstrip()


def _of_part(part: str) -> list[str]:
    """The sentences up to a line break that is meant, which stays at the end."""
    end = "\\" if part.endswith("\\") else "  " if part.endswith("  ") else ""
    *others, last = split(" ".join(part.removesuffix("\\").split()))
    return [*others, last + end]


def expected(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every notebook that is written by hand, and every page, with its text by sentence."""
    for path in checkout.notebooks(folder, "book", "solutions"):
        notebook = checkout.read_notebook(path)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = by_sentence(cell["source"])
        yield path, checkout.dump_notebook(notebook)
    for path in sorted((folder / "book").glob("*.md")):
        if path != folder / ledger.PAGE:
            yield path, by_sentence(path.read_text(encoding="utf-8"))


def write(folder: Path | None = None) -> list[Path]:
    """Bring the texts of a checkout to one sentence a line; the files that changed. Errors as ``by_sentence``."""
    return checkout.write_changed(dict(expected(folder or checkout.root())))


def stale(folder: Path | None = None) -> list[str]:
    """One line for every file of a checkout whose text is not one sentence a line."""
    folder = folder or checkout.root()
    changed = [path for path, text in expected(folder) if checkout.differs(path, text)]
    return [f"{path.relative_to(folder)} is not one sentence a line; run 'mechlib book sentences'" for path in changed]
