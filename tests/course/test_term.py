"""A dress rehearsal: a term from the first download to the gradebook, whose figures equal a table made by hand."""

import contextlib
import csv
import io
import zipfile
from pathlib import Path

import pytest

from mechlib import cli
from mechlib.checks import registry
from mechlib.grading.bench import Bench
from tests.course import term
from tests.course.term import CHAPTERS, STUDENTS
from tests.course.test_pages import Reader

PLATFORMS = ("canvas", "moodle", "canvas", "moodle")


class Lecturer:
    """Runs commands, and notes what they say and what the tables held at some times."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.home, self.patch = home, patch
        self.private = home / "cs999" / "instructor"
        self.said: dict[str, str] = {}
        self.asked = {chapter: term.questions(chapter, broken=True) for chapter in CHAPTERS}

    def __call__(self, *arguments: object) -> str:
        self.patch.setattr("sys.argv", ["mechlib", *map(str, arguments)])
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code, said.getvalue()
        return said.getvalue()

    def grades(self, c: int) -> Path:
        return self.home / f"grades-{CHAPTERS[c]}"

    def table(self, path: Path) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))

    def grade(self, c: int) -> str:
        given = ["--worksheet", self.home / f"{CHAPTERS[c]}-sheet.csv"] if c % 2 else []
        given += ["--names", ("id", "anonymous", "name", "id")[c], "--roster", self.private / "roster.csv"]
        files = [self.home / f"{CHAPTERS[c]}.zip", "--out", self.grades(c), "--secret", self.private / "secret"]
        return self("grade", *files, *given, "--trust-submissions", "--quiet")

    def mark(self, c: int) -> None:
        """Fill in the written answers: of the first chapter in the file that lies there, as a German Excel saves it."""
        file, separator = self.grades(c) / "written.csv", ";" if c == 0 else ","
        filled = term.filled_in(file.read_text(encoding="utf-8"), separator)
        if c == 0:
            term.write(file, filled, separator)
            self.said[f"marked {c}"] = self("grade", "--out", self.grades(c))
        else:
            term.write(self.home / f"{CHAPTERS[c]}-marks.csv", filled)
            self.said[f"marked {c}"] = self(
                "grade", "--out", self.grades(c), "--written", self.home / f"{CHAPTERS[c]}-marks.csv"
            )


@pytest.fixture(scope="module")
def lecturer(tmp_path_factory):
    """The lecturer at the end of the term. One worker judged everything."""
    home = tmp_path_factory.mktemp("term")
    with pytest.MonkeyPatch.context() as patch:
        close = Bench.close
        patch.setattr(Bench, "close", lambda bench: None)
        one = Lecturer(home, patch)
        patch.setattr(registry, "asked", lambda chapter=None: one.asked[chapter])
        patch.setattr(registry, "find", lambda name: next(q for q in one.asked[name[:4]] if q.id == name))
        (home / "cs999").mkdir()
        term.instructor(one.private)
        for c, chapter in enumerate(CHAPTERS):
            term.download(c, home / f"{chapter}.zip")
            if c % 2:
                term.worksheet(c, home / f"{chapter}-sheet.csv")
            one.said[f"graded {c}"] = one.grade(c)
            one.mark(c)
        term.came_late(one.private)
        term.complaints(one.private)
        one.asked |= {chapter: term.questions(chapter) for chapter in CHAPTERS}
        before = {path: path.read_bytes() for path in one.grades(3).rglob("*") if path.is_file()}
        one.said["asked"] = one("regrade", one.grades(3), "--question", "ch09.total", "--jobs", 1, "--quiet")
        one.untouched = before == {path: path.read_bytes() for path in one.grades(3).rglob("*") if path.is_file()}
        one.said["kept"] = one("regrade", one.grades(3), "--question", "ch09.total", "--jobs", 1, "--quiet", "--write")
        for c in range(4):
            one("grade", "--out", one.grades(c))
            zipped = home / f"back-{c}.zip"
            sheet = ["--worksheet", home / f"{CHAPTERS[c]}-sheet.csv"] if c % 2 else []
            one.said[f"back {c}"] = one("give-back", one.grades(c), "--platform", PLATFORMS[c], "--out", zipped, *sheet)
        one("gradebook", *(one.grades(c) for c in range(4)), "--out", home / "gradebook")
        patch.setattr(Bench, "close", close)
        yield one


def by_hand(i: int) -> list[str]:
    return ["" if (points := term.points(i, c)) is None else f"{points:g}" for c in range(4)]


def test_everybody_has_the_points_that_a_table_made_by_hand_gives(lecturer):
    possible, *found = lecturer.table(lecturer.home / "gradebook" / "gradebook.csv")
    assert [possible[chapter] for chapter in CHAPTERS] == ["9"] * 4 and possible["in all"] == "36"
    assert {row["id"]: [row[chapter] for chapter in CHAPTERS] for row in found} == {
        f"s{i:03}": by_hand(i) for i in STUDENTS
    }
    sums = {f"s{i:03}": sum(float(each or 0) for each in by_hand(i)) for i in STUDENTS}
    assert {row["id"]: float(row["in all"]) for row in found} == pytest.approx(sums)
    assert len({row["in all"] for row in found}) > 30, "a term in which all have the same would show nothing"


def test_canvas_gets_all_four_by_the_numbers_of_the_assignments(lecturer):
    header, possible, *found = csv.reader((lecturer.home / "gradebook" / "canvas.csv").read_text("utf-8").splitlines())
    assert header[5:] == [f"Set {c} ({4000 + c})" for c in range(4)] and possible[5:] == ["9"] * 4
    assert {row[1]: row[5:] for row in found} == {str(1000 + i): by_hand(i) for i in STUDENTS}


@pytest.mark.parametrize("c", [1, 3])
def test_moodle_s_worksheet_is_filled_in_and_else_the_same(lecturer, c):
    given = list(csv.reader((lecturer.home / f"{CHAPTERS[c]}-sheet.csv").read_text("utf-8-sig").splitlines()))
    filled = list(csv.reader(io.StringIO((lecturer.home / f"back-{c}.csv").read_text("utf-8"))))
    assert [row[:4] + row[5:9] for row in given] == [row[:4] + row[5:9] for row in filled]
    assert [row[4] for row in filled[1:]] == [by_hand(i)[c] for i in STUDENTS]
    comments = {i: row[9] for i, row in zip(STUDENTS, filled[1:], strict=True)}
    assert all(f"Read: {term.author(i, c)}." in said for i, said in comments.items() if said and not term.empty(i, c))


@pytest.mark.parametrize("c", range(4))
def test_every_page_goes_back_to_whose_it_is(lecturer, c):
    with zipfile.ZipFile(lecturer.home / f"back-{c}.zip") as archive:
        pages = {name: Reader(archive.read(name).decode()).text for name in archive.namelist()}
    expected = set()
    for i in STUDENTS:
        given, family = term.name(i)
        late = "LATE_" * (term.hours_late(i, c) > 0)
        if c % 2 and term.points(i, c) is not None:
            expected.add((f"{given} {family}_{term.moodle_number(i, c)}_assignfeedback_file_/", by_hand(i)[c]))
        elif c % 2 == 0 and term.hands_in(i, c):
            expected.add((f"{family}{given}".lower() + f"_{late}{1000 + i}_{50000 + 500 * c + i}_", by_hand(i)[c]))
    end = f"feedback-{CHAPTERS[c]}.html"
    assert {name.removesuffix(end) for name in pages} == {name for name, _ in expected} and len(pages) > 90
    assert all(f": {points} of 9 points" in pages[name + end] for name, points in expected)


def test_what_waits_for_a_person_has_no_points_until_then(lecturer):
    marked = [i for i in STUDENTS if term.hands_in(i, 0)]
    assert f"{len(marked)} notebooks are graded" in lecturer.said["graded 0"]
    late = [i for i in marked if term.hours_late(i, 0) > 0]
    assert f"\n{len(late)} have no final points until you mark" in lecturer.said["marked 0"]
    assert not (lecturer.grades(0) / "written-open.csv").read_text().splitlines()[1:]


def test_a_repaired_question_is_asked_alone_and_shown_before_it_is_kept(lecturer):
    handed = [i for i in STUDENTS if term.hands_in(i, 3)]
    # the wrong reference called the right answers wrong, and the one wrong answer that adds 1 right
    gain = sum(2 if term.right(term.author(i, 3), 3)[0] else -2 for i in handed)
    n_pairs = 10
    assert (
        f"ch09.total was asked of {len(handed)} of {len(handed)} submissions: {len(handed)} change"
        in lecturer.said["asked"]
    )
    assert lecturer.untouched and lecturer.said["asked"].endswith("The same command with --write keeps it.\n")
    assert lecturer.said["kept"].splitlines()[:-1] == lecturer.said["asked"].splitlines()[:-1]
    line = next(each for each in lecturer.said["asked"].splitlines() if " 2 -> 0 points" in each)
    assert "right -> " in line and gain and n_pairs


def test_a_decision_is_shown_to_the_student_and_in_the_tables(lecturer):
    rows = {row["student"]: row for row in lecturer.table(lecturer.grades(0) / "grades.csv")}
    given, family = term.name(5)
    row = rows[f"{family}{given}".lower()]
    assert row["ch01.ends"] == "2.5" and row["decided"] == "ch01.ends: 2.5 instead of 3, as we said"
    page = (lecturer.grades(0) / "students" / f"{family}{given}".lower() / "feedback.html").read_text()
    assert "Your instructor gave 2.5 of 3 points instead of 3: as we said" in page
    assert "Decided by you: 1" in (lecturer.grades(0) / "summary.html").read_text()


def test_anonymous_tables_name_nobody(lecturer):
    text = (lecturer.grades(1) / "written.csv").read_text("utf-8")
    assert all(" ".join(term.name(i)) not in text and f"s{i:03}" not in text for i in STUDENTS)
    assert text.count("anon-") == sum(term.hands_in(i, 1) for i in STUDENTS)


def test_one_of_a_group_counts_for_both(lecturer):
    for c in (2, 3):
        rows = [row for row in lecturer.table(lecturer.grades(c) / "grades.csv") if row["group"]]
        assert {row["group"] for row in rows} == {f"Pair {n}" for n in range(10)}
        assert [row["state"] for row in rows].count("counts") == 10 and len(rows) == 10 * (c - 1)
