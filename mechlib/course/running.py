"""What a lecturer's commands have in common: which tables hold, and the files of a class that is settled."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from mechlib.course import afterwards, graded, reports, rules, worksheet
from mechlib.course import roster as rosters
from mechlib.course.graded import Graded, Run
from mechlib.course.settling import Settled, Term, settle
from mechlib.course.tables import Names
from mechlib.grading.assignment import read_secret
from mechlib.grading.state import drawn

__all__ = ["TABLES", "finish", "remembered", "term"]

TABLES = ("overrides", "times", "groups")
"""Tables that hold without being named where they lie beside the secret, as ``NAME.csv``."""


def remembered(out: Path, **given: object) -> Run:
    """What a command was given, and what an earlier one into the same folder was, where this one says nothing.

    Args:
        out: the folder of the grades.
        given: values for the fields of ``Run``; ``None`` says nothing, a path is made absolute, and files with marks
            are added to those of before.
    """
    run = graded.last_run(out)
    for name, value in given.items():
        if name == "written":
            files = dict.fromkeys((*run.written, *(str(p.resolve()) for p in cast("Iterable[Path]", value or ()))))
            run = replace(run, written=tuple(files))
        elif value is not None:
            run = replace(run, **{name: str(value.resolve()) if isinstance(value, Path) else value})  # type: ignore[arg-type]
    return run


def term(run: Run, out: Path) -> Term:
    """The rules and tables that hold for a class: those beside its secret, those named, and a ``written.csv`` among the
    grades that was filled in.

    Raises:
        FileNotFoundError: for a file that was named and is gone; the message says where it was named.
        ValueError: for one that cannot be read.
    """
    secret = Path(run.secret) if run.secret else None
    course = secret.with_name("course.json") if secret else None
    ruled = rules.read(course) if course and course.is_file() else rules.PLAIN
    files: dict[str, list[Path]] = {}
    for name in TABLES:
        beside = secret.with_name(f"{name}.csv") if secret else None
        named = getattr(run, name)
        of = [beside] if beside and beside.is_file() else []
        files[name] = list(dict.fromkeys([*of, *([_there(named, out)] if named else [])]))
    written = [_there(file, out) for file in run.written]
    own = (out / graded.WRITTEN).resolve()
    if graded.theirs(out) and own not in written:
        written.append(own)
    written = [file for file in written if file != own or graded.theirs(out)]
    students = rosters.read(_there(run.roster, out)) if run.roster else ()
    listed: Mapping[str, datetime.datetime] = {}
    if run.worksheet:
        sheet = worksheet.read(_there(run.worksheet, out))
        listed, students = sheet.handed_in(ruled.zone), sheet.numbered(students)
    return Term.read(
        students,
        ruled,
        written=written,
        overrides=files["overrides"],
        times_=files["times"],
        groups_=files["groups"],
        listed=listed,
        secret=read_secret(secret) if secret else drawn(out),
    )


def _there(file: str, out: Path) -> Path:
    """A file that this command or an earlier one was given."""
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there, and the grades in {out} depend on it: put it back, or take it out of "
            f"{out / graded.RUN}"
        )
    return path


def finish(done: Graded, known: Term) -> Settled:
    """Settle a graded class and write its pages and tables; what the lecturer changed of them is kept beside.

    Raises:
        ValueError: for a row of a table that cannot be looked up; nothing is written then.
    """
    settled = settle(list(done.grades.values()), known)
    by_folder = dict(zip(done.grades, settled.grades, strict=True))
    kept = graded.keep_theirs(done.out)
    names = cast("Names", done.run.names)
    reports.write_class(by_folder, done.out, known.students, settled.groups, known.rules, names, known.secret)
    afterwards.write(settled.grades, done.out, done.run.submissions, known.students, settled.groups)
    done.write()
    said = [f"You had changed {path.name.replace('.yours', '')}: it is kept as {path}." for path in kept]
    return replace(settled, notes=(*settled.notes, *said))
