"""A right answer is right in single precision too, and whatever a session's defaults are."""

import pytest
import torch

from mechlib.checks import check, registry
from mechlib.checks.judging import Trial, judge
from mechlib.questions.ch06 import copying_score
from tests.questions.alternatives import alternatives

CANCELLING = {
    # Seeds on which the reference, or another right answer, was rejected when each entry was judged by its own size.
    "ch09.layer": (3, 7, 11, 23),
    "ch10.acting": (0, 1, 4, 17, 59),
    "ch10.bayes": (5, 8, 13, 14, 66, 73),
    "ch14.posterior": (9, 42, 49),
    "ch15.anchored": (0, 15),
    "ch15.refute": (2, 6, 24),
}


TAKING_NUMBERS = [question for question in registry.questions() if question.id != "ch06.ablation_effect"]
"""All but one, whose inputs are a model's name and token ids."""


def in_single(answer):
    def single(*inputs):
        return answer(*(i.float() if isinstance(i, torch.Tensor) and i.is_floating_point() else i for i in inputs))

    return single


@pytest.mark.parametrize("question_id", CANCELLING)
def test_an_entry_that_cancels_is_judged_by_the_size_of_what_was_summed(question_id):
    question = registry.find(question_id)
    for seed in CANCELLING[question_id]:
        trial = Trial(question, seed)
        for name, answer in {"reference": question.reference, **alternatives(question)}.items():
            assert judge(trial, trial.run(in_single(answer))).status == "right", (name, seed)


@pytest.mark.parametrize("seed", [8, 10, 46, 96])
def test_copying_from_the_eigenvalues_of_the_whole_circuit_in_single_precision(seed):
    trial = Trial(registry.find("ch06.copying_score"), seed)

    def whole(W_E, W_V, W_O, W_U):
        return copying_score.positivity(torch.linalg.eigvals(W_E @ W_V @ W_O @ W_U))

    assert judge(trial, trial.run(whole)).status == "right"


def test_the_slack_is_that_of_rounding_and_no_more():
    """Ten times the slack of single precision, at the entry that has the most."""
    trial = Trial(registry.find("ch09.layer"), 3)
    slack = trial.lenient[0][0].slack
    off = torch.zeros_like(slack)
    off.view(-1)[slack.argmax()] = 10 * slack.max() + 0.01

    def nearly(*inputs):
        right = trial.question.reference(*inputs)
        return right + off if right.shape == off.shape else right

    assert judge(trial, trial.run(nearly)).status == "wrong"


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("question", TAKING_NUMBERS, ids=lambda question: question.id)
def test_check_judges_right_answers_under_any_default_dtype(question, dtype, capsys):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        check(question.id, question.reference, seed=1)
        after = torch.get_default_dtype()
    finally:
        torch.set_default_dtype(before)
    said = capsys.readouterr().out
    assert after == dtype and "the check itself failed" not in said
    assert said.startswith("✓") or dtype == torch.bfloat16, said


def test_a_fault_of_the_check_itself_is_told_and_is_no_try(toy, record, monkeypatch, capsys):
    monkeypatch.setattr("mechlib.checks.asking.judge", lambda *_: 1 / 0)
    check(toy.id, toy.reference, seed=5)
    said = capsys.readouterr().out
    assert "the check itself failed" in said and "ZeroDivisionError" in said and "seed=5" in said
    assert record.entry(toy.id).tries == 0
