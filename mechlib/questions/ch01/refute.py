"""Question ch01.refute: texts that part with a cache, beside texts that part without one."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, tokens
from mechlib.questions.intervals import ONE_STANDARD_ERROR

__all__ = ["QUESTION"]

Texts = Int[Tensor, "text step"]
Result = tuple[Tensor, Tensor, Tensor, Tensor]

D_VOCAB = 49 * 1024


def refute(recomputed: Texts, cached: Texts, regrouped: Texts) -> Result:
    """Shares of texts that part with the cache and in the control, and the 95 % interval of their paired difference."""
    claimed, control = parted(recomputed, cached), parted(recomputed, regrouped)
    return with_interval(claimed, control, claimed - control)


def parted(a: Texts, b: Texts) -> Tensor:
    """For every text 1 if the two differ at any step, else 0."""
    return (a != b).any(1).float()


def with_interval(claimed: Tensor, control: Tensor, difference: Tensor) -> Result:
    """The two means, and the mean of ``difference`` less and plus 1.96 standard errors."""
    margin = 1.96 * difference.std() / math.sqrt(len(difference))
    return claimed.mean(), control.mean(), difference.mean() - margin, difference.mean() + margin


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Rounding alone, a cache that is wrong, a control that parts more often, parting at one token only, few texts.

    Of the five texts all part but one with the cache and one parts in the control, so that the interval reaches beyond
    1; or the reverse, and it reaches beyond -1.
    """
    return (
        _case("rounding alone: both part about equally often", generator, cached=0.5, regrouped=0.5),
        _case("a cache that is wrong", generator, cached=0.85, regrouped=0.15),
        _case("a cache that parts less often than the control", generator, cached=0.1, regrouped=0.9),
        _case("texts that differ in one token only", generator, cached=0.6, regrouped=0.4, one_token=True),
        _case("five texts only", generator, cached=1.0, regrouped=0.0, n_texts=5),
        _case("five texts that part in the control", generator, cached=0.0, regrouped=1.0, n_texts=5),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    cached: float,
    regrouped: float,
    one_token: bool = False,
    n_texts: int | None = None,
) -> Case:
    """Both kinds of text, and at least one that parts and one that does not in either comparison."""
    several, n_steps = distinct(generator, 1, 14, 20)[0], distinct(generator, 1, 7, 12)[0]
    n_texts = several if n_texts is None else n_texts
    recomputed = tokens(generator, D_VOCAB, n_texts, n_steps)
    both = [_part(recomputed, share, generator, one_token) for share in (cached, regrouped)]
    return Case(description, {"recomputed": recomputed, "cached": both[0], "regrouped": both[1]})


def _part(texts: Texts, share: float, generator: torch.Generator, one_token: bool) -> Texts:
    """About ``share`` of the texts with another ending, one of them without a token in common; or with one token other.

    After the token at which they part, texts may agree again by chance. Of those with one token other, one has the
    first and one the last, and the two ids agree in their last ten bits.
    """
    n_texts, n_steps = texts.shape
    part = torch.rand(n_texts, 1, generator=generator) < share
    wholly, never, late = distinct(generator, 3, 0, n_texts - 1)
    part[wholly], part[never] = True, False
    start = torch.randint(0, n_steps - 2, (n_texts, 1), generator=generator)
    start[wholly] = 0
    if one_token:
        part[late], start[late] = True, n_steps - 1
    step = torch.arange(n_steps)
    changed = part & ((step == start) if one_token else (step >= start))
    most, unit = (D_VOCAB // 1024, 1024) if one_token else (D_VOCAB, 1)
    other = unit * torch.randint(1, most, texts.shape, generator=generator)
    agree_again = (step > start) & (torch.rand(texts.shape, generator=generator) < 0.3)
    agree_again[wholly] = False
    return torch.where(changed & ~agree_again, (texts + other) % D_VOCAB, texts)


def _errors(claimed, control, margin):
    centre = claimed.mean() - control.mean()
    return claimed.mean(), control.mean(), centre - margin, centre + margin


def _both(recomputed, cached, regrouped):
    return parted(recomputed, cached), parted(recomputed, regrouped)


def per_token(recomputed, cached, regrouped):
    claimed, control = (recomputed != cached).float().mean(1), (recomputed != regrouped).float().mean(1)
    return with_interval(claimed, control, claimed - control)


def all_tokens(recomputed, cached, regrouped):
    claimed, control = (recomputed != cached).all(1).float(), (recomputed != regrouped).all(1).float()
    return with_interval(claimed, control, claimed - control)


def agreement(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return with_interval(1 - claimed, 1 - control, control - claimed)


def against_each_other(recomputed, cached, regrouped):
    claimed, control = parted(recomputed, cached), parted(cached, regrouped)
    return with_interval(claimed, control, claimed - control)


def no_control(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return with_interval(claimed, control, claimed)


def control_minus_claim(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return with_interval(claimed, control, control - claimed)


def unpaired(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return _errors(claimed, control, 1.96 * math.sqrt((claimed.var() + control.var()) / len(claimed)))


def unpaired_binomial(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    variance = sum(part.var(correction=0) for part in (claimed, control)) / len(claimed)
    return _errors(claimed, control, 1.96 * math.sqrt(variance))


def no_root(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return _errors(claimed, control, 1.96 * (claimed - control).std())


def divided_by_n(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return _errors(claimed, control, 1.96 * (claimed - control).std() / len(claimed))


def one_standard_error(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return _errors(claimed, control, (claimed - control).std() / math.sqrt(len(claimed)))


def two_standard_errors(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return _errors(claimed, control, 2 * (claimed - control).std() / math.sqrt(len(claimed)))


def population_deviation(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return _errors(claimed, control, 1.96 * (claimed - control).std(correction=0) / math.sqrt(len(claimed)))


def absolute_difference(recomputed, cached, regrouped):
    claimed, control = _both(recomputed, cached, regrouped)
    return with_interval(claimed, control, (claimed - control).abs())


def cut_off(recomputed, cached, regrouped):
    claimed, control, low, high = refute(recomputed, cached, regrouped)
    return claimed, control, max(low, -1), min(high, 1)


def counts(recomputed, cached, regrouped):
    return tuple(part * len(recomputed) for part in refute(recomputed, cached, regrouped))


def ends_exchanged(recomputed, cached, regrouped):
    claimed, control, low, high = refute(recomputed, cached, regrouped)
    return claimed, control, high, low


def claim_and_control_exchanged(recomputed, cached, regrouped):
    claimed, control, low, high = refute(recomputed, cached, regrouped)
    return control, claimed, low, high


MISCONCEPTIONS = {
    "per_token": Misconception(
        per_token,
        "you count tokens. After two texts have parted their tokens differ anyway; what varies is the text, so ask for "
        "each text whether it parts.",
    ),
    "last_token": Misconception(
        lambda recomputed, cached, regrouped: refute(recomputed[:, -1:], cached[:, -1:], regrouped[:, -1:]),
        "you compare the last tokens only; texts that have parted can agree there by chance.",
    ),
    "first_token": Misconception(
        lambda recomputed, cached, regrouped: refute(recomputed[:, :1], cached[:, :1], regrouped[:, :1]),
        "you compare the first tokens only; texts can part later.",
    ),
    "all_tokens": Misconception(
        all_tokens, "you ask whether all tokens differ; a text has parted as soon as one of them does."
    ),
    "along_texts": Misconception(
        lambda recomputed, cached, regrouped: refute(recomputed.T, cached.T, regrouped.T),
        "you ask for every step whether any text differs there; ask for every text whether it differs at any step.",
    ),
    "agreement": Misconception(agreement, "these are the shares of texts that agree; asked for are those that part."),
    "against_each_other": Misconception(
        against_each_other, "your control compares cached with regrouped; both are compared with recomputed."
    ),
    "no_control": Misconception(
        no_control, "the interval is around the claim; it belongs around the difference between claim and control."
    ),
    "control_minus_claim": Misconception(
        control_minus_claim, "the interval is that of control less claim; asked for is claim less control."
    ),
    "unpaired": Misconception(
        unpaired,
        "you treat the two shares as independent. They come from the same texts: take each text's difference, and the "
        "spread of these.",
    ),
    "unpaired_binomial": Misconception(
        unpaired_binomial,
        "you use p (1 - p) / n for both shares, as if they were independent. They come from the same texts: take each "
        "text's difference, and the spread of these.",
    ),
    "no_root": Misconception(
        no_root, "the interval uses the spread of single texts; the mean of n texts is better known by sqrt(n)."
    ),
    "divided_by_n": Misconception(
        divided_by_n, "the standard error divides by sqrt(n), the root of the number of texts, not by n."
    ),
    "one_standard_error": Misconception(one_standard_error, ONE_STANDARD_ERROR),
    "two_standard_errors": Misconception(
        two_standard_errors,
        "your interval is 2 standard errors wide on each side, which is the rule of thumb; asked for are 1.96.",
    ),
    "population_deviation": Misconception(
        population_deviation, "your standard deviation divides by n; the mean is estimated too, so divide by n - 1."
    ),
    "absolute_difference": Misconception(
        absolute_difference,
        "you take the size of each text's difference, so texts that part in the control alone count for the claim.",
    ),
    "cut_off": Misconception(
        cut_off,
        "you cut the interval off where a difference of shares cannot go, beyond -1 and 1. That is allowed, but asked "
        "for is the mean less and plus 1.96 standard errors as it is.",
    ),
    "counts": Misconception(counts, "these are numbers of texts; asked for are shares."),
    "ends_exchanged": Misconception(ends_exchanged, "low and high are exchanged: the lower end comes first."),
    "claim_and_control_exchanged": Misconception(
        claim_and_control_exchanged, "claim and control are exchanged: first the cache, then the regrouped run."
    ),
}

QUESTION = Question(
    id="ch01.refute",
    points=3,
    title="Refute: the cache remembers",
    hints=(
        "What else differs between the two runs, besides where the keys and values come from?",
        "For every text, ask whether it parts with the cache and whether it parts in the control, 1 or 0 each. The "
        "interval comes from the texts' differences of the two.",
        "a = (recomputed != cached).any(1).float(), b the same with regrouped, d = a - b. The interval is d.mean() "
        "plus and minus 1.96 * d.std() / sqrt(number of texts).",
    ),
    reference=refute,
    cases=cases,
    axes={"recomputed": "text step", "cached": "text step", "regrouped": "text step"},
    fields=tuple(Field(name, atol=1e-5) for name in ("claimed", "control", "low", "high")),
    misconceptions=MISCONCEPTIONS,
)
