"""Several graded chapters in one gradebook: the files for the platforms, and the term as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mechlib.course import running, tables
from mechlib.course.graded import Graded, recorded
from mechlib.course.settling import settle

__all__ = ["gradebook"]


def gradebook(classes: Sequence[Graded], out: Path) -> tuple[list[Path], list[str]]:
    """Write ``canvas.csv``, ``moodle.csv``, ``brightspace.csv`` and ``gradebook.csv`` of several chapters.

    The tables of now settle everything; the students are those of every class's own roster, since
    Moodle's numbers are others in every assignment.

    Returns:
        the files that changed, and what is to be said, one sentence each.

    Raises:
        ValueError: for a chapter in two classes, and for classes with other rosters.
    """
    terms = [running.term(each.run, each.out) for each in classes]
    chapters = Counter(chapter for each in classes for chapter in {grade.chapter for grade in each.grades.values()})
    if twice := [chapter for chapter, count in chapters.items() if count > 1]:
        folders = ", ".join(str(each.out) for each in classes if twice[0] in {g.chapter for g in each.grades.values()})
        raise ValueError(f"{twice[0]} is in {folders}: name one of them")
    if any({s.id for s in term.students} != {s.id for s in terms[0].students} for term in terms):
        rosters = ", ".join(f"{each.out}: {each.run.roster or 'none'}" for each in classes)
        raise ValueError(f"the classes were graded with other rosters ({rosters}); grade them with one")
    settled = [settle(list(each.grades.values()), term) for each, term in zip(classes, terms, strict=True)]
    books = [tables.Book.of(each.grades, term.students, each.groups) for each, term in zip(settled, terms, strict=True)]
    book, rules = tables.Book.together(books), terms[0].rules
    texts = {
        "canvas.csv": tables.canvas(book, rules),
        "moodle.csv": tables.moodle(book, rules),
        "brightspace.csv": tables.brightspace(book, rules),
        "gradebook.csv": tables.term(book),
    }
    notes = [note for each in settled for note in each.notes]
    return recorded(out, {out / name: text for name, text in texts.items()}), notes
