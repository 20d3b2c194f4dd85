"""The small question among those of its chapter, and a session without a history."""

import pytest

from mechlib.checks import asking
from mechlib.checks.record import Record
from mechlib.questions import ch02
from tests.checks.toy import TOY


@pytest.fixture
def toy(monkeypatch):
    """The toy question, which the registry finds among those of its chapter."""
    monkeypatch.setattr(ch02, "QUESTIONS", (*ch02.QUESTIONS, TOY))
    return TOY


@pytest.fixture(autouse=True)
def record(monkeypatch):
    """The state of a session that has just begun."""
    fresh = Record()
    monkeypatch.setattr(asking, "RECORD", fresh)
    return fresh
