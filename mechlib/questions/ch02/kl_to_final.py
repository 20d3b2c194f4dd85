"""Question ch02.kl_to_final: how far each entry's distribution is from the model's own."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal

__all__ = ["QUESTION"]

LogProbs = Float[Tensor, "entry batch pos d_vocab"]
Divergence = Float[Tensor, "entry batch pos"]


def kl_to_final(log_probs: LogProbs) -> Divergence:
    """KL(final || entry) in nats: the final distribution weighs the differences of log-probability."""
    return divergence(log_probs[-1], log_probs)


def divergence(log_p: LogProbs, log_q: LogProbs) -> Divergence:
    """KL(p || q) in nats."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary distributions, a single token, entries that equal the final one, and vanishing probabilities."""
    ordinary = _log_probs(generator)
    settled = _log_probs(generator)
    settled[1:] = settled[-1]
    return (
        Case("ordinary distributions", {"log_probs": ordinary}),
        Case("a single token", {"log_probs": _log_probs(generator, pos=1)}),
        Case("entries that already equal the final one", {"log_probs": settled}),
        Case("log-probabilities down to -2000", {"log_probs": _log_probs(generator, scale=500.0)}),
    )


def _log_probs(generator: torch.Generator, *, pos: int | None = None, scale: float = 1.5) -> LogProbs:
    entry, batch, several = distinct(generator, 3, 3, 6)
    d_vocab = integer(generator, 9, 14)
    return normal(generator, entry, batch, several if pos is None else pos, d_vocab, scale=scale).log_softmax(-1)


def turned_round(log_probs):
    return divergence(log_probs, log_probs[-1])


def in_bits(log_probs):
    return kl_to_final(log_probs) / math.log(2)


def mean_over_vocabulary(log_probs):
    return kl_to_final(log_probs) / log_probs.shape[-1]


def cross_entropy(log_probs):
    return -(log_probs[-1].exp() * log_probs).sum(-1)


def unweighted(log_probs):
    return (log_probs[-1] - log_probs).sum(-1)


def log_probs_as_weights(log_probs):
    return (log_probs[-1] * (log_probs[-1] - log_probs)).sum(-1)


def log_probs_as_probs(log_probs):
    return (log_probs[-1] * (log_probs[-1] / log_probs).log()).sum(-1)


def symmetric(log_probs):
    return (kl_to_final(log_probs) + turned_round(log_probs)) / 2


def jensen_shannon(log_probs):
    middle = torch.logaddexp(log_probs, log_probs[-1].expand_as(log_probs)) - math.log(2)
    return (divergence(log_probs, middle) + divergence(log_probs[-1], middle)) / 2


def to_next_entry(log_probs):
    after = torch.cat([log_probs[1:], log_probs[-1:]])
    return divergence(after, log_probs)


def from_first_entry(log_probs):
    return divergence(log_probs[0], log_probs)


def wrong_sign(log_probs):
    return -kl_to_final(log_probs)


def through_probabilities(log_probs):
    probs = log_probs.exp()
    return (probs[-1] * (probs[-1] / probs).log()).sum(-1)


def with_floor(floor):
    """Through probabilities with ``floor`` added, so that no logarithm is infinite. A clamp mostly gives the same."""

    def answer(log_probs):
        probs = log_probs.exp()
        logs = (probs + floor).log()
        return (probs[-1] * (logs[-1] - logs)).sum(-1)

    return answer


def by_categorical(log_probs):
    final = torch.distributions.Categorical(logits=log_probs[-1])
    return torch.distributions.kl_divergence(final, torch.distributions.Categorical(logits=log_probs))


def summed_over_positions(log_probs):
    return kl_to_final(log_probs).sum(-1)


def averaged(log_probs):
    return kl_to_final(log_probs).mean((-1, -2))


UNDERFLOW = "Probabilities this small round to zero. Stay with log-probabilities and take exp for the weights only."

FLOORS = (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-20)

MISCONCEPTIONS = {
    "turned_round": Misconception(
        turned_round,
        "this is KL(entry || final). Asked for is KL(final || entry): the final distribution gives the weights.",
    ),
    "in_bits": Misconception(in_bits, "this is in bits; asked for are nats, the natural logarithm."),
    "mean_over_vocabulary": Misconception(
        mean_over_vocabulary, "you average over the vocabulary; the divergence is the sum over it."
    ),
    "cross_entropy": Misconception(
        cross_entropy,
        "this is the cross-entropy of the entry under the final distribution: the final distribution's own entropy has "
        "to come off, so that the last entry gives 0.",
    ),
    "unweighted": Misconception(
        unweighted, "the differences of log-probability are summed without weights; the final probabilities weigh them."
    ),
    "log_probs_as_weights": Misconception(
        log_probs_as_weights, "the weights are log-probabilities; take exp of the final ones first."
    ),
    "log_probs_as_probs": Misconception(
        log_probs_as_probs,
        "you treat the log-probabilities as if they were probabilities: they are logarithms already.",
    ),
    "symmetric": Misconception(
        symmetric, "you average both directions; asked for is only KL(final || entry), which is not symmetric."
    ),
    "jensen_shannon": Misconception(
        jensen_shannon, "this is the Jensen-Shannon divergence; asked for is KL(final || entry)."
    ),
    "to_next_entry": Misconception(
        to_next_entry, "you compare each entry with the one after it; compare each with the last."
    ),
    "from_first_entry": Misconception(
        from_first_entry, "you take entry 0, the embedding, for the final one; the final entry is the last."
    ),
    "wrong_sign": Misconception(wrong_sign, "the sign is turned: a divergence is never negative."),
    "through_probabilities": Misconception(
        through_probabilities, f"right for ordinary distributions, NaN or infinite for extreme ones. {UNDERFLOW}"
    ),
    **{
        f"floor_{floor:g}": Misconception(
            with_floor(floor),
            f"the floor of {floor:g} under the probabilities hides that they round to zero, and caps the divergence at "
            f"about {-math.log(floor):.0f} nats. Stay with log-probabilities and take exp for the weights only.",
        )
        for floor in FLOORS
    },
    "categorical": Misconception(
        by_categorical,
        f"right for ordinary distributions, but torch's Categorical answers infinity for extreme ones. {UNDERFLOW}",
    ),
    "summed_over_positions": Misconception(
        summed_over_positions, "you sum over the positions too; the sum runs over the vocabulary only."
    ),
    "averaged": Misconception(
        averaged, "you average over rows and positions; one number for every entry, row and position is asked for."
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
