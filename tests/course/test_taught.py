"""What a class teaches: groups of unnamed mistakes, difficulty and discrimination, on classes with a known truth."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from mechlib.checks.judging import Trial
from mechlib.course.clusters import clusters
from mechlib.course.items import FEWEST, discrimination, items
from mechlib.course.roster import Student
from mechlib.course.taught import answer_code, taught
from mechlib.grading.common import told
from mechlib.grading.notebook import Cell
from tests.course.conftest import question, submission
from tests.grading.toys import ENDS, TOTAL, total

PLANTED = (
    lambda x, factor: total(x, factor) + 1,
    lambda x, factor: (x.double() * factor).sum(-1) + 1,
    lambda x, factor: [float((row * factor).sum()) + 1 for row in x],
    lambda x, factor: 1 + factor * x.numpy().sum(1),
    lambda x, factor: (total(x, factor) + 1).half(),
    lambda x, factor: 1 + torch.einsum("rc,->r", x, torch.tensor(float(factor))),
)
"""One mistake, written in many ways."""

OTHERS = (
    lambda x, factor: total(x, factor) + 2,
    lambda x, factor: -total(x, factor),
    lambda x, factor: x.sum(-1) + factor,
    lambda x, factor: total(x, factor)[:, None],
    lambda x, factor: total(x, factor).log(),
)


def returned(answers, question=TOTAL, seed=5):
    trial = Trial(question, seed)
    return {name: told(trial, trial.run(answer)) for name, answer in answers.items()}


def class_of_120():
    """12 hold the planted mistake, 5 others one each; 103 are right, and so leave nothing behind."""
    planted = {f"p{i}": PLANTED[i % len(PLANTED)] for i in range(12)}
    return planted | {f"o{i}": other for i, other in enumerate(OTHERS)}


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_mistake_is_one_group_and_nobody_else_is_in_it(seed):
    found = clusters(returned(class_of_120(), seed=seed), TOTAL.fields)
    assert [len(group.members) for group in found] == [12, 1, 1, 1, 1, 1]
    assert set(found[0].members) == {f"p{i}" for i in range(12)}
    assert found[0].traits == ("total: the right value plus 1",)


def test_a_class_of_right_answers_has_no_group():
    assert clusters({}, TOTAL.fields) == []


def test_groups_do_not_depend_on_the_order():
    answers = class_of_120()
    one = clusters(returned(answers), TOTAL.fields)
    other = clusters(returned(dict(reversed(answers.items()))), TOTAL.fields)
    assert {frozenset(group.members) for group in one} == {frozenset(group.members) for group in other}


def test_mistakes_that_agree_on_one_field_or_some_cases_are_two():
    answers = {
        "first": lambda x, factor: (x[:, 0], (x[:, -1] > 0).sum()),
        "both": lambda x, factor: (x[:, 0], (x[:, -1] > 0).sum() + 1),
        "third": lambda x, factor: (x[:, 0] if len(x) != 3 else x[:, 0] * 2, (x[:, -1] > 0).sum()),
        "again": lambda x, factor: (x[:, 0].tolist(), int((x[:, -1] > 0).sum())),
    }
    found = clusters(returned(answers, ENDS), ENDS.fields)
    assert [group.members for group in found] == [("first", "again"), ("both",), ("third",)]


def test_answers_that_raise_are_alike_where_they_raise_the_same_on_the_same_case():
    def raising(kind, rows):
        def answer(x, factor):
            if len(x) == rows:
                raise kind(f"with {rows} rows")
            return total(x, factor)

        return answer

    answers = {
        "a": raising(ValueError, 1),
        "b": raising(ValueError, 1),
        "c": raising(KeyError, 1),
        "d": raising(ValueError, 7),
    }
    found = clusters(returned(answers), TOTAL.fields)
    assert [group.members for group in found] == [("a", "b"), ("c",), ("d",)]
    assert found[0].traits == ("raises ValueError on the case of a single row",)


def graded(shares):
    """Submissions whose questions have these shares of two points."""
    return [
        submission(
            f"s{i}",
            *(question(f"q{j}", "right" if s == 1 else "wrong", score=2 * s) for j, s in enumerate(row)),
        )
        for i, row in enumerate(shares)
    ]


def test_difficulty_and_discrimination_by_hand():
    """Twenty students: the first question goes exactly with the second and against the third."""
    rows = [[1, 1, 0]] * 10 + [[0, 0, 1]] * 10
    first, _, third = items(graded(rows))
    assert (first.difficulty, first.n) == (0.5, 20)
    assert first.discrimination is None and first.why == "all have the same points elsewhere"
    assert third.discrimination.mean == pytest.approx(-1)


def test_discrimination_is_that_of_parallel_questions():
    """k questions that correlate by r in pairs: each has r sqrt((k - 1) / (1 + (k - 2) r)) with the sum of the rest."""
    k, r, n = 6, 0.3, 40_000
    generator = np.random.default_rng(0)
    values = np.sqrt(r) * generator.standard_normal((n, 1)) + np.sqrt(1 - r) * generator.standard_normal((n, k))
    found, _ = discrimination(values[:, 0], values[:, 1:].sum(1))
    truth = r * np.sqrt((k - 1) / (1 + (k - 2) * r))
    assert abs(found.mean - truth) < 4.5 * (1 - truth**2) / np.sqrt(n)


def test_the_interval_misses_as_often_as_it_says():
    """Of a bivariate normal, where Fisher's transformation is that of theory."""
    generator, truth, n, draws = np.random.default_rng(1), 0.4, 30, 3000
    hits = 0
    for _ in range(draws):
        a = generator.standard_normal(n)
        b = truth * a + np.sqrt(1 - truth**2) * generator.standard_normal(n)
        found, _ = discrimination(a, b)
        hits += found.low <= truth <= found.high
    assert abs(hits / draws - 0.95) < 4.5 * np.sqrt(0.95 * 0.05 / draws)


def test_few_students_and_no_spread_have_no_discrimination_and_say_why():
    (few, *_), (same, *_) = items(graded([[1, 0]] * (FEWEST - 1))), items(graded([[1, 0], [1, 1]] * FEWEST))
    assert (few.discrimination, few.why) == (None, f"{FEWEST - 1} students are too few")
    assert (same.discrimination, same.why) == (None, "all have the same points here")


def test_what_was_not_judged_counts_for_nothing():
    rows = graded([[1, 0, 1], [0, 1, 0]] * 15)
    unjudged = [
        submission(g.student, question("q0", "unjudged"), *g.questions[1:]) if i < 10 else g for i, g in enumerate(rows)
    ]
    first, second, _ = items(unjudged)
    assert (first.n, first.difficulty) == (20, 0.5)
    assert second.discrimination.mean == pytest.approx(-1), "the rest is the third question alone"


NASTY = "</script><script>alert(1)</script>"
ROSTER = [Student("ada", section="A"), Student("bob", section="B"), Student("eve", section="A")]


def test_the_page_shows_the_group_with_an_example_and_its_sections():
    kept = returned({"ada": PLANTED[0], "bob": PLANTED[1], "eve": OTHERS[0]}, TOTAL)
    grades = [submission(name, replace(question("read_out", "wrong"), returned=text)) for name, text in kept.items()]
    page = taught(grades, lambda grade, name: f"def read_out():  # {grade.student} {NASTY}", ROSTER)
    rows = re.findall(r"<tr data-section=\"([^\"]*)\">(.*?)</tr>", page, re.DOTALL)
    groups = [(sections.split("\n"), text) for sections, text in rows if "<details>" in text]
    assert [sections for sections, _ in groups] == [["everybody", "A", "B"], ["everybody", "A"]]
    assert ">2 (A 1, B 1)<" in groups[0][1] and "def read_out():  # ada" in groups[0][1]
    assert NASTY not in page and page.count("<script>") == 1
    assert "3 students are too few" in page


def test_a_class_without_wrong_answers_or_roster_has_a_page_too():
    page = taught([submission("ada", question("read_out"))])
    assert "wrong in the same way" not in page and "known mistakes" not in page and "Section" not in page


def test_the_text_of_an_answer_is_found():
    cells = [
        Cell(0, "def total(x):\n    return 1"),
        Cell(1, "import torch\n\n@torch.no_grad()\ndef total(x):\n    # note\n\n    return 2\n\nprint(total(1))"),
        Cell(2, 'check("ch02.total", total)'),
        Cell(3, "def broken(:\n  x"),
    ]
    assert answer_code(cells, "ch02.total") == "def total(x):\n    # note\n\n    return 2"
    assert answer_code(cells[2:], "ch02.total") == 'check("ch02.total", total)'
    assert answer_code([], "ch02.total") == ""
    assert answer_code([Cell(0, "total = lambda x: 3\nx = 1")], "ch02.total") == "total = lambda x: 3"
