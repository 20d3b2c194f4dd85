"""The questions on the real model's repair: the reference against the library, and what may be handed in."""

import pytest
import torch

from mechlib.checks.open_task import Unfit
from mechlib.checks.registry import find
from mechlib.questions.ch08 import cut_six
from mechlib.repair import direct_effects
from mechlib.stream import residual_entries
from mechlib.stream.hooks import head_output_hooks
from tests.causal.models import CLEAN, bridge_and_reference


def test_the_direct_effect_is_that_of_the_library():
    model, reference = bridge_and_reference("llama grouped")
    layer, head = 1, 2
    caught = []
    with torch.no_grad():
        model.run_with_hooks(
            CLEAN, fwd_hooks=[(head_output_hooks(model)[layer], lambda z, hook: caught.append(z[:, -1, head]))]
        )
    written = caught[0] @ model.W_O[layer, head]
    right, wrong = torch.tensor([4, 7, 1]), torch.tensor([3, 9, 20])
    found = find("ch08.direct").reference(
        written,
        written.mean(0).expand_as(written),
        residual_entries(model, CLEAN)[-1, :, -1],
        reference.final_norm.weight,
        reference.final_norm.variance_epsilon,
        model.W_U[:, right].T,
        model.W_U[:, wrong].T,
    )
    expected = direct_effects(model, CLEAN, right, wrong)[layer, head]
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize(
    "handed",
    [
        [(23, 0)] * 6,
        [(23, head) for head in range(5)],
        [(23, head) for head in range(4, 10)],
        [(30, head) for head in range(6)],
        [(23, 0.5), *[(23, head) for head in range(1, 6)]],
        [(23, True), *[(23, head) for head in range(2, 7)]],
        [23, 0, 23, 1, 23, 2],
        torch.zeros(6, 2),
        "twelve",
        None,
    ],
)
def test_what_is_no_six_heads_is_unfit(handed):
    with pytest.raises(Unfit, match="6 different heads are cut, each a pair of a layer from 0 to 29"):
        cut_six.heads_of(handed)


@pytest.mark.parametrize("form", [list, torch.tensor, lambda heads: [list(head) for head in heads]])
def test_six_heads_come_in_any_form(form):
    assert cut_six.heads_of(form([*cut_six.DIRECT])) == [*cut_six.DIRECT]
