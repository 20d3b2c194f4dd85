"""Judgements on seeds that the audit does not use."""

from functools import cache

import pytest

from mechlib.checks.judging import Trial, judge
from mechlib.checks.open_judging import OpenTrial
from mechlib.checks.open_task import OpenTask
from mechlib.checks.registry import find


@pytest.fixture(scope="session")
def judged():
    """``judged(question_id, answer)``: the judgements on a few seeds that the audit does not use."""

    @cache
    def trials(question_id):
        question = find(question_id)
        if isinstance(question, OpenTask):
            return [OpenTrial(question, seed) for seed in (1000, 1001)]
        return [Trial(question, seed) for seed in range(1000, 1005)]

    def judgement(trial, answer):
        outcomes = trial.run(answer)
        return trial.judge(outcomes) if isinstance(trial, OpenTrial) else judge(trial, outcomes)

    return lambda question_id, answer: [judgement(trial, answer) for trial in trials(question_id)]
