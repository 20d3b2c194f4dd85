"""Question ch10.refute: a probe that finds the weights, without a network that was never trained beside it."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, double_normals
from mechlib.questions.intervals import (
    ENDS_SWAPPED,
    NO_ROOT,
    ONE_STANDARD_ERROR,
    POPULATION_SPREAD,
    of_single_units,
    with_interval,
    with_population_spread,
)

__all__ = ["QUESTION"]

Weights = Float[Tensor, "prompt coordinate"]
Controls = Float[Tensor, "control prompt coordinate"]
Result = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def spread(w: Weights) -> Tensor:
    """The variance of the weights, all coordinates together."""
    return missed(w, w.mean(0)).mean()


def missed(w: Weights, probed: Tensor | float) -> Float[Tensor, "... prompt"]:
    return (probed - w).square().sum(-1)


def largest(scores: Float[Tensor, " control"]) -> Tensor:
    return scores.argmax()


def leads(
    ours: Float[Tensor, " prompt"], theirs: Float[Tensor, "control prompt"], best: Tensor, unit: Tensor
) -> Tensor:
    """What each prompt adds to the difference of the scores, times the number of prompts."""
    return (theirs[best] - ours) / unit


def refute(
    w: Weights,
    probed: Weights,
    controls: Controls,
    *,
    scale: Step = spread,
    choose: Step = largest,
    lead: Step = leads,
    interval: Step = with_interval,
) -> Result:
    """The claimed score, the best control and its score, and the lead over it with its interval."""
    ours, theirs, unit = missed(w, probed), missed(w, controls), scale(w)
    scores = 1 - theirs.mean(-1) / unit
    best = choose(scores)
    return 1 - ours.mean() / unit, best, scores[best], *interval(lead(ours, theirs, best, unit))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A report that is false, one that is true, one that cannot be told, weights far from zero, and readings in vain.

    In vain are readings that are farther off than the mean is: their scores are below zero.
    """
    return (
        _case("a control that reads as well as the probe", generator, noise=1.0, controls=0.9),
        _case("a probe that reads far better than the controls", generator, noise=0.5, controls=2.0),
        _case("a control that is hardly behind the probe", generator, noise=1.0, controls=1.1, best=-1),
        _case("weights that are nowhere near zero", generator, noise=0.8, controls=1.0, mean=3.0, best=0),
        _case("readings that are worse than none", generator, noise=4.0, controls=1.9, shrunk=False),
        _case("a single control", generator, noise=0.7, controls=3.0, n_controls=1, best=0, shrunk=False),
        _case("a single coordinate", generator, noise=1.1, controls=0.7, mean=-0.9, d=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    noise: float,
    controls: float,
    mean: float = 0.4,
    d: int | None = None,
    n_controls: int | None = None,
    best: int | None = None,
    shrunk: bool = True,
) -> Case:
    """``best`` is the place of the control with the least noise, any but the first where it is not given."""
    drawn = distinct(generator, 2, 3, 6)
    d, n_controls = d or drawn[0], n_controls or drawn[1]
    prompts = distinct(generator, 1, 24, 40)[0]
    normal = double_normals(generator)

    def read(noise: float) -> Tensor:
        """A noisy copy, or the best linear reading of it."""
        return mean + (w - mean + noise * sizes * normal(prompts, d)) / (1 + noise**2 if shrunk else 1)

    sizes = torch.linspace(0.5, 2.0, prompts, dtype=torch.float64)[:, None].roll(prompts // 3, 0)
    w = mean + sizes * normal(prompts, d) * torch.linspace(0.6, 1.5, d, dtype=torch.float64)
    worse = (0.4 + torch.rand(n_controls, generator=generator)).tolist()
    worse[distinct(generator, 1, 1, n_controls - 1)[0] if best is None else best] = 0.0
    readings = torch.stack([read(controls + more) for more in worse])
    return Case(description, {"w": w, "probed": read(noise), "controls": readings})


def one_coordinate(w, probed, controls):
    right = refute(w, probed, controls)
    return *right[:3], *(w.shape[-1] * end for end in right[3:])


def scored_by(score):
    """The claim and the control with another score."""

    def answer(w, probed, controls):
        _, best, _, *lead = refute(w, probed, controls)
        return score(w, probed), best, score(w, controls)[best], *lead

    return answer


def coordinates_apart(w, values):
    return (1 - (values - w).square().sum(-2) / (w - w.mean(0)).square().sum(0)).mean(-1)


def squared_correlation(w, values):
    a, b = w - w.mean(0), values - values.mean(-2, keepdim=True)
    return (a * b).sum((-2, -1)).square() / a.square().sum() / b.square().sum((-2, -1))


def all_controls(w, probed, controls):
    mean = refute(w, probed, controls, lead=lambda ours, theirs, best, unit: (theirs.mean(0) - ours) / unit)
    return *mean[:2], 1 - missed(w, controls).mean() / spread(w), *mean[3:]


def ratios(w, probed, controls):
    return refute(
        w, probed, controls, lead=lambda ours, theirs, best, unit: leads(ours, theirs, best, missed(w, w.mean(0)))
    )


def unpaired(w, probed, controls):
    right = refute(w, probed, controls)
    variance = missed(w, controls[right[1]]).var() + missed(w, probed).var()
    margin = 1.96 * (variance / len(w)).sqrt() / spread(w)
    return *right[:4], right[3] - margin, right[3] + margin


on = edits_of(refute)

MISCONCEPTIONS = {
    "about_zero": on(
        "you divide by the squares of w; a share of variance is measured about the mean over prompts.",
        scale=lambda w: missed(w, 0).mean(),
    ),
    "about_one_mean": on(
        "you take one mean for all coordinates; each coordinate has a mean of its own.",
        scale=lambda w: missed(w, w.mean()).mean(),
    ),
    "one_coordinate": Misconception(
        one_coordinate, "your v is the variance of one coordinate; the squared errors are sums over all of them."
    ),
    "coordinates_apart": Misconception(
        scored_by(coordinates_apart),
        "you average the shares of the coordinates; add up the squares of all coordinates first.",
    ),
    "correlated": Misconception(
        scored_by(squared_correlation),
        "these are squared correlations, which forgive a wrong scale; compare squared errors.",
    ),
    "first_control": on(
        "this is the first control; asked for is the one with the highest score.", choose=lambda scores: torch.tensor(0)
    ),
    "weakest_control": on(
        "you compare with the weakest control; a claim has to beat the strongest.", choose=torch.argmin
    ),
    "all_controls": Misconception(all_controls, "you average over the controls; take the one with the highest score."),
    "best_in_each_prompt": on(
        "you choose the control anew in every prompt, which flatters it; choose one for all.",
        lead=lambda ours, theirs, best, unit: (theirs.amin(0) - ours) / unit,
    ),
    "counted_from_one": on("you count the controls from 1; count from 0.", result=lambda r: (r[0], r[1] + 1, *r[2:])),
    "lead_turned": on(
        "the lead is the probe's score less the control's, not the reverse.",
        result=lambda r: (*r[:3], -r[3], -r[5], -r[4]),
    ),
    "ends_swapped": on(ENDS_SWAPPED, result=lambda r: (*r[:4], r[5], r[4])),
    "unscaled": on(
        "your lead is a difference of squared errors; divide by the variance of w, as in the scores.",
        lead=lambda ours, theirs, best, unit: theirs[best] - ours,
    ),
    "ratios": Misconception(
        ratios, "you divide each prompt by its own squares; divide all by the same number, the mean of them."
    ),
    "one_standard_error": on(ONE_STANDARD_ERROR, interval=partial(with_interval, z=1.0)),
    "no_root": on(NO_ROOT, interval=of_single_units),
    "population_spread": on(POPULATION_SPREAD, interval=with_population_spread),
    "unpaired": Misconception(
        unpaired, "you add the variances of the two errors; take the spread of their difference, prompt by prompt."
    ),
}

QUESTION = Question(
    id="ch10.refute",
    points=3,
    title="Refute: a probe finds the weights, so the model computes them",
    hints=(
        "What would the same probe find in a network that has learnt nothing?",
        "Score every control as you score the claim. Then subtract squared errors prompt by prompt.",
        "miss = (values - w).square().sum(-1); scale = (w - w.mean(0)).square().sum(-1).mean(); a score is "
        "1 - miss.mean() / scale, the leads are (miss of the best control - miss of the probe) / scale.",
    ),
    reference=refute,
    cases=cases,
    axes={"w": "prompt coordinate", "probed": "prompt coordinate", "controls": "control prompt coordinate"},
    fields=(
        Field("claimed", atol=1e-6),
        Field("best", atol=0, rtol=0),
        Field("control", atol=1e-6),
        Field("lead", atol=1e-6),
        Field("low", atol=1e-6),
        Field("high", atol=1e-6),
    ),
    misconceptions=MISCONCEPTIONS,
)
