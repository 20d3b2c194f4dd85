"""What a course's students and instructor get, and what is refused."""

import json
import os
import stat
import zipfile

import pytest

from mechlib import cli
from mechlib.authoring import checkout, exercises
from mechlib.course import release
from mechlib.course.leaks import leaks
from mechlib.course.release import Course
from mechlib.questions import ch02
from tests.grading import toys

SOLUTION = "02_logit_lens.ipynb"
POINTS = {
    "ch02.read_out": 1,
    "ch02.target_rank": 1,
    "ch02.kl_to_final": 1,
    "ch02.readable": 2,
    "ch02.refute": 3,
    "ch02.leave_out": 3,
}


@pytest.fixture
def course(solutions, tmp_path):
    return Course("cs999", solutions, tmp_path / "out")


@pytest.fixture
def personal_course(solutions, roster_file, tmp_path):
    return Course("cs999", solutions, tmp_path / "out", roster_file)


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["mechlib", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    streams = capsys.readouterr()
    return int(stopped.value.code or 0), streams.out, streams.err


def given(course):
    """What students get: every file beside the instructor's folder, by name."""
    paths = (path for path in course.out.rglob("*") if path.is_file())
    names = {path.relative_to(course.out).as_posix(): path.read_bytes() for path in paths}
    return {name: content for name, content in names.items() if not name.startswith("instructor/")}


def sources(text):
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]


def test_students_get_the_exercises_in_a_folder_and_in_a_zip(course):
    course.write()
    assert set(given(course)) == {f"students/{SOLUTION}", "students.zip"}
    with zipfile.ZipFile(course.out / "students.zip") as archive:
        assert archive.namelist() == [SOLUTION]
        assert archive.read(SOLUTION) == given(course)[f"students/{SOLUTION}"]
    ours = sources((checkout.root() / "exercises" / SOLUTION).read_text())
    theirs = sources(given(course)[f"students/{SOLUTION}"])
    assert theirs[1:] == ours[1:] and "colab.research" not in theirs[0]


def test_all_solutions_of_the_book_make_one_course(tmp_path):
    files = Course("cs999", checkout.root() / "solutions", tmp_path / "out").contents(b"0123456789abcdef" * 4)
    names = {path.name for path in checkout.notebooks(checkout.root(), "solutions")}
    assert {name for name in names if f"students/{name}" in files and f"instructor/solutions/{name}" in files} == names


def test_the_instructor_gets_the_solutions_the_configuration_and_a_secret(course):
    course.write()
    private = course.out / "instructor"
    assert (private / "solutions" / SOLUTION).read_bytes() == (course.solutions / SOLUTION).read_bytes()
    about = json.loads((private / "course.json").read_text())
    (notebook,) = about["notebooks"]
    assert about["course"] == "cs999" and notebook["file"] == SOLUTION
    assert {question["id"]: question["points"] for question in notebook["questions"]} == POINTS
    assert len((private / "secret").read_bytes().strip()) == 64


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_nobody_else_can_read_the_secret_or_anything_beside_it(course):
    course.write()
    private = course.out / "instructor"
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (private, *private.rglob("*"))}
    assert len(modes) > 5 and all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items()), modes


@pytest.mark.parametrize("which", ["course", "personal_course"])
def test_nothing_that_students_get_holds_the_secret_or_an_answer(which, request):
    made = request.getfixturevalue(which)
    made.write()
    secret = made.secret_file.read_bytes().strip()
    solution = checkout.read_notebook(made.solutions / SOLUTION)
    assert leaks(given(made), secret, [solution]) == []
    private = {"solution.ipynb": (made.solutions / SOLUTION).read_bytes(), "secret": secret}
    found = leaks(private, secret, [solution])
    assert "secret holds the secret" in found and len(found) > 20


def test_a_leaked_secret_stops_the_release_before_anything_is_written(course):
    course.write()
    notebook = checkout.read_notebook(course.solutions / SOLUTION)
    notebook["cells"][3]["source"] += f"\n\nThe secret is {course.secret_file.read_text()}"
    (course.solutions / SOLUTION).write_text(checkout.dump_notebook(notebook))
    before = given(course)
    with pytest.raises(ValueError, match=f"must not: students/{SOLUTION} holds the secret; students.zip"):
        course.write()
    assert given(course) == before


def test_the_secret_is_drawn_once(course):
    assert course.secret_file not in course.write()
    secret = course.secret_file.read_bytes()
    assert course.write() == [] and course.secret_file.read_bytes() == secret
    assert course.stale() == []


def test_what_the_lecturer_writes_stays_at_a_second_release(course):
    course.write()
    private = course.out / "instructor"
    about = json.loads((private / "course.json").read_text())
    assert about["term"]["chapters"]["ch02"]["written"] == {"refutation": 4}
    about["term"]["chapters"]["ch02"]["deadline"] = "2026-11-03 23:59"
    (private / "course.json").write_text(json.dumps(about))
    tables = {name: (private / f"{name}.csv").read_text() for name in ("overrides", "times", "groups")}
    assert tables["overrides"] == "student,question,points,reason\n"
    with (private / "overrides.csv").open("a") as file:
        file.write("ada,ch02.read_out,1,seen\n")
    course.write()
    assert json.loads((private / "course.json").read_text())["term"] == about["term"] and course.stale() == []
    assert (private / "overrides.csv").read_text().endswith("ada,ch02.read_out,1,seen\n")
    (private / "course.json").write_text('{"term": {"zone": "Mars"}}')
    with pytest.raises(ValueError, match="a name such as 'Europe/Berlin'"):
        course.write()


def test_a_roster_gives_a_common_zip_beside_everybody_s_own(personal_course):
    personal_course.write()
    with zipfile.ZipFile(personal_course.out / "students.zip") as common:
        ours = sources((checkout.root() / "exercises" / SOLUTION).read_text())
        assert common.namelist() == [SOLUTION] and sources(common.read(SOLUTION))[1:] == ours[1:]


def test_two_courses_have_two_secrets(course, solutions, tmp_path):
    other = Course("cs999", solutions, tmp_path / "other")
    course.write(), other.write()
    assert course.secret_file.read_bytes() != other.secret_file.read_bytes()


def test_every_student_gets_other_data_and_the_same_rest(personal_course):
    personal_course.write()
    files = given(personal_course)
    own = {f"students/{who}/{SOLUTION}" for who in ("ada", "bob")} | {"zips/ada.zip", "zips/bob.zip"}
    assert set(files) == own | {"students.zip"}
    ada, bob = (json.loads(files[f"students/{who}/{SOLUTION}"])["cells"] for who in ("ada", "bob"))
    differing = [a for a, b in zip(ada, bob, strict=True) if a != b]
    assert differing and all("per-student" in cell["metadata"].get("tags", ()) for cell in differing)
    checks = [cell for cell in ada if "".join(cell["source"]).startswith("check(")]
    assert len(checks) == len(POINTS) and not any(cell in differing for cell in checks)


def test_a_student_s_notebook_can_be_made_again(personal_course, roster_file):
    personal_course.write()
    before = given(personal_course)
    roster_file.write_text(roster_file.read_text() + "eve,Eve,,103\n")
    personal_course.write()
    after = given(personal_course)
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 2


def test_drift_is_found(course):
    course.write()
    (course.out / "students" / SOLUTION).write_text("{}")
    (course.out / "students.zip").unlink()
    assert [line.split(" is not")[0].rpartition("/")[2] for line in course.stale()] == [SOLUTION, "students.zip"]


def test_a_course_that_was_never_made_has_not_drifted(course):
    with pytest.raises(FileNotFoundError, match=r"there is no course in .*out yet; without --check it is made"):
        course.stale()


def test_a_course_is_opened_as_it_was_released(personal_course):
    personal_course.write()
    again = release.opened(personal_course.out)
    assert again.name == "cs999" and again.stale() == []


def test_an_unknown_course_names_those_beside_it(course):
    course.write()
    with pytest.raises(FileNotFoundError, match=r"no course in .*/cs998, .*beside it are out"):
        release.opened(course.out.parent / "cs998")


@pytest.mark.parametrize("name", ["", "CS 999", "../x", "-x", "x" * 41])
def test_a_name_that_could_not_be_a_folder_is_refused(name, solutions, tmp_path):
    with pytest.raises(ValueError, match="the course is called"):
        Course(name, solutions, tmp_path / "out")


def test_an_empty_folder_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no notebook \(\*\.ipynb\) in .*empty"):
        Course("cs999", tmp_path / "empty", tmp_path / "out").write()
    assert not (tmp_path / "out").exists()


def test_a_roster_with_two_equal_ids_leaves_nothing(personal_course, roster_file):
    roster_file.write_text("id\nada\nada\n")
    with pytest.raises(ValueError, match="more than one student: ada"):
        personal_course.write()
    assert not personal_course.out.exists()


def test_a_check_of_a_question_that_there_is_not_is_named(course):
    path = course.solutions / SOLUTION
    path.write_text(path.read_text().replace('check(\\"ch02.read_out\\"', 'check(\\"ch02.read_in\\"'))
    with pytest.raises(ValueError, match=r"02_logit_lens\.ipynb: there is no question 'ch02.read_in'"):
        course.write()


def test_the_command_makes_exercises_and_a_course_and_checks_both(solutions, tmp_path, monkeypatch, capsys):
    to, out = tmp_path / "exercises", tmp_path / "cs999"
    arguments = ("release", solutions, "--to", to, "--course", "cs999", "--out", out)
    assert run(monkeypatch, capsys, *arguments)[0] == 0
    assert run(monkeypatch, capsys, *arguments, "--check") == (0, "Up to date.\n", "")
    (to / SOLUTION).write_text((to / SOLUTION).read_text() + " ")
    status, printed, _ = run(monkeypatch, capsys, *arguments, "--check")
    assert status == 1 and f"{to / SOLUTION} is not what its solution gives" in printed


def test_the_two_commands_make_the_same_exercises(monkeypatch, capsys):
    root = checkout.root()
    assert run(monkeypatch, capsys, "release", root / "solutions", "--to", root / "exercises", "--check")[0] == 0
    assert exercises.stale() == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "nothing to make"),
        (("--course", "cs999"), "--course and --out belong together"),
        (("--to", "x", "--per-student", "r.csv"), "--per-student needs both"),
        (("--course", "cs999", "--out", "o", "--per-student", "none.csv"), "none.csv"),
    ],
)
def test_arguments_that_do_not_fit_are_one_line(solutions, monkeypatch, capsys, tmp_path, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    status, _, error = run(monkeypatch, capsys, "release", solutions, *arguments)
    assert status == 2 and complaint in error and len(error.splitlines()) == 1


def test_a_running_course_grades_questions_that_have_vanished_since_and_names_both_versions(
    tmp_path, monkeypatch, capsys
):
    """The course was released with one toy question; its chapter asks others now, and mechlib has another version."""
    monkeypatch.setattr(ch02, "RETIRED", (toys.TOTAL,), raising=False)
    private, submissions = tmp_path / "instructor", tmp_path / "submissions"
    private.mkdir(), submissions.mkdir()
    (private / "secret").write_bytes(b"a secret of the tests")
    listed = [{"file": "02.ipynb", "questions": [{"id": "ch02.total", "title": "Toy", "points": 2}]}]
    about = {"course": "cs999", "mechlib": "0.0.7", "per_student": False, "notebooks": listed}
    (private / "course.json").write_text(json.dumps(about))
    for name, answer in {"anna": toys.RIGHT_TOTAL, "ben": toys.MEAN_TOTAL}.items():
        (submissions / f"{name}.ipynb").write_bytes(toys.notebook(toys.IMPORTS, answer, 'check("ch02.total", total)'))
    arguments = ("grade", submissions, "--out", tmp_path / "grades", "--secret", private / "secret")
    status, _, err = run(monkeypatch, capsys, *arguments, "--trust-submissions", "--quiet")
    assert status == 0
    assert "cs999 was released with mechlib 0.0.7, and this is" in err and "install 0.0.7" in err
    results = [tmp_path / "grades" / "students" / name / "results.json" for name in ("anna", "ben")]
    assert [json.loads(path.read_text())["score"] for path in results] == [2, 0]
    assert "this is the mean, not the sum" in results[1].read_text()
    assert release.pinned(tmp_path / "secret") is None
