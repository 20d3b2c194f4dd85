"""The most probable tokens, found among groups of neighbours, against ``torch.topk`` on the whole vocabulary."""

import pytest
import torch

from mechlib.stream.summary import NEIGHBOURS, top_of


@pytest.mark.parametrize("k", [0, 1, 5, 12])
@pytest.mark.parametrize("d_vocab", [NEIGHBOURS, 20 * NEIGHBOURS, 20 * NEIGHBOURS + 7, 13 * NEIGHBOURS - 1])
def test_the_largest_of_all_are_found_in_whatever_group_they_lie(d_vocab, k):
    logits = torch.rand(30, d_vocab, generator=torch.Generator().manual_seed(d_vocab + k)).argsort(1).float()
    logits[:4, -3:] += d_vocab  # in the rest that fills no group, where there is one
    logits[4:8, :9] += d_vocab  # all in one group
    logits[8:12] = torch.where(torch.arange(d_vocab) % 7 == 0, logits[8:12], -torch.inf)
    values, ids = top_of(logits, k)
    expected = logits.topk(k)
    torch.testing.assert_close(values, expected.values, rtol=0, atol=0)
    possible = expected.values.isfinite()
    assert torch.equal(ids[possible], expected.indices[possible])


def test_not_a_number_is_larger_than_all_others_as_for_torch():
    logits = torch.arange(40.0 * NEIGHBOURS).repeat(2, 1)
    logits[1, 70] = torch.nan
    values, ids = top_of(logits, 3)
    assert values[1, 0].isnan() and ids[1].tolist() == [70, 2559, 2558] and ids[0].tolist() == [2559, 2558, 2557]
