"""What is missing on a machine skips a test with a line that says what; with CI=true it fails it."""

import shutil

import pytest

from tests.absent import real_model


def test_a_missing_program_is_named_in_the_skip(program, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no-such-program is not installed .system package nothing"):
        program("no-such-program", package="nothing")


def test_with_ci_nothing_is_skipped(program, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"no-such-program .* with CI=true nothing is skipped"):
        program("no-such-program", package="nothing")


def test_the_first_program_that_is_there_is_taken(program):
    assert program("no-such-program", "git", "make", package="git") == shutil.which("git")


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_model_is_named_with_the_command_that_fetches_it(monkeypatch, tmp_path, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path))
    with pytest.raises(outcome, match=r"smollm2-135m is not on this machine.*mechlib zoo fetch smollm2-135m"):
        real_model("smollm2-135m")
