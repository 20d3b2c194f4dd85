"""Question ch12.refute: a dip that was looked for on the prompts that it is reported on."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct
from mechlib.questions.intervals import ENDS_SWAPPED, NO_ROOT, ONE_STANDARD_ERROR

__all__ = ["QUESTION"]

Distance = Float[Tensor, "checkpoint prompt"]
Result = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Rise = tuple[Tensor, Tensor, Tensor]


def refute(distance: Distance) -> Result:
    """The rise that is claimed, the checkpoint that half of the prompts choose, and the rise that the others see."""
    chosen = distance[:-1, ::2].mean(1).argmin()
    return claimed_by(distance.mean(1)), chosen, *rise(distance[-1, 1::2], distance[chosen, 1::2])


def claimed_by(mean: Float[Tensor, " checkpoint"]) -> Tensor:
    """The end less the smallest before it."""
    return mean[-1] - mean[:-1].min()


def rise(end: Float[Tensor, " prompt"], then: Float[Tensor, " prompt"], level: float = 1.96) -> Rise:
    """The difference of two means over different prompts, with its interval."""
    found = end.mean() - then.mean()
    margin = level * ((end.var() + then.var()) / len(end)).sqrt()
    return found, found - margin, found + margin


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Chance alone, a minimum that some prompts have, a true dip, a fall to the end, a tie, and a single far prompt."""
    return (
        _case("a constant distance and chance", generator),
        _case("a minimum that half of the prompts have", generator, planted=True),
        _case("a dip and a rise", generator, curve=lambda t: 7 * (t - 0.5) ** 2, odd=True),
        _case("a fall to the end", generator, curve=lambda t: 1.5 * (1 - t) + 1.3 * (t < 1)),
        _tied(_case("two checkpoints that the even prompts see equally near", generator, odd=True), generator),
        _with_far_prompt(_case("a checkpoint that is near but for one prompt", generator), generator),
    )


def _tied(case: Case, generator: torch.Generator) -> Case:
    """Two checkpoints have the same smallest mean over the even prompts; all sums are exact."""
    distance = (case.inputs["distance"] * 1024).round() / 1024
    places = distinct(generator, 2, 0, len(distance) - 2)
    distance[places, ::2] = distance[places[0], ::2] - 0.5
    distance[places, 1::2] += torch.tensor([[0.25], [0.75]], dtype=torch.float64)
    return Case(case.description, {"distance": distance})


def _with_far_prompt(case: Case, generator: torch.Generator) -> Case:
    """A checkpoint with the smallest median over the even prompts, and not the smallest mean."""
    distance = case.inputs["distance"].clone()
    here = distinct(generator, 1, 0, len(distance) - 2)[0]
    distance[here, ::2] -= 0.6
    distance[here, 2 * distinct(generator, 1, 0, distance.shape[1] // 2 - 1)[0]] += 0.7 * distance.shape[1]
    return Case(case.description, {"distance": distance})


def _case(
    description: str, generator: torch.Generator, *, planted: bool = False, odd: bool = False, curve=lambda t: 0 * t
) -> Case:
    checkpoints, half = distinct(generator, 2, 7, 14)
    prompts = 2 * half + 2 * checkpoints + odd
    spread = 0.3 + 0.2 * float(torch.rand(1, generator=generator))
    t = torch.linspace(0, 1, checkpoints, dtype=torch.float64)
    noise = torch.rand(checkpoints, prompts, generator=generator, dtype=torch.float64) - 0.5
    distance = 1.5 + curve(t)[:, None] + spread * noise
    if planted:
        here, there = distinct(generator, 2, 0, checkpoints - 2)
        distance[here, ::2] -= 0.5 * spread
        distance[there, 1::2] -= 1.5 * spread
    return Case(description, {"distance": distance})


def _on(distance: Distance, choose: Distance, judge: Distance) -> Result:
    chosen = choose[:-1].mean(1).argmin()
    return claimed_by(distance.mean(1)), chosen, *rise(judge[-1], judge[chosen])


def chosen_on_all(distance):
    return _on(distance, distance, distance[:, 1::2])


def chosen_and_judged_on_all(distance):
    return _on(distance, distance, distance)


def judged_on_all(distance):
    return _on(distance, distance[:, ::2], distance)


def judged_where_chosen(distance):
    return _on(distance, distance[:, ::2], distance[:, ::2])


def halves_exchanged(distance):
    return _on(distance, distance[:, 1::2], distance[:, ::2])


def first_half(distance):
    half = distance.shape[1] // 2
    return _on(distance, distance[:, :half], distance[:, half:])


def counted_from_one(distance):
    claimed, chosen, *rest = refute(distance)
    return claimed, chosen + 1, *rest


def claimed_on_odd(distance):
    return claimed_by(distance[:, 1::2].mean(1)), *refute(distance)[1:]


def largest_before(distance):
    mean = distance.mean(1)
    return mean[-1] - mean[:-1].max(), *refute(distance)[1:]


def from_the_start(distance):
    mean = distance.mean(1)
    return mean[-1] - mean[0], *refute(distance)[1:]


def end_among_minima(distance):
    mean = distance.mean(1)
    return mean[-1] - mean.min(), *refute(distance)[1:]


def end_may_be_chosen(distance):
    claimed, *_ = refute(distance)
    chosen = distance[:, ::2].mean(1).argmin()
    return claimed, chosen, *rise(distance[-1, 1::2], distance[chosen, 1::2])


def end_never_left_out(distance):
    return end_among_minima(distance)[0], *end_may_be_chosen(distance)[1:]


def smallest_of_every_column(distance):
    return (distance[-1] - distance[:-1].amin(0)).mean(), *refute(distance)[1:]


def rise_turned(distance):
    claimed, chosen, found, low, high = refute(distance)
    return claimed, chosen, -found, -high, -low


def ends_swapped(distance):
    *first, low, high = refute(distance)
    return *first, high, low


def _margin(distance, margin):
    claimed, chosen, found, *_ = refute(distance)
    width = margin(distance[-1, 1::2], distance[chosen, 1::2])
    return claimed, chosen, found, found - width, found + width


def paired(distance):
    return _margin(distance, lambda end, then: 1.96 * (end - then).std() / len(end) ** 0.5)


def one_standard_error(distance):
    return _margin(distance, lambda end, then: ((end.var() + then.var()) / len(end)).sqrt())


def no_root(distance):
    return _margin(distance, lambda end, then: 1.96 * (end.var() + then.var()).sqrt())


def end_alone(distance):
    return _margin(distance, lambda end, then: 1.96 * end.std() / len(end) ** 0.5)


def then_alone(distance):
    return _margin(distance, lambda end, then: 1.96 * then.std() / len(then) ** 0.5)


def deviations_added(distance):
    return _margin(distance, lambda end, then: 1.96 * (end.std() + then.std()) / len(end) ** 0.5)


def population_spread(distance):
    return _margin(
        distance, lambda end, then: 1.96 * ((end.var(correction=0) + then.var(correction=0)) / len(end)).sqrt()
    )


def all_prompts_counted(distance):
    return _margin(distance, lambda end, then: 1.96 * ((end.var() + then.var()) / distance.shape[1]).sqrt())


MISCONCEPTIONS = {
    "chosen_on_all": Misconception(
        chosen_on_all,
        "you choose the checkpoint with the odd prompts too, which then judge it: choose on even ones.",
    ),
    "chosen_and_judged_on_all": Misconception(
        chosen_and_judged_on_all, "you choose and judge on all prompts, which is what the report did; use two halves."
    ),
    "judged_on_all": Misconception(
        judged_on_all, "you judge on all prompts, also on those that chose; take the odd ones alone."
    ),
    "judged_where_chosen": Misconception(
        judged_where_chosen, "you judge on the prompts that chose the checkpoint, which flatters it; take the others."
    ),
    "halves_exchanged": Misconception(
        halves_exchanged, "the halves are exchanged: prompts 0, 2, 4, ... choose and 1, 3, 5, ... judge."
    ),
    "first_half": Misconception(
        first_half, "you split in the middle; prompts 0, 2, 4, ... choose and 1, 3, 5, ... judge."
    ),
    "counted_from_one": Misconception(counted_from_one, "you count the checkpoints from 1; count from 0."),
    "claimed_on_odd": Misconception(claimed_on_odd, "the report used all prompts for its claim; so must `claimed`."),
    "largest_before": Misconception(largest_before, "you subtract the largest mean; the report's dip is the smallest."),
    "from_the_start": Misconception(
        from_the_start, "you subtract the first checkpoint; the report subtracts the smallest mean before the end."
    ),
    "end_among_minima": Misconception(
        end_among_minima,
        "the last checkpoint is among those that you take the smallest of; it is the end, so leave it out.",
    ),
    "end_may_be_chosen": Misconception(
        end_may_be_chosen, "you let the last checkpoint be chosen; choose among the earlier ones."
    ),
    "end_never_left_out": Misconception(
        end_never_left_out,
        "you look for the smallest among all checkpoints, for claimed and for chosen; leave the last one out of both.",
    ),
    "smallest_of_every_column": Misconception(
        smallest_of_every_column, "you take the smallest in every column; average over prompts first, then take it."
    ),
    "rise_turned": Misconception(rise_turned, "the rise is the end less the chosen checkpoint, not the reverse."),
    "ends_swapped": Misconception(ends_swapped, ENDS_SWAPPED),
    "paired": Misconception(
        paired, "you pair column with column, but every checkpoint has prompts of its own: add the two variances."
    ),
    "one_standard_error": Misconception(one_standard_error, ONE_STANDARD_ERROR),
    "no_root": Misconception(no_root, NO_ROOT),
    "end_alone": Misconception(end_alone, "the chosen checkpoint's mean is uncertain too: add both variances."),
    "then_alone": Misconception(then_alone, "the last checkpoint's mean is uncertain too: add both variances."),
    "deviations_added": Misconception(
        deviations_added, "you add standard deviations; of independent means the variances add up."
    ),
    "population_spread": Misconception(
        population_spread, "your variances divide by the number of prompts; one less is asked for (numpy: ddof=1)."
    ),
    "all_prompts_counted": Misconception(
        all_prompts_counted,
        "your standard error is too small by sqrt(2): add the two variances (no mean of them), each over the number "
        "of odd prompts (not of all).",
    ),
}

QUESTION = Question(
    id="ch12.refute",
    points=3,
    title="Refute: ridge was left again",
    hints=(
        "What would the report's number be if the distance did not change at all?",
        "The smallest of many noisy means is too small. Let some prompts choose the checkpoint and others judge it.",
        "chosen = distance[:-1, ::2].mean(1).argmin(); end, then = distance[-1, 1::2], distance[chosen, 1::2]; the "
        "standard error is ((end.var() + then.var()) / len(end)) ** 0.5.",
    ),
    reference=refute,
    cases=cases,
    axes={"distance": "checkpoint prompt"},
    fields=(
        Field("claimed", atol=1e-5),
        Field("chosen", atol=0, rtol=0),
        Field("rise", atol=1e-5),
        Field("low", atol=1e-5),
        Field("high", atol=1e-5),
    ),
    misconceptions=MISCONCEPTIONS,
)
