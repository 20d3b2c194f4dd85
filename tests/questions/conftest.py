"""Judgements on seeds that the audit does not use."""

from functools import cache

import pytest

from mechlib.checks.judging import Trial, judge
from mechlib.checks.registry import find


@pytest.fixture(scope="session")
def judged():
    """``judged(question_id, answer)``: the judgements on a few seeds that the audit does not use."""

    @cache
    def trials(question_id):
        return [Trial(find(question_id), seed) for seed in range(1000, 1005)]

    return lambda question_id, answer: [judge(trial, trial.run(answer)) for trial in trials(question_id)]
