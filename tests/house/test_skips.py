"""What is missing on a machine skips a test with a line that says what; with CI=true it fails it."""

import shutil

import pytest


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
