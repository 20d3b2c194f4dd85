"""A question that was once released is found for good, whether its chapter still asks it or not."""

from pathlib import Path

import pytest

from mechlib.authoring import address, checkout
from mechlib.checks import check, registry
from mechlib.questions import ch02
from tests.checks.toy import TOY

RELEASED = Path(__file__).with_name("released.txt").read_text().split()
"""The ids of all questions of every release."""


def test_every_question_that_was_released_is_found():
    assert [registry.find(question_id).id for question_id in RELEASED] == RELEASED


def test_a_release_has_every_question_that_is_asked_on_its_list():
    """On the way to a release, new questions may still change their names."""
    asked = {question.id for question in registry.questions()}
    assert asked <= set(RELEASED) or ".dev" in address.version(checkout.root()), asked - set(RELEASED)


@pytest.fixture
def retired(monkeypatch):
    monkeypatch.setattr(ch02, "RETIRED", (TOY,), raising=False)
    return TOY


def test_a_retired_question_is_found_and_checked_but_no_longer_asked(retired, capsys):
    assert registry.find(retired.id) is retired
    assert retired not in registry.questions("ch02") and retired not in registry.questions()
    check(retired.id, retired.reference)
    check(retired.id, lambda x, factor: x.sum(-1))
    right, wrong, *_ = capsys.readouterr().out.splitlines()
    assert right.startswith("✓") and wrong.startswith("✗") and "the factor is missing" in wrong


def test_an_id_that_never_was_one_is_refused():
    with pytest.raises(LookupError, match=r"no question 'ch02\.toy'"):
        registry.find(TOY.id)
