"""Question ch02.kl_to_final: how far each entry's distribution is from the model's own."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, integer, normal

__all__ = ["QUESTION"]

LogProbs = Float[Tensor, "entry batch pos d_vocab"]
Divergence = Float[Tensor, "entry batch pos"]


def divergence(log_p: LogProbs, log_q: LogProbs) -> Divergence:
    """KL(p || q) in nats: ``p`` weighs the differences of log-probability."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def kl_to_final(log_probs: LogProbs, *, between: Step = divergence) -> Divergence:
    """KL(final || entry) in nats."""
    return between(log_probs[-1], log_probs)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary distributions, a single token, entries that equal the final one, and vanishing probabilities."""
    ordinary = _log_probs(generator)
    settled = _log_probs(generator)
    settled[1:] = settled[-1]
    extreme = normal(generator, *_log_probs(generator).shape, scale=500.0)
    final = extreme[-1].argmax(-1, keepdim=True)
    extreme[0].scatter_(-1, final, extreme[0].amax(-1, keepdim=True) - 2000)
    return (
        Case("ordinary distributions", {"log_probs": ordinary}),
        Case("a single token", {"log_probs": _log_probs(generator, pos=1)}),
        Case("a single row", {"log_probs": _log_probs(generator, batch=1)}),
        Case("entries that already equal the final one", {"log_probs": settled}),
        Case("log-probabilities down to -2000", {"log_probs": extreme.log_softmax(-1)}),
    )


def _log_probs(generator: torch.Generator, *, batch: int | None = None, pos: int | None = None) -> LogProbs:
    entry, *several = distinct(generator, 3, 3, 6)
    shape = (entry, batch or several[0], pos or several[1], integer(generator, 9, 14))
    return normal(generator, *shape, scale=1.5).log_softmax(-1)


def jensen_shannon(log_p, log_q):
    middle = torch.logaddexp(log_q, log_p.expand_as(log_q)) - math.log(2)
    return (divergence(log_q, middle) + divergence(log_p, middle)) / 2


def categorical(log_p, log_q):
    return torch.distributions.kl_divergence(*(torch.distributions.Categorical(logits=each) for each in (log_p, log_q)))


def through_probabilities(log_p, log_q):
    p, q = log_p.exp(), log_q.exp()
    return (p * (p / q).log()).sum(-1)


def with_floor(floor):
    """Through probabilities with ``floor`` added, so that no logarithm is infinite. A clamp mostly gives the same."""
    return lambda log_p, log_q: (log_p.exp() * ((log_p.exp() + floor).log() - (log_q.exp() + floor).log())).sum(-1)


UNDERFLOW = "Probabilities this small round to zero. Stay with log-probabilities and take exp for the weights only."

FLOORS = (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-20)

on = edits_of(kl_to_final)

MISCONCEPTIONS = {
    "turned_round": on(
        "this is KL(entry || final). Asked for is KL(final || entry): the final distribution gives the weights.",
        between=lambda log_p, log_q: divergence(log_q, log_p),
    ),
    "in_bits": on("this is in bits; asked for are nats, the natural logarithm.", result=lambda kl: kl / math.log(2)),
    "mean_over_vocabulary": on(
        "you average over the vocabulary; the divergence is the sum over it.",
        between=lambda log_p, log_q: divergence(log_p, log_q) / log_q.shape[-1],
    ),
    "cross_entropy": on(
        "this is the cross-entropy of the entry under the final distribution: the final distribution's own entropy has "
        "to come off, so that the last entry gives 0.",
        between=lambda log_p, log_q: -(log_p.exp() * log_q).sum(-1),
    ),
    "unweighted": on(
        "the differences of log-probability are summed without weights; the final probabilities weigh them.",
        between=lambda log_p, log_q: (log_p - log_q).sum(-1),
    ),
    "log_probs_as_weights": on(
        "the weights are log-probabilities; take exp of the final ones first.",
        between=lambda log_p, log_q: (log_p * (log_p - log_q)).sum(-1),
    ),
    "log_probs_as_probs": on(
        "you treat the log-probabilities as if they were probabilities: they are logarithms already.",
        between=lambda log_p, log_q: (log_p * (log_p / log_q).log()).sum(-1),
    ),
    "symmetric": on(
        "you average both directions; asked for is only KL(final || entry), which is not symmetric.",
        between=lambda log_p, log_q: (divergence(log_p, log_q) + divergence(log_q, log_p)) / 2,
    ),
    "jensen_shannon": on(
        "this is the Jensen-Shannon divergence; asked for is KL(final || entry).", between=jensen_shannon
    ),
    "to_next_entry": Misconception(
        lambda log_probs: divergence(torch.cat([log_probs[1:], log_probs[-1:]]), log_probs),
        "you compare each entry with the one after it; compare each with the last.",
    ),
    "from_first_entry": Misconception(
        lambda log_probs: divergence(log_probs[0], log_probs),
        "you take entry 0, the embedding, for the final one; the final entry is the last.",
    ),
    "wrong_sign": on("the sign is turned: a divergence is never negative.", result=torch.neg),
    "through_probabilities": on(
        f"right for ordinary distributions, NaN or infinite for extreme ones. {UNDERFLOW}",
        between=through_probabilities,
    ),
    **{
        f"floor_{floor:g}": on(
            f"the floor of {floor:g} under the probabilities hides that they round to zero, and caps the divergence at "
            f"about {-math.log(floor):.0f} nats. Stay with log-probabilities and take exp for the weights only.",
            between=with_floor(floor),
        )
        for floor in FLOORS
    },
    "categorical": on(
        f"right for ordinary distributions, but torch's Categorical answers infinity for extreme ones. {UNDERFLOW}",
        between=categorical,
    ),
    "summed_over_positions": on(
        "you sum over the positions too; the sum runs over the vocabulary only.", result=lambda kl: kl.sum(-1)
    ),
    "averaged": on(
        "you average over rows and positions; one number for every entry, row and position is asked for.",
        result=lambda kl: kl.mean((-1, -2)),
    ),
}

QUESTION = Question(
    id="ch02.kl_to_final",
    points=1,
    title="Divergence from the final distribution",
    hints=(
        "Which of the two distributions does the averaging in KL(final || entry)?",
        "It is the mean, under the final distribution, of log final - log entry: a sum over the vocabulary with "
        "weights exp(log_probs[-1]).",
        "final = log_probs[-1]; (final.exp() * (final - log_probs)).sum(-1): the entry axis is broadcast.",
    ),
    reference=kl_to_final,
    cases=cases,
    axes={"log_probs": "entry batch pos d_vocab"},
    fields=(Field("kl", "entry batch pos"),),
    misconceptions=MISCONCEPTIONS,
)
