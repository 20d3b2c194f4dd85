"""Zips and worksheets are laid out as the platforms read them, and a graded folder loses nothing of the lecturer's."""

import csv
import datetime
import io
import json
import os
import re
import zipfile
from dataclasses import replace

import pytest

from mechlib.course import graded, layouts, reports, rules, worksheet
from mechlib.course.giving_back import exercises_zip, feedback_zip
from mechlib.course.graded import Graded, Run
from mechlib.course.layouts import addresses, laid_out
from mechlib.course.matching import matches
from mechlib.course.roster import Student
from mechlib.course.settling import Term, settle
from mechlib.grading.results import WrittenAnswer
from tests.course.conftest import question, submission

CLASS = (Student("ada", "Ada Lovelace"), Student("bob", "Bob Byron"), Student("eve", "Eve Kiss"))
HEADER = "Identifier,Full name,Email address,Grade,Maximum grade,Grade can be changed,"
HEADER += "Last modified (submission),Last modified (grade),Feedback comments"
ROWS = (
    'Participant 71,Ada Lovelace,ada@x.org,,{most},Yes,"Tuesday, 3 November 2026, 11:05 PM",-,',
    'Participant 72,Bob Byron,bob@x.org,1.00,{most},No,"Wednesday, 4 November 2026, 12:00 AM",-,old',
    "Participant 73,Eve Kiss,eve@x.org,,{most},Yes,-,-,",
)


def canvas_reads(name: str) -> tuple[str, str] | None:
    """The numbers of user and upload as Canvas infers them: the first two parts that are numbers."""
    found = [part for part in name.split("_") if re.fullmatch(r"\d+", part)][:2]
    return (found[0], found[1]) if len(found) == 2 else None


def moodle_reads(name: str) -> tuple[str, str, str] | None:
    """Participant, plugin and the rest of a path as Moodle's importer takes them apart."""
    parts = name.split("/")
    while parts:
        info = parts.pop(0).split("_", 4)
        if len(info) >= 4 and info[1].isdigit():
            return info[1], f"{info[2]}_{info[3]}", "/".join([*info[4:], *parts]).lstrip("/")
    return None


def handed(student, source, number="", platform=""):
    return replace(submission(student), source=source, number=number, platform=platform)


@pytest.fixture
def sheet(tmp_path):
    def made(most="4.00", rows=ROWS):
        path = tmp_path / "sheet.csv"
        path.write_text("\n".join([HEADER, *rows]).format(most=most) + "\n", encoding="utf-8-sig")
        return path

    return made


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("lovelaceada_101_9001_02_logit_lens.ipynb", ("101", "9001")),
        ("lovelaceada_LATE_101_9001_02_logit_lens-1.ipynb", ("101", "9001")),
        ("section 1/lovelaceada_101_9001_2024_hw_7_8.ipynb", ("101", "9001")),
    ],
)
def test_canvas_finds_the_student_and_the_file_in_the_name(source, numbers):
    (address,) = addresses(matches([handed("lovelaceada", source, "101", "canvas")], ()), "canvas")
    content, missed = laid_out([address], {address.student: {"feedback-ch02.html": b"x"}})
    (name,) = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert canvas_reads(name) == numbers and name.endswith("_feedback-ch02.html") and missed == []


@pytest.mark.parametrize(
    "source", ["Ada Lovelace_71_assignsubmission_file_/a/b.ipynb", "x/Ada_71_assignsubmission_onlinetext_/a"]
)
def test_moodle_finds_the_participant_and_a_place_for_feedback(source):
    (address,) = addresses(matches([handed("Ada", source, "71", "moodle")], ()), "moodle")
    content, _ = laid_out([address], {address.student: {"feedback-ch02.html": b"x"}})
    (name,) = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert moodle_reads(name) == ("71", "assignfeedback_file", "feedback-ch02.html")


def test_an_underscore_in_a_name_does_not_lead_moodle_astray():
    (address,) = layouts.participants({"71": "Ada_9 Love/lace"}, {"71": "ada"})
    assert moodle_reads(f"{address.before}f.html") == ("71", "assignfeedback_file", "f.html")


def test_brightspace_s_folders_keep_their_names():
    folder = "32-678910 - Ada Lovelace - Nov 3, 2026 1105 AM"
    found = matches([handed("Ada Lovelace", f"{folder}/lens.ipynb", "32", "brightspace")], CLASS)
    (address,) = addresses(found, "brightspace")
    assert (address.student, address.before) == ("ada", f"{folder}/")


def test_files_of_no_platform_reach_nobody_and_that_is_said():
    with pytest.raises(ValueError, match="no file was named by this platform"):
        laid_out(addresses(matches([submission("ada")], CLASS), "canvas"), {"ada": {"f": b""}})


def test_a_student_s_own_name_of_a_file_leads_a_page_to_nobody_else():
    theirs = handed("eve", "eve/lovelaceada_101_9001_x.ipynb")
    assert addresses(matches([theirs], CLASS), "canvas") == []
    named = handed("eve", "eve/32-678910 - Ada Lovelace - Nov 3, 2026 1105 AM/x.ipynb")
    assert addresses(matches([named], CLASS), "brightspace") == []


def test_three_hundred_pages_and_three_hundred_zips_each_to_its_own(tmp_path):
    students = tuple(Student(f"s{i}", f"Name N{i}", canvas_id=str(1000 + i)) for i in range(300))
    grades = {
        f"students/{i}": handed(f"namen{i}", f"namen{i}_{1000 + i}_{9000 + i}_x.ipynb", str(1000 + i), "canvas")
        for i in range(300)
    }
    content, filled, notes = feedback_zip(Graded(tmp_path, Run(), grades), Term(students), "canvas")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = {canvas_reads(name): archive.read(name).decode() for name in archive.namelist()}
    assert set(found) == {(str(1000 + i), str(9000 + i)) for i in range(300)} and filled is None and notes == []
    assert all(f"namen{int(user) - 1000}," in page for (user, _), page in found.items())

    course = tmp_path / "cs999"
    (course / "zips").mkdir(parents=True), (course / "instructor").mkdir()
    listed = "\n".join(f"s{i},Name N{i},s{i}@x.org" for i in range(300))
    (course / "instructor" / "roster.csv").write_text(f"id,name,email\n{listed}\n")
    for i in range(300):
        (course / "zips" / f"s{i}.zip").write_bytes(f"of {i}".encode())
    rows = [f"Participant {70 + i},Name N{i},s{i}@x.org,,9,Yes,-,-," for i in range(299)]
    (tmp_path / "sheet.csv").write_text("\n".join([HEADER, *rows]))
    content, notes = exercises_zip(course, "moodle", tmp_path / "sheet.csv")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = {moodle_reads(name): archive.read(name) for name in archive.namelist()}
    assert found == {(str(70 + i), "assignfeedback_file", f"cs999-s{i}.zip"): f"of {i}".encode() for i in range(299)}
    assert notes == ["Not in the zip, since nothing tells where moodle would put it: s299."]


def test_exercises_reach_canvas_by_what_was_handed_in(tmp_path):
    course = tmp_path / "cs999"
    (course / "zips").mkdir(parents=True), (course / "instructor").mkdir(), (tmp_path / "first").mkdir()
    (course / "instructor" / "roster.csv").write_text("id,name,canvas_id\nada,Ada Lovelace,101\n")
    (course / "zips" / "ada.zip").write_bytes(b"hers")
    (tmp_path / "first" / "lovelaceada_101_9001_here.txt").write_text("I am here.")
    content, _ = exercises_zip(course, "canvas", submissions=tmp_path / "first")
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["lovelaceada_101_9001_cs999-ada.zip"]
    with pytest.raises(ValueError, match="who is who on canvas"):
        exercises_zip(course, "canvas")
    with pytest.raises(FileNotFoundError, match="--per-student"):
        exercises_zip(tmp_path, "canvas", submissions=tmp_path / "first")


def test_a_page_of_a_group_goes_to_who_handed_in_and_by_a_worksheet_to_all(tmp_path, sheet):
    (tmp_path / "groups.csv").write_text("group,student\nPair,ada\nPair,eve\n")
    known = Term.read(CLASS, groups_=[tmp_path / "groups.csv"])
    source = "Ada Lovelace_71_assignsubmission_file_/x.ipynb"
    done = Graded(tmp_path, Run(), {"students/ada": handed("Ada Lovelace", source, "71", "moodle")})
    content, _, notes = feedback_zip(done, known, "moodle")
    assert [moodle_reads(name)[0] for name in zipfile.ZipFile(io.BytesIO(content)).namelist()] == ["71"] and not notes
    numbered = replace(known, students=worksheet.read(sheet()).numbered(CLASS))
    content, filled, notes = feedback_zip(done, numbered, "moodle", str(sheet()))
    assert [moodle_reads(n)[0] for n in zipfile.ZipFile(io.BytesIO(content)).namelist()] == ["71", "73"] and not notes
    assert [row["Grade"] for row in csv.DictReader(io.StringIO(filled))] == ["2", "1.00", "2"]


def test_a_worksheet_tells_when_everybody_handed_in_and_their_numbers(sheet):
    read = worksheet.read(sheet())
    zone = datetime.UTC
    assert read.handed_in(zone) == {
        "71": datetime.datetime(2026, 11, 3, 23, 5, tzinfo=zone),
        "72": datetime.datetime(2026, 11, 4, 0, 0, tzinfo=zone),
    }
    assert [s.moodle_id for s in read.numbered((*CLASS, Student("zoe", "Zoe")))] == ["71", "72", "73", ""]


def test_a_worksheet_is_filled_in_where_it_may_be_and_else_stays(sheet):
    ada = replace(submission("ada"), written=(WrittenAnswer("refutation", "x", 0, None, "<b>&"),))
    waiting = replace(submission("eve"), waiting=("The time is not known.",))
    text, notes = worksheet.read(sheet()).filled({"71": ada, "72": submission("bob"), "73": waiting, "99": ada})
    before, after = (list(csv.reader(io.StringIO(t))) for t in (sheet().read_text("utf-8-sig"), text))
    assert after[1][3] == "2" and after[1][8].endswith("refutation: &lt;b&gt;&amp;")
    assert [*after[1][:3], *after[1][4:8]] == [*before[1][:3], *before[1][4:8]] and after[2:] == before[2:]
    assert notes == [
        "1 grades may not be changed in Moodle, and are left.",
        "The worksheet does not have the participants 99.",
    ]


def test_another_most_of_the_assignment_puts_grades_in_proportion_and_says_so(sheet):
    text, notes = worksheet.read(sheet("100.00")).filled({"71": submission("ada")})
    assert next(csv.DictReader(io.StringIO(text)))["Grade"] == "50"
    assert notes == ["The assignment has 100 points and the chapter 4: grades are in proportion."]


def test_a_worksheet_in_another_language_is_refused_with_the_way_to_get_it(tmp_path):
    (tmp_path / "sheet.csv").write_text("ID,Vollständiger Name,Bewertung\nTeilnehmer/in 71,Ada,\n")
    with pytest.raises(ValueError, match=r"no column 'Identifier'.*English as your language"):
        worksheet.read(tmp_path / "sheet.csv")


def test_what_the_lecturer_changed_of_the_generated_files_is_kept(tmp_path):
    grades = {"students/ada": submission("ada", written=("x",))}
    reports.write_class(grades, tmp_path)
    for name in ("grades.csv", "students/ada/feedback.html"):
        (tmp_path / name).write_text("mine")
    kept = graded.keep_theirs(tmp_path)
    reports.write_class(grades, tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in kept} == {
        "grades.yours.csv",
        "students/ada/feedback.yours.html",
    }
    assert all(path.read_text() == "mine" for path in kept) and (tmp_path / "grades.csv").read_text() != "mine"
    (tmp_path / "grades.csv").write_text("again")
    assert [path.name for path in reports.clear(tmp_path)] == ["grades.yours-2.csv"]
    assert (tmp_path / "grades.yours.csv").read_text() == "mine"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_table_that_was_filled_in_is_never_written_over(tmp_path, recorded):
    grades = {f"students/{name}": submission(name, written=(f"by {name}",)) for name in ("ada", "bob")}
    reports.write_class(grades, tmp_path)
    path = tmp_path / "written.csv"
    filled = path.read_text().replace("ada,ch02,refutation,,", "ada,ch02,refutation,3,well")
    path.write_text(filled)
    if not recorded:
        (tmp_path / "files.json").unlink()
    assert graded.theirs(tmp_path)
    reports.clear(tmp_path)
    settled = settle(list(grades.values()), Term.read(written=[path]))
    reports.write_class(dict(zip(grades, settled.grades, strict=True)), tmp_path)
    assert path.read_text() == filled
    left = list(csv.DictReader(io.StringIO((tmp_path / "written-open.csv").read_text())))
    assert [row["student"] for row in left] == ["bob"]


def test_a_graded_class_is_read_back_and_damage_is_named(tmp_path):
    done = Graded(tmp_path, Run(submissions="/x", written=("/a",)), {"students/ada": submission("ada", written=("x",))})
    done.write()
    assert graded.opened(tmp_path) == done
    if os.name != "nt":
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    (tmp_path / "class.jsonl").write_text("{")
    with pytest.raises(ValueError, match="line 1 is damaged"):
        graded.opened(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no graded class in .* as 'mechlib grade --out'"):
        graded.opened(tmp_path / "nowhere")
    (tmp_path / "state.jsonl").write_text("{}")
    reports.clear(tmp_path)
    with pytest.raises(FileNotFoundError, match="the run was stopped, and the same command with --resume goes on"):
        graded.opened(tmp_path)
    assert graded.last_run(tmp_path) == done.run


@pytest.mark.parametrize(
    ("term", "complaint"),
    [
        ({"late": {"perday": 1}}, "has no rule 'perday'; did you mean 'per_day'?"),
        ({"late": {"per_day": 10}}, "term.late.per_day is 10; it must be a number from 0 to 1"),
        ({"late": {"by_files": "yes"}}, "it must be true or false"),
        ({"zone": "Mars"}, 'term.zone is "Mars"; it must be a name such as'),
        ({"chapters": {"ch02": {"deadline": "3.11.2026"}}}, "'3.11.2026' is no time"),
        ({"chapters": {"ch02": {"deadline": "2026-11-03"}}}, "with the hour"),
        ({"chapters": {"ch02": {"written": {"refutation": "four"}}}}, "it must be a number from 0 on"),
        ({"chapters": {"ch02": {"written": {"refutation": float("inf")}}}}, "it must be a number from 0 on"),
        ({"late": {"grace_minutes": float("nan")}}, "it must be a number from 0 on"),
        ({"chapters": {"ch02": {"canvas": "Logit lens"}}}, "'Logit lens (4711)'"),
        ({"chapters": []}, "it must be an object"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_what_would_be(tmp_path, term, complaint):
    path = tmp_path / "course.json"
    path.write_text(json.dumps({"term": term}))
    with pytest.raises(ValueError, match=r"course\.json") as error:
        rules.read(path)
    assert complaint in str(error.value)


def test_the_rules_that_a_course_begins_with_can_be_read_and_cost_nothing(tmp_path):
    path = tmp_path / "course.json"
    path.write_text(json.dumps({"term": rules.starting({"ch02": ["refutation"]})}))
    read = rules.read(path)
    assert read.most("ch02", "refutation") == 4 and read.late.share(99) == 0 and read.of("ch02").deadline is None
    assert read.column("canvas", "ch02") == "ch02"
    path.write_text('{"term": {},}')
    with pytest.raises(ValueError, match="is no JSON"):
        rules.read(path)


def test_a_chapter_that_is_graded_twice_is_in_no_gradebook(tmp_path):
    from mechlib.course.gradebook import gradebook

    done = [Graded(tmp_path / name, Run(), {"students/ada": submission("ada", question("a"))}) for name in "ab"]
    with pytest.raises(ValueError, match=r"ch02 is in .*a, .*b: name one of them"):
        gradebook(done, tmp_path / "term")
