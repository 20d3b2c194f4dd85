"""Points go to the student whose they are, or to nobody until a person decides."""

import json
from dataclasses import replace

import pytest

from mechlib.course import tables
from mechlib.course.feedback import feedback, gradescope_results
from mechlib.course.matching import matches
from mechlib.course.roster import Student
from mechlib.course.summary import summary
from mechlib.course.tables import Book
from mechlib.grading import collect
from tests.course.conftest import question, rows, submission
from tests.course.test_pages import Reader

ADA = Student("1", "Ada Lovelace", "ada@x.org", canvas_id="3", login="lovelace", moodle_id="2", brightspace_id="31")
BOB = Student("2", "Bob Byron", "bob@x.org", canvas_id="1", login="byron", moodle_id="3", brightspace_id="32")
EVE = Student("3", "Éva O'Neill-Kiss", "eve@x.org", canvas_id="2", login="eva", moodle_id="1", brightspace_id="33")
CLASS = (ADA, BOB, EVE)
"""The numbers of each are, in other columns, those of the others."""

CANVAS, MOODLE = "{}_{}_{}_lens.ipynb", "{}_{}_assignsubmission_file_/lens.ipynb"
BRIGHTSPACE = "{}-678910 - {} - Nov 3, 2026 1105 AM/lens.ipynb"


def handed_in(folder, *names):
    """Grades of these files, with the points 2 of 4 each, as ``collect`` reads their names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    about = ("student", "source", "number", "superseded", "tied", "platform", "late")
    return [replace(submission(""), **{name: getattr(s, name) for name in about}) for s in collect(folder)]


def ids(grades, students):
    return {match.grade.source: match.student and match.student.id for match in matches(grades, students)}


def reasons(grades, students):
    return [match.why for match in matches(grades, students)]


@pytest.mark.parametrize(
    "students", [CLASS, [replace(s, canvas_id="", moodle_id="", brightspace_id="") for s in CLASS]]
)
@pytest.mark.parametrize(
    "names",
    [
        (MOODLE.format("Ada Lovelace", 2), MOODLE.format("Bob Byron", 3), MOODLE.format("Éva O'Neill-Kiss", 1)),
        (CANVAS.format("lovelaceada", 3, 90), CANVAS.format("byronbob", 1, 91), CANVAS.format("oneillkisséva", 2, 92)),
        (
            BRIGHTSPACE.format(31, "Ada Lovelace"),
            BRIGHTSPACE.format(32, "Bob Byron"),
            BRIGHTSPACE.format(33, "Éva O'Neill-Kiss"),
        ),
        ("1.ipynb", "2.ipynb", "3.ipynb"),
        ("lovelace.ipynb", "bob@x.org.ipynb", "O'Neill-Kiss, Éva.ipynb"),
        ("1/lens.ipynb", "2/lens.ipynb", "Eva/lens.ipynb"),
    ],
)
def test_a_number_is_looked_up_in_its_own_column_only(names, students, tmp_path):
    grades = handed_in(tmp_path, *names)
    assert ids(grades, students) == dict(zip(names, "123", strict=True))
    for table, column in ((tables.canvas, 2), (tables.moodle, 0)):
        found = [row for row in rows(table(Book.of(grades, students))) if row[column] in set("123")]
        assert [row[{2: 5, 0: 3}[column]] for row in found] == ["2"] * 3
    assert tables.missing(grades, students) == []


def test_moodle_s_number_is_nobody_s_id(tmp_path):
    """The roster of the review: no number but ids, and a name that it does not know."""
    students = [Student("1", "Ada Lovelace"), Student("2", "Bob Byron")]
    grades = handed_in(tmp_path, MOODLE.format("Zoe New", 2), MOODLE.format("Ada Lovelace", 7))
    assert list(ids(grades, students).values()) == ["1", None]
    by_id = {row[0]: row for row in rows(tables.moodle(Book.of(grades, students)))[1:]}
    assert by_id["2"][3:] == ["", "not handed in"] and by_id["1"][3] == "2"
    assert by_id[""][1] == "Zoe New"
    canvas = {row[0]: row for row in rows(tables.canvas(Book.of(grades, students)))[2:]}
    assert canvas["Zoe New"][1:5] == ["", "", "", ""]  # Moodle's number is none of Canvas's


@pytest.mark.parametrize(
    ("name", "possible", "why"),
    [
        (
            MOODLE.format("Ada Lovelace", 3),
            "12",
            "The name is that of Ada Lovelace (1), the number 3 that of Bob Byron (2).",
        ),
        (CANVAS.format("lovelaceada", 1, 90), "12", "The name is that of Ada Lovelace (1), the number 1 that of Bob"),
        (
            BRIGHTSPACE.format(32, "Ada Lovelace"),
            "12",
            "The name is that of Ada Lovelace (1), the number 32 that of Bob",
        ),
        (MOODLE.format("Ada Lovelace", 99), "1", "The name is that of Ada Lovelace (1), whose number is 2, not 99."),
        (
            MOODLE.format("Somebody New", 3),
            "2",
            "The roster gives the number 3 to Bob Byron (2), and the name is another.",
        ),
    ],
)
def test_a_name_and_a_number_that_disagree_are_left_to_a_person(name, possible, why, tmp_path):
    (grade,) = grades = handed_in(tmp_path, name)
    assert reasons(grades, CLASS)[0].startswith(why)
    header, row, *_ = rows(tables.grades(grades, CLASS))
    assert (row[4], row[header.index("look at it")]) == ("undecided", "yes")
    assert row[header.index("why")].startswith(why)
    for table, column in ((tables.canvas, 5), (tables.moodle, 3), (tables.brightspace, 2)):
        found = [row for row in rows(table(Book.of(grades, CLASS)))[1:] if set(row[:3]) & set("123")]
        assert [row[column] for row in found] == ["", "", ""], table
    absent = [student.id for student in CLASS if student.id not in possible]
    assert [student.id for student in tables.missing(grades, CLASS)] == absent
    said = {row[0]: row[4] for row in rows(tables.moodle(Book.of(grades, CLASS)))[1:]}
    assert {id for id, line in said.items() if line == "a person has yet to decide what counts"} == set(possible)
    page = Reader(summary({"students/x": grade}, CLASS)).text
    assert "To be decided: 1" in page and why in page


def test_a_number_that_stays_decides_where_the_roster_knows_the_name_not(tmp_path):
    """Canvas numbers its users once; a student may have changed their name."""
    assert list(ids(handed_in(tmp_path, CANVAS.format("somebodyelse", 3, 90)), CLASS).values()) == ["1"]


def test_the_anonymous_are_found_by_their_number_alone(tmp_path):
    names = (MOODLE.format("Participant", 2), MOODLE.format("Participant", 3), MOODLE.format("Participant", 99))
    assert list(ids(handed_in(tmp_path, *names), CLASS).values()) == ["1", "2", None]
    names = (MOODLE.format("Teilnehmerin", 2), MOODLE.format("Teilnehmerin", 3))
    assert list(ids(handed_in(tmp_path / "german", *names), CLASS).values()) == ["1", "2"]


def test_canvas_s_random_signs_and_gradescope_s_folders_are_nobody_s_number(tmp_path):
    names = ("anon_3_12399_a.ipynb", "anon_1_12398_a.ipynb")
    assert list(ids(handed_in(tmp_path / "canvas", *names), CLASS).values()) == [None, None]
    names = ("submission_3/a.ipynb", "submission_1/a.ipynb")
    assert list(ids(handed_in(tmp_path / "gradescope", *names), CLASS).values()) == [None, None]


def test_gradescope_s_sid_is_the_id(tmp_path):
    names = ("submission_31/a.ipynb", "submission_32/a.ipynb", "submission_metadata.yml")
    folder = tmp_path / "class"
    handed_in(folder, *names)
    (folder / names[2]).write_text(
        "submission_31:\n  :submitters:\n  - :name: A. L.\n    :sid: '1'\n"
        "submission_32:\n  :submitters:\n  - :name: B. B.\n    :sid: '2'\n"
    )
    grades = [replace(submission(s.student, number=s.number), platform=s.platform) for s in collect(folder)]
    assert list(ids(grades, CLASS).values()) == ["1", "2"]


def test_gradescope_s_two_of_one_name_without_a_number_are_left_to_a_person(tmp_path):
    names = ("submission_31/a.ipynb", "submission_32/a.ipynb", "submission_metadata.yml")
    handed_in(tmp_path, *names)
    entries = (f"submission_{number}:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid:\n" for number in (31, 32))
    (tmp_path / names[2]).write_text("".join(entries))
    grades = [replace(submission(s.student, number=s.number), platform=s.platform) for s in collect(tmp_path)]
    assert [match.undecided for match in matches(grades, CLASS)] == [True, True]
    assert tables.missing(grades, CLASS) == [BOB, EVE]


TWINS = (Student("j1", "Jane Doe", canvas_id="101", moodle_id="5"), Student("j2", "Jane Doe", canvas_id="102"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((CANVAS.format("doejane", 101, 90), CANVAS.format("doejane", 102, 91)), ["j1", "j2"]),
        ((MOODLE.format("Jane Doe", 5), MOODLE.format("Jane Doe", 6)), ["j1", None]),
        ((BRIGHTSPACE.format(31, "Jane Doe"), BRIGHTSPACE.format(32, "Jane Doe")), [None, None]),
        (("Jane Doe.ipynb", "j2.ipynb"), [None, "j2"]),
    ],
)
def test_two_students_of_one_name_are_told_apart_or_left_to_a_person(names, expected, tmp_path):
    grades = handed_in(tmp_path, *names)
    found = matches(grades, TWINS)
    assert [match.student and match.student.id for match in found] == expected
    assert all(
        match.why == "The roster has 2 students of this name: Jane Doe (j1) and Jane Doe (j2)."
        for match in found
        if match.student is None
    )
    assert tables.missing(grades, TWINS) == []


def test_without_a_roster_two_students_of_one_name_have_two_rows(tmp_path):
    grades = handed_in(tmp_path, CANVAS.format("doejane", 101, 90), CANVAS.format("doejane", 102, 91))
    assert [row[:3] for row in rows(tables.canvas(Book.of(grades)))[2:]] == [
        ["doejane (101)", "101", ""],
        ["doejane (102)", "102", ""],
    ]


def test_two_names_of_one_student_do_not_replace_each_other(tmp_path):
    grades = handed_in(tmp_path, "1.ipynb", "Ada Lovelace.ipynb", "lovelace.ipynb", "2.ipynb")
    found = matches(grades, CLASS)
    why = "Several files count for one student under different names: 1.ipynb, Ada Lovelace.ipynb, lovelace.ipynb."
    assert [match.why.startswith(why) for match in found] == [match.grade.source != "2.ipynb" for match in found]
    by_id = {row[2]: row for row in rows(tables.canvas(Book.of(grades, CLASS)))[2:]}
    assert (by_id["1"][5], by_id["2"][5]) == ("", "2")
    assert tables.missing(grades, CLASS) == [EVE]


def test_what_is_two_students_is_no_row_of_either():
    """Ada's login is the id of another."""
    students = [Student("ada", "Ada"), Student("eve", "Eve", login="ada")]
    (match,) = matches([submission("ada")], students)
    assert match.why == "The roster has 2 students of this name: Ada (ada) and Eve (eve)."
    assert [row[5:] for row in rows(tables.canvas(Book.of([submission("ada")], students)))[2:]] == [[""], [""]]


def test_tied_files_are_listed_and_neither_counts(tmp_path):
    one, two = (
        replace(submission("1"), source="1/a.ipynb", tied=True),
        replace(submission("1"), source="1/b.ipynb", tied=True),
    )
    both = [one, two]
    header, *found = rows(tables.grades(both, CLASS))
    assert [(row[4], row[5], row[header.index("look at it")]) for row in found[:2]] == [("undecided", "2", "yes")] * 2
    assert all(row[header.index("why")].startswith("Another file of the same time") for row in found[:2])
    assert [row[5] for row in rows(tables.canvas(Book.of(both, CLASS)))[2:]] == ["", "", ""]
    assert [row[0] for row in rows(tables.written(both))[1:]] == []
    assert tables.missing(both, CLASS) == [BOB, EVE]
    assert "0 submissions that count" in Reader(summary({"a": one, "b": two}, CLASS)).text
    assert "not decided yet which of them counts" in Reader(feedback(one)).text


@pytest.mark.parametrize("reason", ["file", "chapter", "grader"])
def test_what_was_not_graded_has_no_score_anywhere(reason):
    nothing = (question("read_out", "unanswered"), question("target_rank", "unanswered"))
    none = replace(submission("1", *nothing, problems=("It says why.",), needs_human=True), ungraded=reason)
    zero = submission("2", *nothing)
    header, first, second, *_ = rows(tables.grades([none, zero], CLASS))
    assert first[4:9] == ["not graded", "", "4", "", ""] and second[4:9] == ["counts", "0", "4", "0", "0"]
    assert first[header.index("why")].startswith("not graded: ")
    for table, column in ((tables.canvas, 5), (tables.moodle, 3), (tables.brightspace, 2)):
        scores = {row[2 if column == 5 else 0]: row[column] for row in rows(table(Book.of([none, zero], CLASS)))[1:]}
        assert (scores["1"], scores["2"], scores["3"]) == ("", "0", ""), table
    assert rows(tables.moodle(Book.of([none, zero], CLASS)))[1][4].startswith("not graded: ")
    page = Reader(summary({"a": none, "b": zero}, CLASS)).text
    assert "mean 0.0, median 0 of 4 points" in page and "not graded" in page and "2 submissions that count" in page
    text = Reader(feedback(none)).text
    assert "Feedback on ch02: not graded" in text and "Ask your instructor" in text and "0 of" not in text
    assert ("It says why." in text) is (reason != "grader")
    assert "0 of 4 points" in Reader(feedback(zero)).text


def test_what_is_not_executed_because_a_later_one_counts_has_no_score_either():
    nothing = (question("read_out", "unanswered"), question("target_rank", "unanswered"))
    early = replace(submission("1", *nothing, superseded=True), ungraded="superseded")
    _, row, *_ = rows(tables.grades([early, submission("1")], CLASS))
    assert row[4:9] == ["superseded", "", "4", "", ""]
    assert "score" not in (results := json.loads(gradescope_results(early))) and results["tests"] == []
    assert "A later submission counts" in results["output"]


def test_a_class_of_which_nothing_was_graded_has_a_summary():
    none = replace(submission("1", problems=("No notebook.",), needs_human=True), ungraded="file")
    text = Reader(summary({"a": none}, CLASS)).text
    assert "mean" not in text and "To be looked at: 1" in text


def test_late_marks_are_kept_in_a_column(tmp_path):
    grades = handed_in(tmp_path, CANVAS.format("lovelaceada", 3, 90), "byronbob_LATE_1_91_lens.ipynb")
    header, *found = rows(tables.grades(grades, CLASS))
    assert header[-1] == "late"
    assert {row[0]: row[-1] for row in found} == {"byronbob": "yes", "lovelaceada": "", "3": ""}
    assert "late" in Reader(summary({g.source: g for g in grades}, CLASS)).text
    assert "late" not in rows(tables.grades(grades[1:], CLASS))[0]


def test_brightspace_s_table_is_the_one_it_imports(tmp_path):
    """https://community.d2l.com/brightspace/kb/articles/3538-importing-grades: a key, items, and the end of a line."""
    grades = handed_in(tmp_path, BRIGHTSPACE.format(31, "Ada Lovelace"), BRIGHTSPACE.format(99, "Zoe New"))
    assert rows(tables.brightspace(Book.of(grades, CLASS))) == [
        ["OrgDefinedId", "Username", "ch02 Points Grade <Numeric MaxPoints:4>", "End-of-Line Indicator"],
        ["1", "lovelace", "2", "#"],
        ["2", "byron", "", "#"],
        ["3", "eva", "", "#"],
    ]
    assert "Not on the roster: 1" in Reader(summary({g.source: g for g in grades}, CLASS)).text
