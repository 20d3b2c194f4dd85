"""Patching on the real model, where indirect objects say what it must find."""

import pytest
import torch

from mechlib import english
from mechlib.causal import activation_patching, attribution_patching, logit_difference, path_patching

N_PROMPTS = 2
MOVER = (23, 3)
"""The head of the largest direct effect (tests of ``stream.direct_logit_attribution``)."""


@pytest.fixture(scope="module")
def pair(smollm2):
    """A few prompts, their twins in which the other name is the one repeated, and the metric."""
    prompts = english.indirect_objects(smollm2.tokenizer.encode)
    few = slice(N_PROMPTS)
    metric = logit_difference(prompts.right[few], prompts.wrong[few])
    return smollm2, prompts.tokens[few], prompts.swapped[few], metric, prompts.again_at[few]


def test_the_repeated_name_carries_the_answer_until_the_last_position_does(pair):
    *given, again_at = pair
    result = activation_patching(*given, only=[0, 30], progress=False)
    rows = torch.arange(N_PROMPTS)
    assert (result.base < -1).all() and (result.giver > 1).all()
    for entry, position in ((0, again_at), (30, -1)):
        torch.testing.assert_close(result.recovered[rows, entry, position], torch.ones(N_PROMPTS), atol=1e-3, rtol=0)
        assert result.effect[:, entry].abs().gt(1e-2).sum() == N_PROMPTS


def test_a_head_that_moves_the_name_is_found_by_all_three(pair):
    *given, _ = pair
    here = {"site": "head", "positions": -1}
    estimate = attribution_patching(*given, **here)
    found = estimate.largest(3)
    assert {"layer": 23, "head": 3, "pos": 0} in found
    exact = activation_patching(*given, **here, only=found, progress=False)
    direct = path_patching(*given, senders=[MOVER], progress=False)
    layer, head = MOVER
    assert exact.mean("recovered")[layer, head, 0] > 0.1
    assert direct.mean("recovered")[layer, head] > 0.1
