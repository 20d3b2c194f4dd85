"""Which sentence an answer gets, and that a judgement needs only what came back, not the function."""

import pytest
import torch

from mechlib.checks.judging import SHOWN_ELSEWHERE, Trial, judge
from mechlib.checks.running import Returned


@pytest.fixture
def trial(toy):
    return Trial(toy, seed=4)


def test_each_misconception_is_named_unless_another_returns_the_same(trial):
    for name, misconception in trial.question.misconceptions.items():
        judgement = judge(trial, trial.run(misconception.answer))
        assert judgement.status == "wrong"
        assert judgement.misconception == (None if "twin" in name else name)


def test_a_misconception_on_some_cases_only_is_not_named(trial):
    def mixed(x, factor):
        return (x * factor).mean(-1) if len(x) > 1 else (x * factor).sum(-1) + 1

    assert judge(trial, trial.run(mixed)).misconception is None


def test_plain_data_from_elsewhere_is_judged_like_a_run(trial):
    outputs = [Returned(outcome.value.tolist()) for outcome in trial.run(trial.question.reference)]
    assert judge(trial, outputs).status == "right"


def test_the_same_seed_gives_the_same_cases(toy):
    first, second, other = (Trial(toy, seed).cases[0].inputs["x"] for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_a_misconception_runs_no_further_than_it_takes_to_tell(trial, toy, monkeypatch):
    calls = []
    counted = toy.misconceptions["mean"].__class__(lambda x, factor: calls.append(1) or 0 * x.sum(-1) + 37, "")
    monkeypatch.setitem(toy.__dict__, "misconceptions", {"counted": counted})
    assert judge(trial, trial.run(lambda x, factor: x.sum(-1))).misconception is None
    assert len(calls) == 1


def test_of_hidden_cases_the_kind_and_the_mistake_are_told_and_no_more(trial):
    def told(answer):
        return judge(trial, trial.run(answer), hidden=True)

    mean = told(lambda x, factor: (x * factor).mean(-1))
    assert (mean.headline, mean.misconception) == ("this is the mean, not the sum.", "mean")
    assert mean.details == ("total is off", "On the case of three rows.")
    own = told(lambda x, factor: (x * factor).sum(-1) + 1)
    assert own.headline == "not right yet. total is off"
    assert own.details == ("On the case of three rows.", SHOWN_ELSEWHERE)
    raised = told(lambda x, factor: 1 / 0)
    assert raised.headline == "your function raised ZeroDivisionError: division by zero"
    assert raised.details[-1] == "On the case of three rows."
    assert told(lambda x, factor: (x * factor).sum(-1)).status == "right"


def test_a_failing_misconception_names_nothing(trial, toy, monkeypatch):
    broken = dict(toy.misconceptions) | {"broken": toy.misconceptions["mean"].__class__(lambda x: x, "never said")}
    monkeypatch.setitem(toy.__dict__, "misconceptions", broken)
    assert judge(trial, trial.run(lambda x, factor: (x * factor).mean(-1))).misconception == "mean"


def test_a_failing_reference_is_our_fault(toy, monkeypatch):
    monkeypatch.setitem(toy.__dict__, "reference", lambda x: x)
    with pytest.raises(AssertionError, match="the reference of"):
        judge(Trial(toy, 0), Trial(toy, 0).run(lambda x, factor: x))
