"""Open tasks: what earns points, what earns none, and that nothing which is handed in raises."""

import numpy as np
import pytest
import torch

from mechlib.checks import check, progress, solved
from mechlib.checks.open_judging import OpenTrial
from mechlib.checks.plain import MOST_NUMBERS, plain
from mechlib.checks.record import Record
from mechlib.checks.values import Unreadable
from mechlib.questions import ch02
from tests.checks.open_toy import AWAY, MIDDLE, SIGNS


@pytest.fixture(autouse=True)
def nothing_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path))


@pytest.fixture
def said(monkeypatch, capsys):
    """``said(answer)``: what ``check`` prints."""
    monkeypatch.setattr(ch02, "QUESTIONS", (*ch02.QUESTIONS, AWAY, MIDDLE, SIGNS))

    def lines(answer, task=MIDDLE):
        assert check(task.id, answer, seed=5) is None
        return capsys.readouterr().out.splitlines()

    return lines


def judged(task, answer, seed=0, **keywords):
    trial = OpenTrial(task, seed)
    return trial.judge(trial.run(answer), **keywords)


def test_points_go_by_the_outcome_and_the_most_of_them_stay(said, record):
    lines = said(1.2)
    assert lines[0].startswith("◐ ch02.middle: 1 of 3 points. It is off by 3.") and "zero is by 9." in lines[0]
    assert any("3 points are for at most 2% of the baseline, here 0.1" in line for line in lines)
    lines = said(-50)
    assert (
        lines[0].startswith("✗ ch02.middle: 0 of 3 points.")
        and "  An earlier answer earned 1 of 3 points, which stay." in lines
    )
    assert (record.entry("ch02.middle").status, record.entry("ch02.middle").earned) == ("partly", 1)
    assert (progress().points, record.entry("ch02.middle").tries) == (1, 2)
    assert not solved("ch02.middle")
    assert any(line.startswith("✓ ch02.middle: right (3 points). It is off by 0.0") for line in said(3.0))
    assert progress().points == 3 and solved("ch02.middle")


def test_a_function_is_called_on_the_cases(said, record):
    assert said(torch.sign, SIGNS)[0] == "✓ ch02.signs: right (2 points). Off by 0.000."
    assert said(lambda x: 0.5 * x.sign(), SIGNS)[0].startswith("◐ ch02.signs: 1 of 2 points. Off by 0.5")
    assert "  Your earlier right answer keeps its points." in said(lambda x: 0.5 * x.sign(), SIGNS)
    first, *rest = said(lambda x: x.sing(), SIGNS)
    assert first.startswith("✗ ch02.signs: your function raised AttributeError") and any("x [5]" in x for x in rest)
    assert progress().points == 2


def raising(x):
    raise NotImplementedError


@pytest.mark.parametrize("stub", [None, raising, lambda x: None])
def test_a_stub_is_not_answered(stub, said, record):
    assert said(stub, SIGNS)[0].startswith("· ch02.signs: not answered")
    assert record.entry("ch02.signs").tries == 0


def test_what_is_missing_tells_what_is_handed_in_and_the_budget(said):
    assert MIDDLE.handed_in in said(None)[0] and MIDDLE.budget in said(None)[0]


def test_a_model_that_is_not_here_is_named_with_the_command_and_nothing_is_judged(said, record):
    first, *_ = said(3.0, AWAY)
    assert first.startswith("· ch02.away: not judged: smollm2-135m is not on this machine")
    assert "mechlib zoo fetch smollm2-135m" in first
    assert record.entry("ch02.away").tries == 0


class Odd:
    def __len__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("handed", "said_of_it"),
    [
        ({3: 3.0}, "keys are no texts"),
        ("three", "the guess is a number"),
        (torch.ones(2), "the guess is a number"),
        (Odd(), "type Odd"),
        (1j, "type complex"),
        ([[[[[[[[3.0]]]]]]]], "deep"),
        (torch.sign, "something of the type"),
    ],
)
def test_what_cannot_be_judged_is_said_with_what_would_be_right(handed, said_of_it, said):
    first, second, *_ = said(handed)
    assert first.startswith("✗ ch02.middle: ") and said_of_it in first
    assert MIDDLE.handed_in in second


@pytest.mark.parametrize("guess", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_earns_nothing(guess):
    assert judged(MIDDLE, guess).earned == 0


def test_hidden_instances_tell_no_outcome():
    judgement = judged(MIDDLE, 1.2, hidden=True)
    words = " ".join((judgement.headline, *judgement.details))
    assert judgement.headline == "1 of 3 points." and "It lies too low." in words
    assert "off by" not in words and "3.24" not in words and "zero" not in words


@pytest.mark.parametrize(("task", "way"), [(MIDDLE, 3.0), (SIGNS, torch.sign)], ids=lambda each: "")
def test_nulls_earn_nothing_and_thought_earns_all_on_every_seed(task, way):
    for seed in range(50):
        for null in task.nulls(torch.Generator().manual_seed(seed)).values():
            assert judged(task, null, seed).status == "wrong"
        assert judged(task, way, seed).status == "right"


def test_the_same_seed_gives_the_same_instance():
    assert judged(MIDDLE, 2.0, 3) == judged(MIDDLE, 2.0, 3) != judged(MIDDLE, 2.0, 4)


def test_points_of_a_part_are_saved_and_read_back(tmp_path):
    record, other = Record(), Record()
    record.judged("ch02.middle", "partly", 2)
    record.save(tmp_path / "progress.json")
    other.judged("ch02.middle", "partly", 1)
    other.load(tmp_path / "progress.json")
    assert other.entry("ch02.middle").earned == 2 and other.entry("ch02.middle").status == "partly"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (torch.tensor(2.5), 2.5),
        (np.float32(0.5), 0.5),
        (True, True),
        ((1, "a", None), [1, "a", None]),
        ({"b", "a"}, ["a", "b"]),
        (range(3), [0, 1, 2]),
        ({"x": [1.5]}, {"x": [1.5]}),
    ],
)
def test_plain_data_in_any_container(value, expected):
    assert plain(value) == expected and type(plain(value)) is type(expected)


def test_arrays_become_tensors_in_double_precision():
    assert all(plain(a).dtype == torch.float64 for a in (np.ones(3, np.float32), torch.ones(3, requires_grad=True)))


@pytest.mark.parametrize("value", ["x" * 10**5, [0] * 10**5, torch.zeros(MOST_NUMBERS + 1), object(), {1: 2}])
def test_what_is_too_much_or_no_data_is_not_read(value):
    with pytest.raises(Unreadable):
        plain(value)
