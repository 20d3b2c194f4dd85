"""Question ch06.refute_period: a head that looks like an induction head because one period was used throughout."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.ch06.induction_score import induction_score
from mechlib.questions.ch06.patterns import attention, induction_targets
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Pattern = Float[Tensor, "head batch pos pos"]
Tokens = Int[Tensor, "batch pos"]
Periods = Int[Tensor, " batch"]
Scores = Float[Tensor, " head"]


def refute_period(pattern: Pattern, tokens: Tokens, period: Periods, claimed: int) -> tuple[Scores, Scores, Scores]:
    """The induction score at the claimed period and at fresh ones, and the fixed distance's attention at these."""
    fresh = claimed % period != 0
    return (
        induction_score(pattern[:, period == claimed], tokens[period == claimed]),
        induction_score(pattern[:, fresh], tokens[fresh]),
        at_distance(pattern[:, fresh], claimed - 1),
    )


def at_distance(pattern: Pattern, distance: int) -> Scores:
    """The attention on the position ``distance`` back, in the mean over the queries of all rows that have one."""
    return pattern.diagonal(-distance, -2, -1).mean((-1, -2))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Periods of every kind, fresh ones that are short, a claim that the previous token serves, no fresh one; a single
    fresh row and head.
    """
    claimed = (4, 6)[integer(generator, 0, 1)]
    half, others = claimed // 2, distinct(generator, 2, claimed + 1, 9)
    return (
        _case("several periods", generator, claimed, [claimed, claimed, half, *others, claimed - 1, 14]),
        _case("periods that are multiples of the claimed one", generator, 4, [4, 8, 8, 12, 4]),
        _case("fresh periods that are shorter than the claimed one", generator, 9, [9, 4, 3, 9, 2, 6, 4]),
        _case("a claimed period of 2, where the previous token is the target", generator, 2, [2, 3, 1, 2, 14, 2]),
        _case("a single fresh row", generator, 6, [3, 6, 6, 5, 2, 6, 3]),
        _case("no fresh period, so that nothing is tested", generator, 4, [4, 2, 4, 1, 4, 2]),
        _case("a single head", generator, claimed, [claimed, *others, half], head=1),
    )


def _case(
    description: str, generator: torch.Generator, claimed: int, periods: list[int], head: int | None = None
) -> Case:
    """Rows that repeat a block until they are full; heads that look at the targets, ``claimed - 1`` back, or elsewhere.

    A block's first token is nowhere else in it, so that no row has a shorter period than its own.
    """
    several, pos = integer(generator, 3, 4), integer(generator, 16, 19)
    head = head or several
    rows = torch.stack([_repeated(generator, period, pos) for period in periods])
    inputs = {
        "pattern": attention(generator, head, tokens=rows, shortcut=claimed - 1),
        "tokens": rows,
        "period": torch.tensor(periods),
        "claimed": claimed,
    }
    return Case(description, inputs)


def _repeated(generator: torch.Generator, period: int, pos: int) -> Int[Tensor, " pos"]:
    block = 1 + torch.randint(8, (period,), generator=generator)
    block[0] = 9 + integer(generator, 0, 8)
    return 40_000 + block.repeat(pos // period + 1)[:pos]


def _of_rows(fresh_of, shortcut_of=None, claimed_of=torch.eq):
    """The reference with other rows: those of the claim, the fresh ones, and those on which the distance is tried."""

    def answer(pattern, tokens, period, claimed):
        of_claim, fresh = claimed_of(period, claimed), fresh_of(period, claimed)
        tried = shortcut_of(period, claimed) if shortcut_of else fresh
        return (
            induction_score(pattern[:, of_claim], tokens[of_claim]),
            induction_score(pattern[:, fresh], tokens[fresh]),
            at_distance(pattern[:, tried], claimed - 1),
        )

    return answer


def _is_fresh(period, claimed):
    return claimed % period != 0


def _scored(induction=induction_score, shortcut=at_distance):
    """The reference with other scores."""

    def answer(pattern, tokens, period, claimed):
        fresh = claimed % period != 0
        return (
            induction(pattern[:, period == claimed], tokens[period == claimed]),
            induction(pattern[:, fresh], tokens[fresh]),
            shortcut(pattern[:, fresh], claimed - 1),
        )

    return answer


def _over_all_queries(pattern, tokens):
    return (pattern * induction_targets(tokens)).sum(-1).mean((-1, -2))


def _mean_of_rows(pattern, tokens):
    rows = [induction_score(pattern[:, [row]], tokens[[row]]) for row in range(len(tokens))]
    return torch.stack(rows).mean(0) if rows else induction_score(pattern, tokens)


def _distance_over_all_queries(pattern, distance):
    return pattern.diagonal(-distance, -2, -1).sum(-1).mean(-1) / pattern.shape[-1]


def fixed_distance_throughout(pattern, tokens, period, claimed):
    fresh = claimed % period != 0
    shortcut = at_distance(pattern[:, fresh], claimed - 1)
    return at_distance(pattern[:, period == claimed], claimed - 1), shortcut, shortcut


def _one_period_back(pattern, period, rows):
    """The attention one less than a row's own period back."""
    values = [pattern[:, row].diagonal(1 - int(period[row]), -2, -1) for row in rows.nonzero()[:, 0]]
    return torch.cat(values, -1).mean(-1) if values else torch.full((len(pattern),), torch.nan)


def latest_copy_only(pattern, tokens, period, claimed):
    fresh = claimed % period != 0
    own = (_one_period_back(pattern, period, rows) for rows in (period == claimed, fresh))
    return *own, at_distance(pattern[:, fresh], claimed - 1)


def distance_of_each_row(pattern, tokens, period, claimed):
    fresh = claimed % period != 0
    return *refute_period(pattern, tokens, period, claimed)[:2], _one_period_back(pattern, period, fresh)


def distance_where_targets(pattern, tokens, period, claimed):
    fresh = claimed % period != 0
    has = induction_targets(tokens[fresh]).any(-1)
    pos = pattern.shape[-1]
    back = torch.arange(pos)[:, None] - torch.arange(pos) == claimed - 1
    attended = (pattern[:, fresh] * back).sum(-1)[:, has].mean(-1)
    return *refute_period(pattern, tokens, period, claimed)[:2], attended


def results_swapped(pattern, tokens, period, claimed):
    at_claim, fresh, shortcut = refute_period(pattern, tokens, period, claimed)
    return fresh, at_claim, shortcut


def last_two_swapped(pattern, tokens, period, claimed):
    at_claim, fresh, shortcut = refute_period(pattern, tokens, period, claimed)
    return at_claim, shortcut, fresh


def fall_from_claim(pattern, tokens, period, claimed):
    at_claim, fresh, shortcut = refute_period(pattern, tokens, period, claimed)
    return at_claim, at_claim - fresh, shortcut


def zero_if_untested(pattern, tokens, period, claimed):
    return tuple(score.nan_to_num() for score in refute_period(pattern, tokens, period, claimed))


MISCONCEPTIONS = {
    "every_row": Misconception(
        _of_rows(lambda period, claimed: period > 0),
        "your fresh rows are all rows, those of the claim among them. A head must be tried on periods that had no part "
        "in the claim.",
    ),
    "divisors_kept": Misconception(
        _of_rows(torch.ne),
        "you keep rows whose period divides the claimed one. There a fixed distance still hits a target, of an earlier "
        "copy, so they cannot tell the two explanations apart.",
    ),
    "only_divisors": Misconception(
        _of_rows(lambda period, claimed: (claimed % period == 0) & (period != claimed)),
        "you keep the rows whose period divides the claimed one and drop the others. It is the other way round: those "
        "are the ones that cannot tell the two explanations apart.",
    ),
    "multiples_left_out": Misconception(
        _of_rows(lambda period, claimed: (period % claimed != 0) & (claimed % period != 0)),
        "you leave out multiples of the claimed period as well. They are a fair test: at twice the period, a fixed "
        "distance hits no target.",
    ),
    "coprime_only": Misconception(
        _of_rows(lambda period, claimed: torch.gcd(period, torch.tensor(claimed)) == 1),
        "you keep only the periods that have no divisor in common with the claimed one. Any period that does not "
        "divide it is a test.",
    ),
    "multiples_for_divisors": Misconception(
        _of_rows(lambda period, claimed: period % claimed != 0),
        "the division is turned round: you leave out multiples of the claimed period, but a row is no test where its "
        "period divides the claimed one, claimed % period == 0.",
    ),
    "longer_only": Misconception(
        _of_rows(torch.gt),
        "you use longer periods only; shorter ones that do not divide the claimed one are a test too.",
    ),
    "claim_with_divisors": Misconception(
        _of_rows(_is_fresh, claimed_of=lambda period, claimed: claimed % period == 0),
        "the claim is about one period: score only the rows whose period is the claimed one.",
    ),
    "claim_of_every_row": Misconception(
        _of_rows(_is_fresh, claimed_of=lambda period, claimed: period > 0),
        "the claim is about one period; you take the score over all rows.",
    ),
    "shortcut_at_claim": Misconception(
        _of_rows(_is_fresh, shortcut_of=torch.eq),
        "you try the fixed distance on the rows of the claim, where it hits the targets in either case. Try it on the "
        "fresh rows.",
    ),
    "shortcut_of_every_row": Misconception(
        _of_rows(_is_fresh, shortcut_of=lambda period, claimed: period > 0),
        "you try the fixed distance on all rows; try it on the fresh ones only.",
    ),
    "one_too_far": Misconception(
        _scored(shortcut=lambda pattern, distance: at_distance(pattern, distance + 1)),
        "the distance is one too large. A period of P puts the earlier copy P back, and the target just after it, "
        "P - 1 back.",
    ),
    "over_all_queries": Misconception(
        _scored(induction=_over_all_queries),
        "your induction scores are means over all queries. How many have no target depends on the period, so scores at "
        "two periods could not be compared: take the mean over the queries that have one.",
    ),
    "mean_of_rows": Misconception(
        _scored(induction=_mean_of_rows),
        "your scores are means of the rows' scores, in which a row with few targets weighs as much as one with many. "
        "Pool the queries of all rows.",
    ),
    "distance_over_all_queries": Misconception(
        _scored(shortcut=_distance_over_all_queries),
        "your shortcut divides by all queries; the first ones have nothing that far back. Divide by those that have.",
    ),
    "fixed_distance_throughout": Misconception(
        fixed_distance_throughout,
        "your scores are the attention at the claimed distance, whatever the tokens say. The induction score goes by "
        "the tokens: its targets follow the earlier copies.",
    ),
    "latest_copy_only": Misconception(
        latest_copy_only,
        "you count the target one period back only. A row may repeat its block several times, and a token may stand in "
        "it twice: all targets count.",
    ),
    "distance_of_each_row": Misconception(
        distance_of_each_row,
        "your shortcut moves with each row's period. The rival explanation is one distance, claimed - 1, on every row.",
    ),
    "distance_where_targets": Misconception(
        distance_where_targets,
        "your shortcut is a mean over the queries that have an induction target. A fixed distance does not ask for "
        "one: take all queries from position claimed - 1 on.",
    ),
    "results_swapped": Misconception(
        results_swapped, "the first two results are swapped: first the claimed period's score, then that of fresh rows."
    ),
    "last_two_swapped": Misconception(
        last_two_swapped, "the last two results are swapped: first the score of fresh rows, then the fixed distance's."
    ),
    "fall_from_claim": Misconception(
        fall_from_claim, "your second result is how far the score falls; asked for is the score itself."
    ),
    "zero_if_untested": Misconception(
        zero_if_untested,
        "right wherever there is a fresh row. Without one, nothing was tested and the two scores are NaN: a 0 would "
        "read as a refutation.",
    ),
}

QUESTION = Question(
    id="ch06.refute_period",
    points=3,
    title="Refute: one period throughout",
    hints=(
        "Suppose that a head always looks 5 positions back, whatever the tokens are. On which rows would it still hit "
        "a target?",
        "Choose two sets of rows: period == claimed, and claimed % period != 0. Your induction score of each gives the "
        "first two results; on the second set, the diagonal claimed - 1 below the main one gives the third.",
        "fresh = claimed % period != 0; the score of question 1 on pattern[None, :, rows] and tokens[rows]; "
        "the shortcut is pattern[:, fresh].diagonal(1 - claimed, -2, -1).mean((1, 2)). The mean of nothing is NaN.",
    ),
    reference=refute_period,
    cases=cases,
    axes={"pattern": "head batch pos pos", "tokens": "batch pos", "period": "batch"},
    fields=tuple(Field(name, "head", atol=1e-5, rtol=1e-5) for name in ("claimed", "fresh", "shortcut")),
    misconceptions=MISCONCEPTIONS,
)
