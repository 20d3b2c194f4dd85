"""Every question names its own mistakes and accepts its own alternatives; the audit would show it if not."""

from dataclasses import replace
from pathlib import Path

import pytest

from mechlib.checks.question import Misconception
from mechlib.checks.registry import questions
from tests.checks.toy import TOY
from tests.questions.alternatives import alternatives
from tests.questions.audit import audit

SEEDS = 5


@pytest.mark.parametrize("question", questions(), ids=lambda q: q.id)
def test_mistakes_are_named_and_alternatives_accepted(question):
    """On a few seeds; ``python -m tests.benchmarks.audit`` takes fifty."""
    (row,) = audit(SEEDS, only=[question], show_progress=False).rows
    assert row.rejected == row.wrong >= SEEDS * 5
    assert row.accepted == row.right >= SEEDS * 3
    assert row.misnamed == 0
    assert row.named >= 0.8 * row.wrong


def test_ids_are_unique_and_belong_to_their_chapter():
    ids = [question.id for question in questions()]
    assert len(set(ids)) == len(ids)
    assert all(question in questions(question.chapter) for question in questions())


def test_alternatives_are_there_for_every_question_and_for_nothing_else():
    folder = Path(alternatives.__code__.co_filename).parent
    assert {f"{path.parent.name}.{path.stem}" for path in folder.glob("ch*/*.py")} == {q.id for q in questions()}


def test_a_bad_question_is_seen():
    mistakes = {
        "not wrong": Misconception(TOY.reference, "this is right."),
        "mean": TOY.misconceptions["mean"],
        "mean again": TOY.misconceptions["mean"],
        "unscaled": TOY.misconceptions["unscaled"],
    }
    rights = {"wrong": lambda x, factor: x.sum(-1), "sum": TOY.reference}
    bad = replace(TOY, misconceptions=mistakes)
    (row,) = audit([3, 4], only=[bad], right=lambda _: rights, show_progress=False).rows
    assert (row.wrong, row.rejected, row.named, row.misnamed) == (8, 6, 2, 0)
    assert (row.right, row.accepted) == (4, 2)


def test_the_table_has_a_line_for_every_question():
    table = repr(audit(1, show_progress=False))
    assert [line.split()[0] for line in table.splitlines()] == ["question", *(q.id for q in questions())]
