"""What the benchmarks compare gives the same outputs, on a small random model."""

import pytest
import torch

from mechlib.bridge import Shape
from mechlib.heads import repeated_tokens
from tests.benchmarks import heads, lens, machine
from tests.models import random_native

SHAPE = Shape(n_layers=2, d_model=32, n_heads=2, d_head=16, d_mlp=64, n_ctx=24, d_vocab=211)


@pytest.fixture
def model():
    return random_native(SHAPE, scale=0.2)


@torch.no_grad()
def test_all_lenses_agree(model):
    rows = torch.randint(SHAPE.d_vocab, (3, 25), generator=torch.Generator().manual_seed(0))
    results = {name: method(model, rows[:, :-1], rows[:, 1:]) for name, method in lens.METHODS.items()}
    assert results.pop("floor") is None
    lens.agree(results)
    assert {len(outputs) for outputs in results.values()} == {1, 4, 5}


@torch.no_grad()
def test_all_head_scores_agree(model):
    tokens = repeated_tokens(3, 11, SHAPE.d_vocab, generator=torch.Generator().manual_seed(0))
    results = {name: method(model, tokens) for name, method in heads.METHODS.items()}
    assert results.pop("floor") is None
    heads.agree(results)
    assert {len(scores) for scores in results.values()} == {3}


def test_the_peak_of_tensors_is_that_of_what_exists_together():
    def call():
        kept = torch.zeros(1_000_000)
        for _ in range(3):
            kept = torch.ones(250_000).sum() + kept[:10]
        return kept

    most, alone = machine.peak_of_tensors(call), machine.peak_of_tensors(lambda: torch.zeros(1_000_000))
    assert alone == 4_000_000 and 5_000_000 <= most < 5_010_000 and most == machine.peak_of_tensors(call)
