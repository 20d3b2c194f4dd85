"""Citations in words, for where no bibliography is made: author and year, linked to where the reference can be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pybtex.database import Entry, Person, parse_file
from pybtex.richtext import Text

__all__ = ["ROLES", "Reference", "cited", "references"]

BIBLIOGRAPHY = "book/references.bib"
PAGE = "book/references.html"
"""Where a reference stands that has no address of its own, among the built pages."""
ROLES = ("cite:p", "cite:t", "cite:author")
"""The roles of the pages that cite."""


@dataclass(frozen=True)
class Reference:
    """A reference as a sentence names it."""

    names: str
    """Such as ``Chen et al.``."""
    year: str
    """Empty for what has none."""
    address: str


def references(folder: Path, pages: str) -> dict[str, Reference]:
    """The references of a checkout by their keys; ``pages`` is the address of the built pages."""
    entries = parse_file(str(folder / BIBLIOGRAPHY)).entries
    return {key: _reference(entry, pages) for key, entry in entries.items()}


def cited(role: str, keys: str, known: dict[str, Reference]) -> str:
    """A citation in Markdown.

    Args:
        role: of ``ROLES``: in parentheses, in the sentence, or the authors alone.
        keys: of the references, separated by commas.
        known: the references by their keys.

    Raises:
        ValueError: if a key is not known.
    """
    names = [key.strip() for key in keys.split(",")]
    if missing := [key for key in names if key not in known]:
        raise ValueError(f"{BIBLIOGRAPHY} has no entry {missing[0]!r}")
    found = [known[key] for key in names]
    if role == "cite:p":
        return f"({'; '.join(_link(each, ' ' + each.year if each.year else '') for each in found)})"
    years = role == "cite:t"
    return ", ".join(_link(each, f" ({each.year})" if years and each.year else "") for each in found)


def _link(reference: Reference, year: str) -> str:
    return f"[{reference.names}{year}]({reference.address})"


def _reference(entry: Entry, pages: str) -> Reference:
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [_family(person) for person in people]
    said = names[0] if len(names) == 1 else f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    doi = entry.fields.get("doi")
    address = entry.fields.get("url") or (f"https://doi.org/{doi}" if doi else f"{pages}/{PAGE}")
    return Reference(said, entry.fields.get("year", ""), address.replace("(", "%28").replace(")", "%29"))


def _family(person: Person) -> str:
    return " ".join(str(Text.from_latex(name)) for name in (*person.prelast_names, *person.last_names))
