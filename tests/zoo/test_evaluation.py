"""What is measured of a model, on models whose answers are known in advance."""

import math

import pytest
import torch
from torch import nn

from mechlib.bridge import Shape
from mechlib.zoo.evaluation import in_context_score, measure, repeat_loss, token_losses

D_VOCAB, N_CTX = 300, 256


class Uniform(nn.Module):
    """The same logit for every token."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, tokens):
        return self.weight * torch.ones(*tokens.shape, D_VOCAB)


class Copier(Uniform):
    """Predicts, with all its weight, the token that stood ``period`` - 1 places before."""

    def __init__(self, period):
        super().__init__()
        self.back = period - 1

    def forward(self, tokens):
        return 50.0 * torch.nn.functional.one_hot(tokens.roll(self.back, 1), D_VOCAB)


class BetterLate(Uniform):
    """Gives the next token, always 7, a probability that depends on the position."""

    def __init__(self, early, late):
        super().__init__()
        self.probabilities = torch.full((N_CTX,), 0.5)
        self.probabilities[40:60], self.probabilities[200:256] = early, late

    def forward(self, tokens):
        logits = torch.zeros(*tokens.shape, D_VOCAB)
        p = self.probabilities[: tokens.shape[1]]
        logits[..., 7] = torch.log(p * (D_VOCAB - 1) / (1 - p))
        return logits


def test_a_uniform_guess_costs_the_logarithm_of_the_vocabulary():
    rows = torch.randint(D_VOCAB, (5, 33), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(token_losses(Uniform(), rows), torch.full((5, 32), math.log(D_VOCAB)))
    assert repeat_loss(Uniform(), D_VOCAB, N_CTX) == pytest.approx(math.log(D_VOCAB), abs=1e-4)


def test_copying_costs_nothing_on_repeats_and_only_at_their_period():
    assert repeat_loss(Copier(50), D_VOCAB, N_CTX) < 1e-3
    assert repeat_loss(Copier(49), D_VOCAB, N_CTX) > 10
    assert repeat_loss(Copier(12), D_VOCAB, 24) < 1e-3, "a short context holds two shorter copies"


def test_the_in_context_score_is_late_minus_early():
    losses = token_losses(BetterLate(early=0.2, late=0.8), torch.full((3, N_CTX + 1), 7))
    assert in_context_score(losses) == pytest.approx(math.log(0.2) - math.log(0.8), abs=1e-4)
    assert math.isnan(in_context_score(losses[:, :100]))


def test_a_line_of_the_log_holds_the_three():
    shape = Shape(n_layers=1, d_model=8, n_heads=1, d_head=8, d_mlp=0, n_ctx=N_CTX, d_vocab=D_VOCAB)
    rows = torch.randint(D_VOCAB, (4, N_CTX + 1), generator=torch.Generator().manual_seed(0))
    line = measure(Uniform(), shape, rows)
    assert line == {"held_out": 5.7038, "in_context": pytest.approx(0.0, abs=1e-3), "repeat": 5.7038}
