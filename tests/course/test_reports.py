"""The reports of a graded class: feedback, Gradescope's results, tables, summary."""

import contextlib
import json
import math
import statistics
from dataclasses import replace

import pytest

from mechlib.course import marks, reports, spreadsheet, tables
from mechlib.course.feedback import STATES, feedback, gradescope_results
from mechlib.course.roster import Student
from mechlib.course.summary import misconceptions, summary
from mechlib.course.tables import Book
from tests.course.conftest import question, rows, submission
from tests.course.test_pages import NASTY, Reader

ADA, BOB, EVE = Student("ada", "Ada", "ada@x.org", "101"), Student("bob", "Bob", canvas_id="102"), Student("eve")


@pytest.fixture
def graded():
    """Four submissions of three students, by folder."""
    mistaken = question("read_out", "misconception", misconception="no_norm")
    return {
        "students/ada": submission("ada", number="101"),
        "students/ada~2": submission("ada", number="101", superseded=True),
        "students/bob": submission("Robert", mistaken, question("target_rank", "timeout"), number="102"),
        "students/x": submission(NASTY, mistaken, question("target_rank"), problems=(NASTY,), needs_human=True),
    }


def test_feedback_shows_every_status_and_message_as_text():
    questions = [question(f"q{i}", status, message=f"{NASTY}{i}") for i, status in enumerate(STATES)]
    grade = submission(NASTY, *questions, problems=(NASTY,), written=(NASTY,), superseded=True)
    read = Reader(feedback(grade))
    assert not {"script", "img"} & set(read.tags)
    assert all(f"{NASTY}{i}" in read.text for i in range(len(STATES)))
    assert all(words in read.text for words in STATES.values())
    assert "A later submission counts" in read.text and f"2 of {2 * len(STATES)} points" in read.text


def test_gradescope_s_format_has_a_test_for_every_question():
    grade = submission("ada", question("read_out"), question("target_rank", "wrong", message="a\x1b[31mb"))
    results = json.loads(gradescope_results(grade))
    assert results["score"] == 2 == sum(test["score"] for test in results["tests"])
    assert [test["max_score"] for test in results["tests"]] == [2, 2]
    assert [test["status"] for test in results["tests"]] == ["passed", "failed"]
    assert results["tests"][1]["output"] == "a\ufffd[31mb"
    assert {test["output_format"] for test in results["tests"]} == {results["output_format"]} == {"text"}


def test_grades_list_every_submission_and_who_handed_nothing_in(graded):
    header, *found = rows(tables.grades(list(graded.values()), [ADA, BOB, EVE]))
    assert header[:7] == ["student", "number", "file", "chapter", "state", "score", "points"]
    assert header[7:] == ["ch02.read_out", "ch02.target_rank", "look at it", "id"]
    assert [row[4] for row in found] == ["counts", "superseded", "counts", "counts", "not handed in"]
    assert [row[5] for row in found] == ["2", "2", "0", "2", ""]
    assert found[-1][0] == "eve" and {len(row) for row in found} == {len(header)}


def test_canvas_gets_one_row_for_a_student_with_the_submission_that_counts(graded):
    header, possible, *found = rows(tables.canvas(Book.of(list(graded.values()), [ADA, BOB, EVE])))
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "ch02"]
    assert possible == ["    Points Possible", "", "", "", "", "4"]
    by_id = {row[2]: row for row in found}
    assert by_id["ada"][1] == "101" and by_id["ada"][5] == "2"
    assert by_id["bob"][0] == "Bob" and by_id["bob"][5] == "0"
    assert by_id["eve"][5] == ""
    assert len(found) == 4


def test_moodle_gets_grades_and_feedback(graded):
    header, *found = rows(tables.moodle(Book.of(list(graded.values()), [ADA, EVE])))
    assert header == ["ID number", "Full name", "Email address", "ch02", "Feedback: ch02"]
    assert found[0] == ["ada", "Ada", "ada@x.org", "2", "Title of read_out: 2 of 2; Title of target_rank: 0 of 2"]
    assert found[1][3:] == ["", "not handed in"]


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "＝1+1", "＠SUM(A1)"])
def test_no_spreadsheet_computes_what_a_student_wrote(cell):
    (_, row) = rows(tables.grades([submission(cell)]))
    assert row[0] == f"'{cell}"


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("x;=1+1", "x;'=1+1"),
        ('x; "=1+1', "x; \"'=1+1"),
        ("x\n=1+1", "x\n'=1+1"),
        ("- one\n- two", "'- one\n'- two"),
        ("\t=1", "\t'=1"),
        ("  =1", "  '=1"),
        ("a = b; c", "a = b; c"),
        ("1; 2", "1; 2"),
        ("-1.5", "-1.5"),
    ],
)
def test_nor_what_begins_a_cell_where_other_separators_hold(cell, safe):
    """A spreadsheet that expects semicolons, as Excel does in much of Europe, ends a cell at each of them."""
    assert spreadsheet.guarded(cell) == safe and spreadsheet.unguarded(safe) == cell
    assert spreadsheet.unguarded(spreadsheet.guarded(safe)) == safe


def test_no_sign_of_an_answer_is_a_number_to_a_spreadsheet():
    """Of 500 texts, some have a digest that is one, such as 1234e5678901."""
    signs = [marks.sign(f"an answer, {number}") for number in range(500)]
    assert any(number(sign[1:]) for sign in signs) and not any(number(sign) for sign in signs)
    assert len(set(signs)) == 500


def number(text):
    with contextlib.suppress(ValueError):
        return math.isfinite(float(text)) or True
    return False


def test_a_name_over_several_lines_stays_in_one_row():
    header, row = rows(tables.grades([submission("a\r\nb,c\nd")]))
    assert row[0] == "a\ufffd\nb,c\nd" and len(row) == len(header)


def test_written_answers_of_what_counts_are_collected_for_a_person():
    late = submission("ada", written=("later",))
    early = submission("ada", written=("earlier",), superseded=True)
    header, *found = rows(tables.written([early, late, submission("bob", written=("=1+1\nline",)), submission("eve")]))
    assert header == ["student", "chapter", "question", "points", "comment", "answer", "file", "text"]
    assert [row[7] for row in found] == ["later", "'=1+1\nline"]
    assert [row[:5] for row in found] == [[name, "ch02", "refutation", "", ""] for name in ("ada", "bob")]


def test_a_negative_number_stays_a_number():
    (_, row) = rows(tables.grades([submission("ada", question("read_out", score=-1))]))
    assert row[5] == "-1"


def test_the_summary_counts_what_counts(graded):
    text = Reader(summary(graded, [ADA, BOB, EVE])).text
    scores = [2, 0, 2]
    assert "3 submissions that count" in text
    assert f"mean {statistics.fmean(scores):.1f}, median {statistics.median(scores):g} of 4 points" in text
    assert "To be looked at: 1" in text and "Nothing handed in: 1" in text
    assert "superseded by a later one" in text


def test_what_a_later_submission_replaces_asks_for_nothing():
    early = replace(submission("ada", superseded=True), ungraded="superseded")
    text = feedback(early)
    assert "A later submission counts instead of this one." in text
    assert "Ask your instructor" not in text and "Your answers" not in text
    row = rows(tables.grades([early]))[1]
    assert row[4:6] == ["superseded", ""] and not any(row[7:])


def test_misconceptions_are_counted_the_commonest_first():
    def of(name, *found):
        return submission(name, *(question(q, "misconception", misconception=m) for q, m in found))

    grades = [of("a", ("x", "m"), ("y", "n")), of("b", ("y", "n")), of("c", ("x", "k"))]
    assert misconceptions(grades) == [("ch02.y", "n", 2), ("ch02.x", "k", 1), ("ch02.x", "m", 1)]


def test_the_summary_links_to_every_feedback_page_and_escapes(graded):
    read = Reader(summary({**graded, 'students/"><script>': submission("z")}))
    links = {value for name, value in read.attributes if name == "href"}
    assert {f"{folder}/feedback.html" for folder in graded} < links
    assert not {"script", "img"} & set(read.tags)


def test_a_class_without_any_readable_submission_has_a_summary():
    none = submission("a", problems=("The file is not a notebook.",), needs_human=True)
    empty = type(none)(**{**vars(none), "questions": (), "chapter": ""})
    assert "To be looked at: 1" in summary({"students/a": empty})
    assert rows(tables.canvas(Book.of([empty])))[0][5:] == []


def test_files_are_written_for_each_and_for_the_class_and_again_the_same(graded, tmp_path):
    for folder, grade in graded.items():
        reports.write(grade, tmp_path / folder)
    reports.write_class(graded, tmp_path, [ADA])
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    each = {f"{folder}/{name}" for folder in graded for name in ("results.json", "feedback.html")}
    assert set(found) == each | {"grades.csv", "canvas.csv", "moodle.csv", "written.csv", "summary.html", "files.json"}
    assert reports.write_class(graded, tmp_path, [ADA]) == []


def test_what_an_earlier_run_wrote_is_removed_and_nothing_else(graded, tmp_path):
    for folder, grade in graded.items():
        reports.write(grade, tmp_path / folder)
    reports.write_class(graded, tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    for kept in ("students/ada/remarks.txt", "students/list.txt", "outside/results.json", "state.jsonl", "notes.md"):
        (tmp_path / kept).write_text("mine")
    (tmp_path / "students" / "link").symlink_to(outside)
    reports.clear(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"students/ada/remarks.txt", "students/list.txt", "outside/results.json", "state.jsonl", "notes.md"}
    assert sorted(path.name for path in (tmp_path / "students").iterdir()) == ["ada", "link", "list.txt"]
    reports.clear(tmp_path / "nowhere")
