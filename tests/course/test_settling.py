"""What a person says of a class counts, is shown, and is refused where it cannot be meant."""

import csv
import datetime
import io
import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from mechlib.course import marks, rules, tables, times
from mechlib.course.feedback import feedback, gradescope_results
from mechlib.course.matching import matches
from mechlib.course.roster import Student
from mechlib.course.rules import Chapter, Late, Rules
from mechlib.course.settling import Term, settle
from mechlib.course.summary import summary
from mechlib.course.tables import Book
from mechlib.course.whose import anonymous
from mechlib.grading.results import WrittenAnswer
from tests.course.conftest import question, rows, submission
from tests.course.test_pages import NASTY, Reader

CLASS = (Student("ada", "Ada Lovelace"), Student("bob", "Bob Byron"), Student("eve", "Eve Kiss"))
DUE = datetime.datetime(2026, 11, 3, 23, 59, tzinfo=datetime.UTC)
RULES = Rules(late=Late(grace_minutes=5, per_day=0.1, most=0.3), chapters={"ch02": Chapter(DUE, {"refutation": 5})})


@pytest.fixture
def term(tmp_path):
    """``term(written=..., overrides=..., times=..., groups=..., students=..., rules=...)`` from the texts of files."""

    def made(*, students=CLASS, ruled=RULES, secret=None, **texts) -> Term:
        files = {}
        for name, text in texts.items():
            files[name] = tmp_path / f"{name}.csv"
            files[name].write_text(text, encoding="utf-8")
        given = {"written": "written", "overrides": "overrides", "times": "times_", "groups": "groups_"}
        return Term.read(students, ruled, secret=secret, **{given[name]: [path] for name, path in files.items()})

    return made


def late(student, hours, platform="brightspace"):
    came = (DUE + datetime.timedelta(hours=hours)).timestamp()
    name = next(each.name for each in CLASS if each.id == student)
    return replace(submission(name), platform=platform, handed_in=came, timed="platform")


def test_marks_and_comments_reach_the_grade_the_page_the_results_and_the_tables(term):
    known = term(written="student;question;points;comment\nAda Lovelace;refutation;3,5;Name the control.\n")
    ada, bob, eve = settle(
        [submission("ada", written=("x",)), submission("bob", written=("",)), submission("eve")], known
    ).grades
    assert [(grade.score, grade.points) for grade in (ada, bob, eve)] == [(5.5, 9), (2, 9), (2, 9)]
    text = Reader(feedback(ada)).text
    assert "5.5 of 9 points" in text and "refutation: 3.5 of 5 points" in text and "Name the control." in text
    results = json.loads(gradescope_results(ada))
    assert results["score"] == 5.5 == sum(test["score"] for test in results["tests"])
    assert sum(test["max_score"] for test in results["tests"]) == 9
    header, row, *_ = rows(tables.grades([ada, bob, eve], CLASS))
    assert row[header.index("written: refutation")] == "3.5" and row[5:7] == ["5.5", "9"]
    book = Book.of([ada, bob, eve], CLASS)
    assert [row[5] for row in rows(tables.canvas(book))[1:]] == ["9", "5.5", "2", "2"]
    assert rows(tables.moodle(book))[1][4].endswith("refutation: 3.5 of 5")


def test_without_any_mark_the_points_are_those_of_the_code(term):
    (grade,) = settle([submission("ada", written=("x",))], term()).grades
    assert (grade.score, grade.points, grade.waiting) == (2, 4, ())


def test_an_answer_that_is_not_marked_yet_leaves_the_total_open(term):
    known = term(written="student,question,points\nada,refutation,3\n")
    ada, bob = settle([submission("ada", written=("x",)), submission("bob", written=("y",))], known).grades
    assert ada.final and not bob.final
    table = rows(tables.grades([ada, bob], CLASS))
    assert table[2][4:6] == ["waiting", ""] and "not marked yet" in table[2][-1]
    assert rows(tables.canvas(Book.of([ada, bob], CLASS)))[3][5] == ""
    assert "so far" in Reader(feedback(bob)).text
    assert [row[0] for row in rows(tables.written([ada, bob], CLASS, unmarked=True))[1:]] == ["bob"]


def test_the_mark_of_another_text_is_not_used_and_that_is_said(term):
    row = f"ada,refutation,3,{marks.sign('the first text')}\n"
    known = term(written=f"student,question,points,answer\n{row}")
    settled = settle([submission("ada", written=("the second text",))], known)
    assert not settled.grades[0].final and settled.grades[0].written[0].score is None
    assert len(settled.notes) == 1 and "has handed in another answer" in settled.notes[0]
    (same,) = settle([submission("ada", written=("the first text",))], known).grades
    assert same.score == 5


def test_the_table_that_is_written_is_read_back_under_all_names(term):
    secret = b"of this test, and of nothing else"
    graded = [submission("ada", written=("x",)), submission("bob", written=(NASTY,))]
    for names in ("id", "name", "anonymous"):
        header, *found = rows(tables.written(graded, CLASS, names=names, secret=secret))
        assert tuple(header) == marks.COLUMNS
        for row in found:
            row[header.index("points")] = "2" if NASTY in row[header.index("text")] else "1"
        text = tables.text([header, *found])
        settled = settle(graded, term(written=text, secret=secret))
        assert [grade.score for grade in settled.grades] == [3, 4] and settled.notes == ()
    assert anonymous(secret, "ch02", "ada") in text and "ada" not in text.replace(NASTY, "")


def test_an_open_task_that_was_not_judged_is_marked_by_its_id(term):
    open_ = question("leave_out", "unjudged", score=0, needs_human=True, message="The model is not here.")
    graded = [submission("ada", question("read_out"), open_)]
    assert rows(tables.written(graded, CLASS))[1][:3] == ["ada", "ch02", "ch02.leave_out"]
    (grade,) = settle(graded, term(written="student,question,points,comment\nada,ch02.leave_out,1.5,Found it\n")).grades
    assert grade.score == 3.5 and not grade.questions[1].needs_human
    assert "Your instructor gave 1.5 of 2 points instead of 0: Found it" in Reader(feedback(grade)).text


def test_of_two_answers_of_one_name_the_one_that_was_filled_in_counts(term):
    grade = replace(submission("ada"), written=(WrittenAnswer("refutation", ""), WrittenAnswer("refutation", "here")))
    (settled,) = settle([grade], term(written="student,question,points\nada,refutation,2\n")).grades
    assert [(each.points, each.score) for each in settled.written] == [(0, None), (5, 2)]


def test_a_decision_stands_against_the_grader_and_shows_both(term):
    known = term(overrides="student,question,points,reason\nBob Byron,ch02.target_rank,1.5,Our text was unclear.\n")
    for status, machine in (("wrong", 0), ("right", 2)):
        bob = submission("bob", question("read_out"), question("target_rank", status))
        (grade,) = settle([bob], known).grades
        assert grade.score == 3.5 and grade.questions[1].machine == machine
    assert "1.5 instead of 2, Our text was unclear." in tables.grades([grade], CLASS)
    assert "Our text was unclear." in Reader(summary({"students/bob": grade}, CLASS)).text
    results = json.loads(gradescope_results(grade))
    assert results["tests"][1]["output"].endswith(
        "Your instructor gave 1.5 of 2 points instead of 2: Our text was unclear."
    )


def test_what_could_not_be_graded_counts_once_all_of_it_is_decided(term):
    none = replace(submission("ada", question("a", "unanswered"), question("b", "unanswered")), ungraded="file")
    half = "student,question,points,reason\nada,ch02.a,2,seen\n"
    assert settle([none], term(overrides=half)).grades[0].ungraded == "file"
    (grade,) = settle([none], term(overrides=half + "ada,ch02.b,0,seen\n")).grades
    assert grade.ungraded == "" and grade.score == 2 and grade.final


def test_what_nothing_follows_from_is_said(term):
    known = term(overrides="student,question,points,reason\neve,ch02.read_out,1,by mail\n")
    settled = settle([submission("ada")], known)
    assert "nothing of eve counts on ch02, so it is not used" in settled.notes[0]


MARKS, DECISIONS = "student,question,points\n", "student,question,points,reason\n"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (
            "written",
            f"{MARKS}adda,refutation,3\n",
            "line 2: nobody in the roster or the class is called 'adda'; did you",
        ),
        ("written", f"{MARKS}ada,refutation,6\n", "the points are '6'; they must be a number from 0 to 5"),
        ("written", f"{MARKS}ada,refutation,-1\n", "the points are '-1'"),
        ("written", f"{MARKS}ada,refutation,good\n", "the points are 'good'"),
        ("written", f"{MARKS}ada,rebuttal,3\n", "no answer 'rebuttal' for a person to mark; it has 'refutation'"),
        ("written", f"{MARKS}ada,refutation,3\nAda Lovelace,refutation,2\n", "say different things of one answer"),
        ("written", f"{MARKS},refutation,3\n", "no student is named"),
        ("written", "name,question,points\nada,refutation,3\n", "no column 'student'"),
        ("overrides", f"{DECISIONS}ada,target_rank,1,x\n", "it must begin with a chapter"),
        ("overrides", f"{DECISIONS}ada,ch02.rank,1,x\n", "ch02.read_out"),
        ("overrides", f"{DECISIONS}ada,ch02.read_out,1,\n", "the reason is empty"),
        ("overrides", f"{DECISIONS}ada,ch02.read_out,3,x\n", "a number from 0 to 2"),
        ("overrides", f"{DECISIONS}ada,ch02.read_out,1,x\nada,ch02.read_out,2,y\n", "keep the one that holds"),
        ("times", "student,chapter,extra\nada,ch2,48\n", "no chapter 'ch2'"),
        ("times", "student,chapter,extra\nada,ch02,two days\n", "write hours, as 48"),
        ("times", f"student,chapter,extra\nada,ch02,{'9' * 20} d\n", "write hours, as 48"),
        ("times", "student,chapter,extra\nada,ch02,\n", "neither extra time"),
        ("times", "student,chapter,handed_in\nada,ch02,yesterday\n", "'yesterday' is no time"),
        ("times", "student,handed_in\nada,2026-11-04 10:00\n", "needs the chapter"),
        ("groups", "group,student\nA,ada\nB,ada\n", "keep one"),
        ("written", "student,question,Points\nada,refutation,3\n", "a column 'Points': is it 'points'?"),
        ("times", "student,chapter,extra,handed in\nada,ch02,2,2026-11-04 10:00\n", "'handed in': is it 'handed_in'?"),
        ("overrides", "student,questions,points,reason\nada,ch02.read_out,1,x\n", "'questions': is it 'question'?"),
        ("groups", "group,student\n,ada\n", "the group is empty"),
        ("groups", "group,student\nA,zoe\n", "called 'zoe'"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused_with_its_line(term, name, text, complaint):
    with pytest.raises(ValueError, match=r"(?s).*") as error:
        settle([submission("ada", written=("x",)), submission("bob")], term(**{name: text}))
    assert complaint in str(error.value)


def test_a_name_of_two_students_is_refused_with_their_ids(term):
    twins = (Student("1", "Ada Lovelace"), Student("2", "Ada Lovelace"))
    known = term(students=twins, overrides="student,question,points,reason\nAda Lovelace,ch02.read_out,1,x\n")
    with pytest.raises(ValueError, match="what several are called: 1, 2; write the id"):
        settle([submission("1")], known)


def test_a_table_of_names_calls_two_students_of_one_name_by_their_ids():
    twins = (Student("1", "Ada Lovelace"), Student("2", "Ada Lovelace"), Student("3", "Bob Byron"))
    graded = [submission(each.id, written=("x",)) for each in twins]
    assert [row[0] for row in rows(tables.written(graded, twins, names="name"))[1:]] == ["1", "2", "Bob Byron"]


def test_rows_of_other_chapters_are_left_alone(term):
    texts = {
        "written": "student,chapter,question,points\nada,ch06,refutation,3\n",
        "overrides": "student,question,points,reason\nada,ch06.prefix_score,1,x\n",
        "times": "student,chapter,extra\nada,ch06,48\n",
        "groups": "group,student,chapter\nA,ada,ch06\nA,bob,ch06\n",
    }
    settled = settle([submission("ada"), submission("bob")], term(**texts))
    assert [grade.score for grade in settled.grades] == [2, 2] and settled.groups == () and settled.notes == ()


@pytest.mark.parametrize(
    ("hours", "share"), [(-1, 0), (0.05, 0), (0.2, 0.1), (23.9, 0.1), (24.1, 0.2), (60, 0.3), (500, 0.3)]
)
def test_every_day_begun_costs_its_share_of_the_points_up_to_the_most(term, hours, share):
    (grade,) = settle([late("ada", hours)], term()).grades
    assert grade.deducted == pytest.approx(share * 4) and grade.score == pytest.approx(2 - share * 4)
    assert bool(grade.lateness) == bool(share)


def test_lateness_takes_nobody_below_nothing(term):
    nothing = replace(late("ada", 500), questions=(question("a", "wrong"), question("b", "wrong")))
    assert settle([nothing], term()).grades[0].score == 0


def test_extra_time_moves_the_deadline_and_what_the_lecturer_knows_of_the_time_is_believed(term):
    known = term(times="student,chapter,extra,handed_in\nada,,2 d,\nbob,ch02,,2026-11-03 22:00\n")
    ada, bob, eve = settle([late("ada", 47), late("bob", 47), late("eve", 47)], known).grades
    assert [grade.deducted for grade in (ada, bob, eve)] == pytest.approx([0, 0, 0.8])


def test_a_mark_without_a_time_waits_where_the_time_matters(term):
    marked = replace(submission("ada"), platform="canvas", late=True)
    (grade,) = settle([marked], term()).grades
    assert grade.waiting and "tells no time" in grade.waiting[0] and not grade.final
    flat = replace(RULES, late=Late(per_day=0.25, most=0.25))
    assert settle([marked], term(ruled=flat)).grades[0].deducted == 1
    free = replace(RULES, late=Late())
    (shown,) = settle([marked], term(ruled=free)).grades
    assert shown.final and shown.deducted == 0 and "Late, as the platform says" in shown.lateness


def test_the_time_of_a_file_is_shown_and_decides_only_where_the_rules_say_so(term):
    copied = replace(late("ada", 30, platform=""), timed="file")
    (grade,) = settle([copied], term()).grades
    assert grade.deducted == 0 and grade.final
    header, row = rows(tables.grades([grade], rules=RULES))
    assert row[header.index("time")] == "2026-11-05 05:59 by the file, after the deadline"
    by_files = replace(RULES, late=replace(RULES.late, by_files=True))
    (grade,) = settle([copied], term(ruled=by_files)).grades
    assert grade.deducted == pytest.approx(0.8)


def test_brightspace_s_times_are_those_of_the_place():
    zone = datetime.timezone(datetime.timedelta(hours=-5))
    written = datetime.datetime(2026, 11, 3, 11, 5, tzinfo=datetime.UTC).timestamp()
    grade = replace(submission("ada"), platform="brightspace", handed_in=written, timed="platform")
    assert times.handed_in(grade, zone) == datetime.datetime(2026, 11, 3, 11, 5, tzinfo=zone)


def test_one_file_of_a_group_counts_for_all_of_it(term):
    known = term(groups="group,student\nPair,ada\nPair,bob\n")
    settled = settle([submission("ada")], known)
    book = Book.of(settled.grades, CLASS, settled.groups)
    assert [row[5] for row in rows(tables.canvas(book))[2:]] == ["2", "2", ""]
    assert tables.missing(settled.grades, CLASS, settled.groups) == [CLASS[2]]


def test_the_same_file_of_a_group_is_late_only_if_all_of_it_came_late(term):
    """Whoever hands it in once more after the deadline costs the others nothing."""
    known = term(groups="group,student\nPair,ada\nPair,bob\n")
    for hours in ((-1, 30), (30, -1)):
        pair = [replace(late(name, h), digest="1") for name, h in zip(("ada", "bob"), hours, strict=True)]
        grades = settle(pair, known).grades
        (counting,) = [m.grade for m in matches(grades, CLASS, settle(pair, known).groups) if m.counts]
        assert counting.deducted == 0 and counting.score == 2
        moodle = [replace(each, platform="moodle", timed="", number=str(n)) for n, each in enumerate(pair)]
        listed = {str(n): DUE + datetime.timedelta(hours=h) for n, h in enumerate(hours)}
        assert {grade.deducted for grade in settle(moodle, replace(known, listed=listed)).grades} == {0}
    both = [replace(late(name, 30), digest="1") for name in ("ada", "bob")]
    assert settle(both, known).grades[0].deducted == pytest.approx(0.8)


@pytest.mark.parametrize("came", ["2026-10-25 23:30", "2026-10-25 23:30+01:00", "2026-10-25 22:30+00:00"])
def test_a_day_is_one_by_the_clock_also_where_the_clock_is_put_back(term, came):
    """In Berlin that day has 25 hours."""
    zone = ZoneInfo("Europe/Berlin")
    due = datetime.datetime(2026, 10, 24, 23, 59, tzinfo=zone)
    ruled = replace(RULES, zone=zone, chapters={"ch02": Chapter(due)})
    known = term(times=f"student,chapter,handed_in\nada,ch02,{came}\n", ruled=ruled)
    assert settle([submission("ada")], known).grades[0].deducted == pytest.approx(0.4)


def test_the_name_of_a_group_is_found_as_canvas_and_moodle_write_it(term):
    known = term(groups="group,student\nGroup A,ada\nGroup A,bob\n")
    for handed in ("groupa", "Group A-Ada Lovelace"):
        grade = replace(submission(handed), platform="moodle" if "-" in handed else "canvas", number="7")
        settled = settle([grade], known)
        (match,) = matches(settled.grades, CLASS, settled.groups)
        assert match.people == ("ada", "bob")


def test_different_files_of_a_group_wait_unless_the_platform_says_which_came_last(term):
    known = term(groups="group,student\nPair,ada\nPair,bob\n", ruled=rules.PLAIN)
    pair = [replace(submission("ada"), digest="1"), replace(submission("bob", question("read_out")), digest="2")]
    settled = settle(pair, known)
    assert all("Several of Pair handed in different files" in m.why for m in matches(pair, CLASS, settled.groups))
    assert [row[5] for row in rows(tables.canvas(Book.of(settled.grades, CLASS, settled.groups)))[2:]] == [""] * 3
    timed = [replace(each, timed="platform", handed_in=float(number)) for number, each in enumerate(pair)]
    settled = settle(timed, known)
    assert [row[5] for row in rows(tables.canvas(Book.of(settled.grades, CLASS, settled.groups)))[2:]] == ["2", "2", ""]
    assert [row[4] for row in rows(tables.grades(timed, CLASS, settled.groups))[1:3]] == ["superseded", "counts"]


def test_a_decision_on_one_of_a_group_is_on_the_one_grade(term):
    texts = {
        "groups": "group,student\nPair,ada\nPair,bob\n",
        "overrides": "student,question,points,reason\nbob,ch02.target_rank,2,x\n",
    }
    assert settle([submission("ada")], term(**texts)).grades[0].score == 4


PAIR = "group,student\nPair,ada\nPair,bob\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("written", f"{MARKS}ada,refutation,3\nbob,refutation,2\n"),
        ("written", "student,question,points,comment\nada,refutation,3,good\nbob,refutation,3,bad\n"),
        ("overrides", f"{DECISIONS}ada,ch02.read_out,1,x\nbob,ch02.read_out,2,y\n"),
    ],
)
def test_what_differs_for_two_of_a_group_is_refused(term, name, text):
    given = [submission("ada", written=("x",))]
    with pytest.raises(ValueError, match=r"line 3 and .* line 2 (say different|decide on one)"):
        settle(given, term(groups=PAIR, **{name: text}))
    same = text.replace(",2,y", ",1,y").replace("bob,refutation,2", "bob,refutation,3").replace(",bad", ",good")
    assert settle(given, term(groups=PAIR, **{name: same})).notes == ()
    apart = settle([*given, submission("bob", written=("y",))], term(**{name: text}))
    assert apart.notes == (), "of two who hand in for themselves both hold"


def test_an_answer_that_nobody_asked_for_counts_for_nobody_and_is_told(term):
    """A student may write any marker: points for one must not change what all can have."""
    answers = (WrittenAnswer("refutation", "x"), WrittenAnswer("bonus", "y"), WrittenAnswer("ch02.read_out", "z"))
    ada = replace(submission("ada"), written=answers)
    for ruled in (RULES, rules.PLAIN):
        given = [ada, submission("bob", written=("x",)), submission("eve", written=("x",))]
        known = term(written=f"{MARKS}ada,refutation,3\nbob,refutation,2\neve,refutation,1\n", ruled=ruled)
        settled = settle(given, known)
        assert [grade.score for grade in settled.grades] == [5, 4, 3] and len({g.points for g in settled.grades}) == 1
        assert settled.grades[0].needs_human and "'bonus' is none that ch02 asks for" in settled.grades[0].problems[0]
        assert not settled.grades[1].needs_human
        assert [row[2] for row in rows(tables.written(settled.grades, CLASS))[1:]] == ["refutation"] * 3
        with pytest.raises(ValueError, match="no answer 'bonus' for a person to mark; it has 'refutation'"):
            settle(given, term(written=f"{MARKS}ada,bonus,0\n", ruled=ruled))


@pytest.mark.parametrize("called", ["=ada", "-ada", "@ada", "＝ada", "a\u200bda", "a\nda", "'=ada", "ada; =1+1"])
def test_whatever_a_student_is_called_the_table_that_is_written_is_read_back(term, called):
    graded = [submission(called, written=("x",)), submission("bob", written=("y",))]
    header, *found = rows(tables.written(graded))
    for row in found:
        row[3:5] = ["2", "- name the control"]
    for _ in range(2):  # what was merged is written and read once more
        saved = io.StringIO()
        csv.writer(saved).writerows([header, *found])
        settled = settle(graded, term(written=saved.getvalue(), students=()))
        assert [each.written[0].comment for each in settled.grades] == ["- name the control"] * 2
        header, *found = rows(tables.written(settled.grades))


def test_nothing_is_said_of_what_does_not_count(term):
    texts = {
        "written": "student,question,points\nada,refutation,3\n",
        "overrides": "student,question,points,reason\nada,ch02.target_rank,2,x\n",
    }
    early = replace(submission("ada", superseded=True, written=("x",)), source="early.ipynb")
    old, new = settle([early, submission("ada", written=("y",))], term(**texts)).grades
    assert old.score == 2 and new.score == 7
