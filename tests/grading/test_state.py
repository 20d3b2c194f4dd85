"""The state of a run in the folder of its grades."""

import stat

import pytest

from mechlib.grading import versions
from mechlib.grading.results import SubmissionGrade
from mechlib.grading.state import State

GRADE = SubmissionGrade("anna", "anna.ipynb", "ch02", (), (), ("Cell 1.",), True, 1.5)


def begun(folder, **keywords):
    state = State(folder, **{"resume": False, "secret": None} | keywords)
    state.begin()
    return state


def test_what_was_added_is_there_after_a_resume(tmp_path):
    state = begun(tmp_path)
    state.add(state.key("a", 1), GRADE)
    again = begun(tmp_path, resume=True)
    assert again.grade(again.key("a", 1)) == GRADE
    assert again.grade(again.key("a", 2)) is None
    third = begun(tmp_path, resume=True)
    assert third.grade(third.key("a", 1)) == GRADE


def test_without_resume_everything_begins_anew(tmp_path):
    state = begun(tmp_path)
    state.add("key", GRADE)
    assert begun(tmp_path).grade("key") is None
    assert len((tmp_path / "state.jsonl").read_text().splitlines()) == 1


def test_a_line_cut_off_is_left_out(tmp_path):
    state = begun(tmp_path)
    for key in ("first", "second"):
        state.add(key, GRADE)
    path = tmp_path / "state.jsonl"
    path.write_text(path.read_text()[:-20])
    again = begun(tmp_path, resume=True)
    assert again.grade("first") == GRADE and again.grade("second") is None
    again.add("second", GRADE)
    assert begun(tmp_path, resume=True).grade("second") == GRADE


def test_a_drawn_secret_is_kept_for_its_owner_and_a_given_one_is_not_written(tmp_path):
    drawn = begun(tmp_path / "drawn")
    path = tmp_path / "drawn" / "state.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert begun(tmp_path / "drawn", resume=True).secret == drawn.secret
    begun(tmp_path / "given", secret=b"a given secret of the course")
    assert "given secret" not in (tmp_path / "given" / "state.jsonl").read_text()


def test_another_secret_finds_no_grade_of_the_first(tmp_path):
    state = begun(tmp_path, secret=b"a given secret of the course")
    state.add(state.key("a"), GRADE)
    other = begun(tmp_path, resume=True, secret=b"another secret of the course")
    assert other.grade(other.key("a")) is None


def test_another_version_finds_the_grades_of_the_first_unless_notebooks_are_executed_otherwise(tmp_path, monkeypatch):
    state = begun(tmp_path)
    state.add(state.key("a"), GRADE)
    monkeypatch.setattr("mechlib.__version__", "9.9")
    again = begun(tmp_path, resume=True)
    assert again.grade(again.key("a")) == GRADE
    source = versions.source
    for name, same in {"grading.worker.rooms": False, "grading.marking": False, "course.tables": True}.items():
        monkeypatch.setattr(versions, "source", lambda n, c=name: source(n) + "\n#" * (n == f"mechlib.{c}"))
        versions.grader.cache_clear()
        assert (again.grade(again.key("a")) == GRADE) is same, name
    monkeypatch.undo()
    versions.grader.cache_clear()


def test_a_state_that_is_none_cannot_be_resumed(tmp_path):
    (tmp_path / "state.jsonl").write_text("")
    state = begun(tmp_path, resume=True)
    assert state.secret and state.grade("key") is None


@pytest.mark.parametrize("resume", [True, False])
def test_a_file_in_place_of_the_folder_is_refused(tmp_path, resume):
    (tmp_path / "grades").write_text("mine")
    with pytest.raises(ValueError, match=r"something else than grades|nothing to resume"):
        State(tmp_path / "grades", resume=resume, secret=None)
