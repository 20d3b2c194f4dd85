"""Question ch01.prompts: what prompts tell apart, and what the empty prompt says otherwise."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal

__all__ = ["QUESTION"]

Prompted = Float[Tensor, "prompt d_vocab"]
Empty = Float[Tensor, " d_vocab"]
Result = tuple[Tensor, Tensor, Tensor]


def prompts(prompted: Prompted, empty: Empty) -> Result:
    """Mean KL to the empty prompt, mean KL to the prompts' average, and KL from that average to the empty prompt."""
    average = averaged(prompted)
    return kl(prompted, empty).mean(), kl(prompted, average).mean(), kl(average, empty)


def averaged(prompted: Prompted) -> Empty:
    """The logarithm of the mean probability of every token."""
    return prompted.logsumexp(0) - math.log(len(prompted))


def kl(p: Float[Tensor, "*rest d_vocab"], q: Float[Tensor, "*rest d_vocab"]) -> Float[Tensor, "*rest"]:
    """KL(p || q) of log-probabilities."""
    return (p.exp() * (p - q)).sum(-1)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary prompts, a single one, prompts that agree, and some that are sure of different tokens; an empty prompt
    that is sure, near-impossible tokens, and many prompts, each sure of a token of its own.

    Of these, some are so after every prompt and one after a single prompt, and in the last case one is so after the
    empty prompt alone.
    """
    ordinary = _case("prompts that differ", generator)
    alone = _case("a single prompt", generator, n_prompts=1)
    agreeing = _case("prompts that nearly agree, and not with the empty one", generator)
    prompted = agreeing.inputs["prompted"]
    prompted.copy_((prompted[:1] + 0.2 * prompted).log_softmax(-1))
    apart = _case("prompts that are sure of different tokens", generator, n_prompts=integer(generator, 5, 7))
    several = len(apart.inputs["prompted"])
    apart.inputs["prompted"][range(several), distinct(generator, several, 0, 10)] += 9.0
    apart.inputs["prompted"].copy_(apart.inputs["prompted"].log_softmax(-1))
    sure = _case("an empty prompt that is sure of little", generator, spread=4.0)
    far = _case("tokens that are next to impossible", generator)
    *always, once = distinct(generator, 3, 0, 10)
    far.inputs["prompted"][:, always] = -2000.0
    far.inputs["prompted"][1, once] = -2000.0
    far.inputs["prompted"].copy_(far.inputs["prompted"].log_softmax(-1))
    ruled_out = _case("a token that the empty prompt all but rules out", generator)
    ruled_out.inputs["empty"][integer(generator, 0, 10)] = -2000.0
    ruled_out.inputs["empty"].copy_(ruled_out.inputs["empty"].log_softmax(-1))
    many = _case("many prompts over many tokens, some of them ruled out by all", generator, n_prompts=14, d_vocab=61)
    own = distinct(generator, 14, 30, 60)
    many.inputs["prompted"][range(14), own] += 12.0
    for name in many.inputs:
        many.inputs[name][..., :20] = -2000.0
        many.inputs[name].copy_(many.inputs[name].log_softmax(-1))
    return ordinary, alone, agreeing, apart, sure, far, ruled_out, many


def _case(
    description: str,
    generator: torch.Generator,
    n_prompts: int | None = None,
    d_vocab: int | None = None,
    spread: float = 1.5,
) -> Case:
    several, words = distinct(generator, 1, 3, 7)[0], distinct(generator, 1, 11, 19)[0]
    n_prompts = several if n_prompts is None else n_prompts
    d_vocab = words if d_vocab is None else d_vocab
    inputs = {
        "prompted": normal(generator, n_prompts, d_vocab, scale=1.8).log_softmax(-1),
        "empty": normal(generator, d_vocab, scale=spread).log_softmax(-1),
    }
    return Case(description, inputs)


def _entropy(log_probs):
    return -(log_probs.exp() * log_probs).sum(-1)


def _normalised_mean_of_logs(prompted):
    return prompted.mean(0).log_softmax(-1)


def with_average(average):
    """The right answer but for the average distribution, which ``average`` makes."""

    def answer(prompted, empty):
        middle = average(prompted)
        return kl(prompted, empty).mean(), kl(prompted, middle).mean(), kl(middle, empty)

    return answer


def reversed_divergence(prompted, empty):
    _, information, offset = prompts(prompted, empty)
    return kl(empty, prompted).mean(), information, offset


def reversed_information(prompted, empty):
    divergence, _, offset = prompts(prompted, empty)
    return divergence, kl(averaged(prompted), prompted).mean(), offset


def reversed_offset(prompted, empty):
    divergence, information, _ = prompts(prompted, empty)
    return divergence, information, kl(empty, averaged(prompted))


def all_reversed(prompted, empty):
    average = averaged(prompted)
    return kl(empty, prompted).mean(), kl(average, prompted).mean(), kl(empty, average)


def summed(prompted, empty):
    divergence, information, offset = prompts(prompted, empty)
    return divergence * len(prompted), information * len(prompted), offset


def unweighted(prompted, empty):
    average = averaged(prompted)
    return (prompted - empty).mean(), (prompted - average).mean(), (average - empty).mean()


def cross_entropies(prompted, empty):
    average = averaged(prompted)
    pairs = ((prompted, empty), (prompted, average), (average, empty))
    return tuple(-(p.exp() * q).sum(-1).mean() for p, q in pairs)


def entropy_lost(prompted, empty):
    _, information, offset = prompts(prompted, empty)
    return _entropy(empty) - _entropy(prompted).mean(), information, offset


def entropy_of_average(prompted, empty):
    divergence, _, offset = prompts(prompted, empty)
    return divergence, _entropy(averaged(prompted)), offset


def entropy_of_prompts(prompted, empty):
    divergence, _, offset = prompts(prompted, empty)
    return divergence, _entropy(prompted).mean(), offset


def offset_divided(prompted, empty):
    divergence, information, offset = prompts(prompted, empty)
    return divergence, information, offset / len(empty)


def mean_as_offset(prompted, empty):
    divergence, information, _ = prompts(prompted, empty)
    return divergence, information, divergence


def information_and_offset_exchanged(prompted, empty):
    divergence, information, offset = prompts(prompted, empty)
    return divergence, offset, information


def first_prompt(prompted, empty):
    divergence, _, _ = prompts(prompted, empty)
    return divergence, kl(prompted, prompted[0]).mean(), kl(prompted[0], empty)


def empty_among_the_prompts(prompted, empty):
    average = averaged(torch.cat([prompted, empty[None]]))
    return kl(prompted, empty).mean(), kl(prompted, average).mean(), kl(average, empty)


MISCONCEPTIONS = {
    "mean_of_logs": Misconception(
        with_average(lambda prompted: prompted.mean(0)),
        "your average is the mean of log-probabilities, which is no distribution. Average the probabilities.",
    ),
    "geometric_mean": Misconception(
        with_average(_normalised_mean_of_logs),
        "your average is a normalised mean of log-probabilities, the geometric mean. Average the probabilities.",
    ),
    "log_of_mean": Misconception(
        with_average(lambda prompted: prompted.exp().mean(0).log()),
        "right in exact arithmetic, but probabilities round to zero, and 0 times minus infinity is NaN. Use logsumexp "
        "over the prompts.",
    ),
    "by_probabilities": Misconception(
        lambda prompted, empty: prompts(prompted, empty.exp().log()),
        "right in exact arithmetic, but a probability after the empty prompt rounds to zero, and its logarithm is "
        "minus infinity. Subtract the logarithms that you are given.",
    ),
    "not_divided": Misconception(
        with_average(lambda prompted: prompted.logsumexp(0)),
        "your average is a sum over the prompts: subtract the log of their number.",
    ),
    "empty_among_the_prompts": Misconception(
        empty_among_the_prompts, "the empty prompt is part of your average; it is an average over the prompts alone."
    ),
    "first_prompt": Misconception(first_prompt, "you use the first prompt where the average of all prompts belongs."),
    "reversed_divergence": Misconception(
        reversed_divergence, "the divergence is the wrong way round: prompted first, KL(prompted || empty)."
    ),
    "reversed_information": Misconception(
        reversed_information, "the information is the wrong way round: prompted first, KL(prompted || average)."
    ),
    "reversed_offset": Misconception(
        reversed_offset, "the offset is the wrong way round: the average first, KL(average || empty)."
    ),
    "all_reversed": Misconception(
        all_reversed, "all three are the wrong way round: the first distribution is the one that weighs the logarithms."
    ),
    "bits": Misconception(
        lambda prompted, empty: tuple(part / math.log(2) for part in prompts(prompted, empty)),
        "these are bits; asked for are nats, with the natural logarithm.",
    ),
    "summed": Misconception(summed, "you sum over the prompts; take the mean."),
    "unweighted": Misconception(
        unweighted,
        "the differences of logarithms are averaged over the vocabulary; weigh them by probabilities and sum.",
    ),
    "cross_entropies": Misconception(
        cross_entropies,
        "these are cross-entropies, -sum p log q; a divergence is what they exceed the entropy of p by.",
    ),
    "entropy_lost": Misconception(
        entropy_lost,
        "the divergence is not the difference of two entropies: a prompt can change the opinion and leave it as sure.",
    ),
    "entropy_of_average": Misconception(
        entropy_of_average,
        "this is the entropy of the average. The information is what is left of it after the prompts' own entropy.",
    ),
    "entropy_of_prompts": Misconception(
        entropy_of_prompts,
        "this is the mean entropy of the prompted predictions: what remains open, not what the prompts tell apart.",
    ),
    "offset_divided": Misconception(
        offset_divided,
        "your offset is divided by the size of the vocabulary, as kl_div does with reduction='batchmean' if there is "
        "no batch. Sum over the vocabulary.",
    ),
    "mean_as_offset": Misconception(
        mean_as_offset,
        "your offset is the mean over prompts of KL(prompted || empty); take the average distribution first, then its "
        "KL.",
    ),
    "information_and_offset_exchanged": Misconception(
        information_and_offset_exchanged, "information and offset are exchanged."
    ),
}

QUESTION = Question(
    id="ch01.prompts",
    points=1,
    title="What a prompt adds to nothing",
    hints=(
        "One distribution stands between the prompts and the empty one: their average. Which part of the way lies on "
        "each side of it?",
        "Average probabilities and not logarithms. Then three divergences: each prompt to empty, each prompt to the "
        "average (mean over prompts both), and the average to empty.",
        "average = prompted.logsumexp(0) - log(number of prompts), and kl(p, q) = (p.exp() * (p - q)).sum(-1). The "
        "first result is the sum of the other two.",
    ),
    reference=prompts,
    cases=cases,
    axes={"prompted": "prompt d_vocab", "empty": "d_vocab"},
    fields=tuple(Field(name, atol=1e-5) for name in ("divergence", "information", "offset")),
    misconceptions=MISCONCEPTIONS,
)
