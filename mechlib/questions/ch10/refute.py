"""Question ch10.refute: a probe that finds the weights, without a network that was never trained beside it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct
from mechlib.questions.intervals import ENDS_SWAPPED, NO_ROOT, ONE_STANDARD_ERROR, POPULATION_SPREAD, with_interval

__all__ = ["QUESTION"]

Weights = Float[Tensor, "prompt coordinate"]
Controls = Float[Tensor, "control prompt coordinate"]
Result = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def refute(w: Weights, probed: Weights, controls: Controls) -> Result:
    """The claimed score, the best control and its score, and the lead over it with its interval."""
    scores = score(w, controls)
    best = scores.argmax()
    return score(w, probed), best, scores[best], *with_interval(leads(w, probed, controls[best]))


def score(w: Weights, probed: Tensor) -> Tensor:
    """The share of the variance of ``w`` that is explained, all coordinates together."""
    return 1 - missed(w, probed).sum(-1) / missed(w, w.mean(0)).sum()


def missed(w: Weights, probed: Tensor) -> Float[Tensor, "... prompt"]:
    return (probed - w).square().sum(-1)


def leads(w: Weights, probed: Weights, control: Weights) -> Float[Tensor, " prompt"]:
    """What each prompt adds to the difference of the scores, times the number of prompts."""
    return (missed(w, control) - missed(w, probed)) / missed(w, w.mean(0)).mean()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A report that is false, one that is true, one that cannot be told, and weights far from zero."""
    return (
        _case("a control that reads as well as the probe", generator, noise=1.0, controls=0.9),
        _case("a probe that reads far better than the controls", generator, noise=0.5, controls=2.0),
        _case("a control that is hardly behind the probe", generator, noise=1.0, controls=1.1),
        _case("weights that are nowhere near zero", generator, noise=0.8, controls=1.0, mean=3.0),
    )


def _case(description: str, generator: torch.Generator, *, noise: float, controls: float, mean: float = 0.4) -> Case:
    d, n_controls = distinct(generator, 2, 3, 6)
    prompts = distinct(generator, 1, 24, 40)[0]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def read(noise: float) -> Tensor:
        """The best linear reading of a noisy copy."""
        return mean + (w - mean + noise * sizes * normal(prompts, d)) / (1 + noise**2)

    sizes = torch.linspace(0.5, 2.0, prompts, dtype=torch.float64)[:, None].roll(prompts // 3, 0)
    w = mean + sizes * normal(prompts, d) * torch.linspace(0.6, 1.5, d, dtype=torch.float64)
    worse = (0.4 + torch.rand(n_controls, generator=generator)).tolist()
    worse[1 + int(torch.randint(n_controls - 1, (), generator=generator))] = 0.0
    readings = torch.stack([read(controls + more) for more in worse])
    return Case(description, {"w": w, "probed": read(noise), "controls": readings})


def _with(right: Result, **changed: Tensor) -> Result:
    names = ("claimed", "best", "control", "lead", "low", "high")
    return tuple(changed.get(name, value) for name, value in zip(names, right, strict=True))


def _lead(right: Result, lead: Tensor, z: float = 1.96) -> Result:
    return *right[:3], *with_interval(lead, z)


def about_zero(w, probed, controls):
    scores = 1 - missed(w, controls).sum(-1) / w.square().sum()
    best = scores.argmax()
    lead = (missed(w, controls[best]) - missed(w, probed)) / w.square().sum(-1).mean()
    return 1 - missed(w, probed).sum() / w.square().sum(), best, scores[best], *with_interval(lead)


def about_one_mean(w, probed, controls):
    """One mean for all coordinates."""
    scale = (w - w.mean()).square().sum(-1).mean()
    ours, theirs = missed(w, probed) / scale, missed(w, controls) / scale
    best = theirs.mean(-1).argmin()
    return 1 - ours.mean(), best, 1 - theirs[best].mean(), *with_interval(theirs[best] - ours)


def one_coordinate(w, probed, controls):
    right = refute(w, probed, controls)
    return *right[:3], *(w.shape[-1] * end for end in right[3:])


def coordinates_apart(w, probed, controls):
    def apart(values):
        return (1 - (values - w).square().sum(-2) / (w - w.mean(0)).square().sum(0)).mean(-1)

    right = refute(w, probed, controls)
    return _with(right, claimed=apart(probed), control=apart(controls)[right[1]])


def correlated(w, probed, controls):
    def squared(values):
        a, b = w - w.mean(0), values - values.mean(-2, keepdim=True)
        return (a * b).sum((-2, -1)).square() / a.square().sum() / b.square().sum((-2, -1))

    right = refute(w, probed, controls)
    return _with(right, claimed=squared(probed), control=squared(controls)[right[1]])


def first_control(w, probed, controls):
    scores = score(w, controls)
    return score(w, probed), torch.tensor(0), scores[0], *with_interval(leads(w, probed, controls[0]))


def weakest_control(w, probed, controls):
    scores = score(w, controls)
    worst = scores.argmin()
    return score(w, probed), worst, scores[worst], *with_interval(leads(w, probed, controls[worst]))


def all_controls(w, probed, controls):
    lead = (missed(w, controls).mean(0) - missed(w, probed)) / missed(w, w.mean(0)).mean()
    return _with(_lead(refute(w, probed, controls), lead), control=score(w, controls).mean())


def best_in_each_prompt(w, probed, controls):
    lead = (missed(w, controls).amin(0) - missed(w, probed)) / missed(w, w.mean(0)).mean()
    return _lead(refute(w, probed, controls), lead)


def counted_from_one(w, probed, controls):
    right = refute(w, probed, controls)
    return _with(right, best=right[1] + 1)


def lead_turned(w, probed, controls):
    *first, lead, low, high = refute(w, probed, controls)
    return *first, -lead, -high, -low


def ends_swapped(w, probed, controls):
    *first, low, high = refute(w, probed, controls)
    return *first, high, low


def unscaled(w, probed, controls):
    right = refute(w, probed, controls)
    return _lead(right, missed(w, controls[right[1]]) - missed(w, probed))


def ratios(w, probed, controls):
    right = refute(w, probed, controls)
    lead = (missed(w, controls[right[1]]) - missed(w, probed)) / missed(w, w.mean(0))
    return _lead(right, lead)


def one_standard_error(w, probed, controls):
    right = refute(w, probed, controls)
    return _lead(right, leads(w, probed, controls[right[1]]), z=1.0)


def no_root(w, probed, controls):
    right = refute(w, probed, controls)
    return _lead(right, leads(w, probed, controls[right[1]]), z=1.96 * math.sqrt(len(w)))


def population_spread(w, probed, controls):
    right = refute(w, probed, controls)
    return _lead(right, leads(w, probed, controls[right[1]]), z=1.96 * math.sqrt((len(w) - 1) / len(w)))


def unpaired(w, probed, controls):
    right = refute(w, probed, controls)
    scale = missed(w, w.mean(0)).mean()
    spread = (missed(w, controls[right[1]]) / scale).var() + (missed(w, probed) / scale).var()
    margin = 1.96 * (spread / len(w)).sqrt()
    return *right[:4], right[3] - margin, right[3] + margin


MISCONCEPTIONS = {
    "about_zero": Misconception(
        about_zero, "you divide by the squares of w; a share of variance is measured about the mean over prompts."
    ),
    "about_one_mean": Misconception(
        about_one_mean, "you take one mean for all coordinates; each coordinate has a mean of its own."
    ),
    "one_coordinate": Misconception(
        one_coordinate, "your v is the variance of one coordinate; the squared errors are sums over all of them."
    ),
    "coordinates_apart": Misconception(
        coordinates_apart, "you average the shares of the coordinates; add up the squares of all coordinates first."
    ),
    "correlated": Misconception(
        correlated, "these are squared correlations, which forgive a wrong scale; compare squared errors."
    ),
    "first_control": Misconception(
        first_control, "this is the first control; asked for is the one with the highest score."
    ),
    "weakest_control": Misconception(
        weakest_control, "you compare with the weakest control; a claim has to beat the strongest."
    ),
    "all_controls": Misconception(all_controls, "you average over the controls; take the one with the highest score."),
    "best_in_each_prompt": Misconception(
        best_in_each_prompt, "you choose the control anew in every prompt, which flatters it; choose one for all."
    ),
    "counted_from_one": Misconception(counted_from_one, "you count the controls from 1; count from 0."),
    "lead_turned": Misconception(lead_turned, "the lead is the probe's score less the control's, not the reverse."),
    "ends_swapped": Misconception(ends_swapped, ENDS_SWAPPED),
    "unscaled": Misconception(
        unscaled, "your lead is a difference of squared errors; divide by the variance of w, as in the scores."
    ),
    "ratios": Misconception(
        ratios, "you divide each prompt by its own squares; divide all by the same number, the mean of them."
    ),
    "one_standard_error": Misconception(one_standard_error, ONE_STANDARD_ERROR),
    "no_root": Misconception(no_root, NO_ROOT),
    "population_spread": Misconception(population_spread, POPULATION_SPREAD),
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
