"""A term of 120 students and four chapters, as it is handed in on Canvas and on Moodle, and what everybody must have.

Who is right, late, absent or in a group follows from a student's number ``i`` and the chapter's ``c`` alone, and so do
the ``points``, which use nothing of the kit.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import mechlib
from mechlib.checks.question import Question
from tests.grading import toys

CHAPTERS = ("ch01", "ch02", "ch06", "ch09")
"""The first and third are on Canvas, the others on Moodle."""
STUDENTS = range(120)
GIVEN = ("Ada", "Bob", "Chloé", "Dmitri", "Eve", "Fatou", "Gül", "Hedy", "Ivo", "Jun", "Kofi", "Lise")
FAMILY = ("Alvarez", "Brandt", "Castro", "Dąbrowa", "Evans", "Faye", "Gupta", "Hahn", "Ito", "Jansen")
ZONE = ZoneInfo("Europe/Berlin")
DEADLINE = datetime.datetime(2026, 11, 3, 23, 59, tzinfo=ZONE)
PER_DAY, MOST, EXTRA_HOURS = 0.1, 0.3, 48
WRITTEN = 4
COMPLAINTS = {(5, 0, "ch01.ends"): 2.5, (8, 1, "ch02.total"): 1, (10, 1, "ch02.refutation"): 3.5}
"""Points that were given after a complaint, by student, chapter and question."""


def name(i: int) -> tuple[str, str]:
    return GIVEN[i % 12], FAMILY[i // 12]


def absent(i: int, c: int) -> bool:
    return (i + 7 * c) % 20 == 19


def partner(i: int, c: int) -> int:
    """With whom ``i`` hands in: the first twenty in pairs, in the third chapter and the fourth."""
    return i ^ 1 if c in (2, 3) and i < 20 else i


def hands_in(i: int, c: int) -> bool:
    """Of a pair, the even one hands in on Canvas, and both the same file on Moodle."""
    if partner(i, c) != i:
        return c == 3 or i % 2 == 0
    return not absent(i, c)


def author(i: int, c: int) -> int:
    """Whose answers the file of ``i`` holds."""
    return min(i, partner(i, c))


def right(i: int, c: int) -> tuple[bool, bool]:
    return (i + c) % 3 != 0, (i + c) % 4 != 0


def hours_late(i: int, c: int) -> float:
    """Hours after the deadline; most are before."""
    return 6 + 20 * (author(i, c) % 5) if (author(i, c) + c) % 10 == 3 else -5


def extra_hours(i: int) -> int:
    return EXTRA_HOURS if i % 13 == 0 else 0


def empty(i: int, c: int) -> bool:
    """Whether the written answer was left as it was given."""
    return (i + c) % 15 == 1


def mark(i: int, c: int) -> float:
    """What a person gives for the written answer."""
    return (3 * i + c) % 9 / 2


def points(i: int, c: int) -> float | None:
    """What ``i`` has in the end; ``None`` where nothing was handed in."""
    if partner(i, c) == i and absent(i, c):
        return None
    who = author(i, c)
    total, ends = right(who, c)
    parts = {"total": 2 * total, "ends": 3 * ends, "refutation": 0 if empty(who, c) else mark(who, c)}
    for (student, chapter, question), given in COMPLAINTS.items():
        if (student, chapter) == (who, c):
            parts[question.partition(".")[2]] = given
    extra = max(extra_hours(i), extra_hours(partner(i, c)))
    days = math.ceil(max(0.0, hours_late(i, c) - extra) / 24)
    return max(0.0, sum(parts.values()) - round(min(MOST, PER_DAY * days) * (2 + 3 + WRITTEN), 2))


def questions(chapter: str, *, broken: bool = False) -> tuple[Question, ...]:
    """The two questions of a chapter; in the last one, the reference of the first is wrong until it is repaired."""

    def wrong(x, factor):
        return (x * factor).sum(-1) + 1

    total = wrong if broken and chapter == "ch09" else toys.total
    return replace(toys.TOTAL, id=f"{chapter}.total", reference=total), replace(toys.ENDS, id=f"{chapter}.ends")


def notebook(i: int, c: int) -> bytes:
    total, ends = right(i, c)
    chapter = CHAPTERS[c]
    cells = [toys.IMPORTS, toys.RIGHT_TOTAL if total else toys.WRONG_TOTAL, f'check("{chapter}.total", total)']
    cells += [toys.RIGHT_ENDS if ends else toys.WRONG_ENDS, f'check("{chapter}.ends", ends)']
    said = "*Write your answer here.*" if empty(i, c) else f"It does not follow, says {i} of {c}."
    return toys.notebook(*cells, texts=[f"<!-- written: refutation -->\n{said}"])


def moodle_number(i: int, c: int) -> int:
    return 70000 + 1000 * c + 7 * i


def download(c: int, path: Path) -> None:
    """What the platform of a chapter gives to download."""
    with zipfile.ZipFile(path, "w") as archive:
        for i in STUDENTS:
            if hands_in(i, c):
                given, family = name(i)
                late = "LATE_" * (hours_late(i, c) > 0)
                canvas = f"{family}{given}".lower() + f"_{late}{1000 + i}_{50000 + 500 * c + i}_{c}_exercises.ipynb"
                moodle = f"{given} {family}_{moodle_number(i, c)}_assignsubmission_file_/{c}_exercises.ipynb"
                archive.writestr(moodle if c % 2 else canvas, notebook(author(i, c), c))


def worksheet(c: int, path: Path) -> None:
    """Moodle's grading worksheet of a chapter."""
    header = ["Identifier", "Full name", "Email address", "Status", "Grade", "Maximum grade", "Grade can be changed"]
    header += ["Last modified (submission)", "Last modified (grade)", "Feedback comments"]
    rows = [header]
    for i in STUDENTS:
        came = (DEADLINE + datetime.timedelta(hours=hours_late(i, c))).strftime("%A, %d %B %Y, %I:%M %p")
        said = came if hands_in(i, c) else "-"
        who = [f"Participant {moodle_number(i, c)}", " ".join(name(i)), f"s{i:03}@x.org"]
        rows.append([*who, "", "", "9.00", "Yes", said, "-", ""])
    write(path, rows)


def write(path: Path, rows: list[list[str]], separator: str = ",") -> None:
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator).writerows(rows)
    path.write_text(buffer.getvalue(), encoding="utf-8-sig")


def instructor(folder: Path) -> None:
    """The lecturer's folder: roster, rules, and tables that grow over the term."""
    folder.mkdir()
    (folder / "secret").write_text("of the rehearsal, and of nothing else")
    roster = [["id", "name", "email", "canvas_id"]]
    roster += [[f"s{i:03}", " ".join(name(i)), f"s{i:03}@x.org", str(1000 + i)] for i in STUDENTS]
    write(folder / "roster.csv", roster, ";")
    chapters = {
        chapter: {"deadline": "2026-11-03 23:59", "written": {"refutation": WRITTEN}, "canvas": f"Set {c} ({4000 + c})"}
        for c, chapter in enumerate(CHAPTERS)
    }
    late = {"per_day": PER_DAY, "most": MOST, "grace_minutes": 10}
    rules = {"zone": "Europe/Berlin", "late": late, "chapters": chapters}
    about = {"course": "cs999", "mechlib": mechlib.__version__, "per_student": False, "notebooks": [], "term": rules}
    (folder / "course.json").write_text(json.dumps(about))
    times = [["student", "chapter", "extra", "handed_in", "reason"]]
    times += [[f"s{i:03}", "", str(extra_hours(i)), "", "by the office"] for i in STUDENTS if extra_hours(i)]
    write(folder / "times.csv", times)
    groups = [["group", "student", "chapter"]]
    groups += [[f"Pair {i // 2}", f"s{i:03}", CHAPTERS[c]] for c in (2, 3) for i in STUDENTS if partner(i, c) != i]
    write(folder / "groups.csv", groups)


def came_late(folder: Path) -> None:
    """The lecturer looks up in Canvas when those came whom it marks as late."""
    with (folder / "times.csv").open("a", newline="", encoding="utf-8") as file:
        for c in (0, 2):
            for i in STUDENTS:
                if hands_in(i, c) and hours_late(i, c) > 0:
                    came = DEADLINE + datetime.timedelta(hours=hours_late(i, c))
                    csv.writer(file).writerow([f"s{i:03}", CHAPTERS[c], "", f"{came:%Y-%m-%d %H:%M}", "seen in Canvas"])


def complaints(folder: Path) -> None:
    """The lecturer decides on complaints."""
    rows = [["student", "question", "points", "reason"]]
    rows += [[f"s{i:03}", question, f"{given:g}", "as we said"] for (i, _, question), given in COMPLAINTS.items()]
    write(folder / "overrides.csv", rows)


def filled_in(table: str, separator: str = ",") -> list[list[str]]:
    """``written.csv`` with the marks of somebody who reads the texts alone."""
    header, *found = csv.reader(io.StringIO(table))
    for row in found:
        if text := row[header.index("text")]:
            i, c = (int(word.rstrip(".")) for word in text.split() if word[0].isdigit())
            row[header.index("points")] = f"{mark(i, c):g}".replace(".", "," if separator == ";" else ".")
            row[header.index("comment")] = f"Read: {i}."
    return [header, *found]
