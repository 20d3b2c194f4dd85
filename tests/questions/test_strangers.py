"""Answers that no question has seen, of every chapter.

Wrong ones that are no misconception, as a class would hand them in: none may be accepted, none of an open task earn all
of its points, and none may be given the name of another mistake. Right ones in odd styles: all must be accepted.
"""

import importlib
from pathlib import Path

import pytest

CHAPTERS = [
    importlib.import_module(f"tests.questions.strangers.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("strangers/ch*.py"))
]


def answers(kind):
    return [
        pytest.param(question, answer, id=f"{question}: {name}")
        for chapter in CHAPTERS
        for question, named in getattr(chapter, kind).items()
        for name, answer in named.items()
    ]


@pytest.mark.parametrize(("question", "answer"), answers("WRONG"))
def test_a_new_mistake_is_rejected_and_not_given_the_name_of_another(question, answer, judged):
    for judgement in judged(question, answer):
        assert judgement.status in ("wrong", "raised", "partly")
        assert judgement.misconception is None


@pytest.mark.parametrize(("question", "answer"), answers("RIGHT"))
def test_a_right_answer_in_any_style_is_accepted(question, answer, judged):
    for judgement in judged(question, answer):
        assert judgement.status == "right", judgement
