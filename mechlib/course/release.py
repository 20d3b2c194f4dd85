"""A course: the folder that its students get and the one that its instructor keeps, from one folder of solutions.

::

    OUT/instructor/course.json   the notebooks of the course, their questions and points, and the rules of the term
                   overrides.csv, times.csv, groups.csv    only their first lines, for the lecturer to fill in
                   secret        draws the hidden cases and the students' data; never given away
                   roster.csv    only with a roster
                   solutions/    what the exercises were made from
                   answers.zip   the same, to be published once the exercises are due
                   nbgrader/     a course folder of nbgrader
    OUT/students/                the exercises; with a roster, one folder for each student
    OUT/students.zip             the exercises in one file, with the data that stand in the book
    OUT/zips/ID.zip              only with a roster: those of one student, with data of their own

What the lecturer writes stays: the rules under ``"term"`` in ``course.json``, and the three tables once they are there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mechlib
from mechlib.authoring import address, checkout, exercises
from mechlib.authoring.checkout import Notebook
from mechlib.checks.handing_in import Hand
from mechlib.course import decisions, groups, nbgrader, personal, roster, rules, times
from mechlib.course.archive import packed
from mechlib.course.leaks import leaks
from mechlib.grading.assignment import new_secret, read_secret

__all__ = ["Course", "Pinned", "opened", "pinned"]

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def questions_in(notebook: Notebook, name: str) -> list[dict[str, object]]:
    """Id, title and points of the questions whose checks stand in a notebook, in its order.

    Raises:
        ValueError: if it checks a question that there is not.
    """
    try:
        found = Hand(notebook).questions
    except LookupError as error:
        raise ValueError(f"{name}: {error}") from error
    return [{"id": question.id, "title": question.title, "points": question.points} for question in found]


@dataclass(frozen=True)
class Course:
    """What a course is made from."""

    name: str
    """Small letters, digits, ``-`` and ``_``."""
    solutions: Path
    """The folder with the solutions."""
    out: Path
    """The folder that holds, or will hold, ``instructor`` and what the students get."""
    roster: Path | None = None
    """The students, if everyone gets data of their own; see ``roster.read``."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"the course is called {self.name!r}; it needs small letters, digits, - or _")

    @property
    def secret_file(self) -> Path:
        """Where the secret is kept."""
        return self.out / "instructor" / "secret"

    def write(self) -> list[Path]:
        """Bring a course's folder up to date; the files that changed.

        The secret is drawn once and then stays: it decides the students' data and the hidden cases. ``instructor`` and
        all that is in it can be read by its owner alone, where the system knows such rights. Nothing is written when
        anything is wrong.

        Raises:
            FileNotFoundError: if there are no solutions, or no roster.
            ValueError: for a broken solution or roster, or if students would get an answer or the secret.
        """
        secret = read_secret(self.secret_file) if self.secret_file.is_file() else new_secret()
        files = self.contents(secret)
        private = self.out / "instructor"
        private.mkdir(parents=True, exist_ok=True)
        private.chmod(0o700)
        if not self.secret_file.is_file():
            checkout.write_changed({self.secret_file: secret + b"\n"}, private=True)
        mine = {self.out / name: content for name, content in files.items() if name.startswith("instructor/")}
        mine |= {path: content for path, content in self._tables().items() if not path.exists()}
        theirs = {self.out / name: content for name, content in files.items() if not name.startswith("instructor/")}
        return [*checkout.write_changed(theirs), *checkout.write_changed(mine, private=True)]

    def _tables(self) -> dict[Path, bytes]:
        """The tables that are the lecturer's to fill in, with their first lines."""
        columns = {"overrides": decisions.COLUMNS, "times": times.COLUMNS, "groups": groups.COLUMNS}
        return {
            self.out / "instructor" / f"{name}.csv": (",".join(of) + "\r\n").encode() for name, of in columns.items()
        }

    def stale(self) -> list[str]:
        """One line for every file of a course that is not what its solutions give.

        Raises:
            FileNotFoundError: if the course was never written.
            ValueError: as for ``write``.
        """
        if not self.secret_file.is_file():
            raise FileNotFoundError(f"there is no course in {self.out} yet; without --check it is made")
        files = self.contents(read_secret(self.secret_file))
        return [
            f"{self.out / name} is not what the solutions give: run 'mechlib release' for the course again"
            for name, content in files.items()
            if checkout.differs(self.out / name, content)
        ]

    def contents(self, secret: bytes) -> dict[str, bytes]:
        """Every file of a course but the secret, by its path in the folder.

        Raises:
            ValueError: if anything that students get gives an answer or the secret away.
        """
        paths = exercises.names(self.solutions)
        solutions = {path.as_posix(): checkout.read_notebook(self.solutions / path) for path in paths}
        given = {name: address.unlinked(exercises.student(notebook, name=name)) for name, notebook in solutions.items()}
        theirs = self._for_students(given, secret)
        if problems := leaks(theirs, secret, solutions.values()):
            raise ValueError("students would get what they must not: " + "; ".join(problems[:5]))
        return {**theirs, **self._for_instructor(solutions)}

    def _for_students(self, given: dict[str, Notebook], secret: bytes) -> dict[str, bytes]:
        common = {name: checkout.dump_notebook(notebook).encode() for name, notebook in given.items()}
        if self.roster is None:
            return {**{f"students/{name}": content for name, content in common.items()}, "students.zip": packed(common)}
        files: dict[str, bytes] = {"students.zip": packed(common)}
        for student in roster.read(self.roster):
            own = {
                name: checkout.dump_notebook(personal.personal(notebook, secret, student.id, name)).encode()
                for name, notebook in given.items()
            }
            files |= {f"students/{student.id}/{name}": content for name, content in own.items()}
            files[f"zips/{student.id}.zip"] = packed(own)
        return files

    def _for_instructor(self, solutions: dict[str, Notebook]) -> dict[str, bytes]:
        texts = {name: checkout.dump_notebook(notebook).encode() for name, notebook in solutions.items()}
        listed = [{"file": name, "questions": questions_in(notebook, name)} for name, notebook in solutions.items()]
        about = {
            "course": self.name,
            "mechlib": mechlib.__version__,
            "per_student": self.roster is not None,
            "notebooks": listed,
            "term": self._term(solutions),
        }
        files = {"course.json": (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode()}
        files |= {f"solutions/{name}": content for name, content in texts.items()}
        files["answers.zip"] = packed(texts)
        files |= {f"nbgrader/{name}": text.encode() for name, text in nbgrader.course(self.name, solutions).items()}
        if self.roster is not None:
            files["roster.csv"] = self.roster.read_bytes()
        return {f"instructor/{name}": content for name, content in files.items()}

    def _term(self, solutions: dict[str, Notebook]) -> dict[str, Any]:
        """The rules that are there, or those that a course begins with.

        Raises:
            ValueError: if those that are there cannot be read.
        """
        file = self.secret_file.with_name("course.json")
        if file.is_file():
            rules.read(file)
            if (term := json.loads(file.read_text(encoding="utf-8")).get("term")) is not None:
                return term
        hands = [Hand(notebook) for notebook in solutions.values()]
        return rules.starting({hand.questions[0].chapter: hand.written for hand in hands if hand.questions})


@dataclass(frozen=True)
class Pinned:
    """What a course was released with."""

    course: str
    version: str
    """Of mechlib."""
    questions: tuple[str, ...]
    """The ids of the questions of all its notebooks."""

    @property
    def another_version(self) -> str:
        """What is to be said where this mechlib is another one; empty where it is the same."""
        if self.version == mechlib.__version__:
            return ""
        return (
            f"{self.course} was released with mechlib {self.version}, and this is {mechlib.__version__}: a check may "
            f"say something else than it said in the notebooks. To grade as they were checked, install {self.version}."
        )


def pinned(secret: Path | None) -> Pinned | None:
    """What the course was released with whose secret this is; ``None`` for a secret of no course."""
    file = secret.with_name("course.json") if secret is not None else None
    if file is None or not file.is_file():
        return None
    about = json.loads(file.read_text(encoding="utf-8"))
    ids = (question["id"] for notebook in about["notebooks"] for question in notebook["questions"])
    return Pinned(about["course"], about["mechlib"], tuple(dict.fromkeys(ids)))


def opened(out: Path) -> Course:
    """The course in the folder ``out``, as it was released, made from its own copy of the solutions.

    Raises:
        FileNotFoundError: if there is no course; the message names those beside it.
    """
    private = out / "instructor"
    if not (private / "course.json").is_file():
        beside = sorted(found.parents[1].name for found in out.parent.glob("*/instructor/course.json"))
        known = f"; beside it are {', '.join(beside)}" if beside else ""
        raise FileNotFoundError(f"there is no course in {out}, as 'mechlib release --course' makes it{known}")
    about = json.loads((private / "course.json").read_text(encoding="utf-8"))
    roster = private / "roster.csv" if about["per_student"] else None
    return Course(about["course"], private / "solutions", out, roster)
