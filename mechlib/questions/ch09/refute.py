"""Question ch09.refute: a high cosine with one gradient step is taken for gradient descent."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct
from mechlib.questions.intervals import ENDS_SWAPPED, NO_ROOT, ONE_STANDARD_ERROR, POPULATION_SPREAD, with_interval

__all__ = ["QUESTION"]

Weights = Float[Tensor, "prompt coordinate"]
Result = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def refute(model: Weights, step: Weights, rivals: Float[Tensor, "rival prompt coordinate"]) -> Result:
    """The claimed cosine, its baseline, the nearest rival, and that rival's lead over the step with its interval."""
    own, other = cosine(model, step), cosine(model, step.roll(-1, 0))
    to_rivals = cosine(model, rivals)
    best = to_rivals.mean(1).argmax()
    return own.mean(), other.mean(), best, *with_interval(to_rivals[best] - own)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.cosine_similarity(a, b, dim=-1)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A report that is false, one that is true, one that cannot be told, weights of one common direction, and a single
    rival; rivals that all go the other way, so that the lead is below -1; and a model that goes uphill: it is above 1.
    """
    several = _case("a single rival", generator, is_step=0.5, common=0.0)
    alone = replace(several, inputs={**several.inputs, "rivals": several.inputs["rivals"][1:2]})
    turned = _case("rivals that all go the other way", generator, is_step=1.0, common=0.0)
    turned.inputs["rivals"].neg_()
    return (
        _case("a model that is the second of the rivals", generator, is_step=0.0, common=0.0, noise=0.0),
        _case("a model that is the step", generator, is_step=1.0, common=0.0),
        _case("a model between the step and a rival", generator, is_step=0.5, common=0.0),
        _case("weights that point the same way in all prompts", generator, is_step=0.3, common=2.0),
        alone,
        turned,
        _against(generator),
    )


def _against(generator: torch.Generator) -> Case:
    """The first rival is near the model, the second its reverse, and the last is the model itself in most prompts."""
    case = _case("a model that goes uphill", generator, is_step=1.0, common=2.0)
    model, rivals = case.inputs["model"].neg_(), case.inputs["rivals"]
    mostly = 1.0 - 2.0 * (torch.arange(len(model)) % 3 == 0)
    rivals[0] = model + 0.5 * model.norm(dim=-1, keepdim=True) * torch.rand(model.shape, generator=generator)
    rivals[1], rivals[-1] = -model, mostly[:, None] * model
    return case


def _case(description: str, generator: torch.Generator, *, is_step: float, common: float, noise: float = 0.2) -> Case:
    """Steps ``S w`` and rivals ``(S + c I)^-1 S w`` of a few examples, and ``noise`` of the model's own."""
    d, n_rivals = distinct(generator, 2, 3, 6)
    prompts = distinct(generator, 1, 20, 40)[0]
    w = torch.randn(prompts, d, 1, generator=generator, dtype=torch.float64)
    w = w + common
    x = torch.randn(prompts, 2 * d, d, generator=generator, dtype=torch.float64)
    S = x.mT @ x / (2 * d)
    farthest, *spaced, nearest = torch.logspace(-1.5, -0.2, n_rivals, dtype=torch.float64).tolist()
    offsets = [spaced[i] for i in torch.randperm(len(spaced), generator=generator).tolist()]
    offsets.insert(1, farthest)
    offsets.append(nearest)  # to the step: where the model is that, the last rival is the best
    step = (S @ w)[..., 0]
    rivals = torch.stack([torch.linalg.solve(S + c * torch.eye(d, dtype=S.dtype), S @ w)[..., 0] for c in offsets])
    own = noise * torch.randn(prompts, d, generator=generator, dtype=torch.float64)
    lengths = 0.5 + 4 * torch.rand(prompts, 1, generator=generator, dtype=torch.float64)
    model = lengths * (is_step * step + (1 - is_step) * rivals[1] + own)
    return Case(description, {"model": model, "step": step, "rivals": rivals})


def _with(right: Result, **changed: Tensor) -> tuple[Tensor, ...]:
    names = ("claimed", "baseline", "best", "lead", "low", "high")
    return tuple(changed.get(name, value) for name, value in zip(names, right, strict=True))


def one_long_vector(model, step, rivals):
    claimed = cosine(model.flatten(), step.flatten())
    return _with(refute(model, step, rivals), claimed=claimed)


def dot_products(model, step, rivals):
    return _with(refute(model, step, rivals), claimed=(model * step).sum(-1).mean())


def rolled_forward(model, step, rivals):
    return _with(refute(model, step, rivals), baseline=cosine(model, step.roll(1, 0)).mean())


def coordinates_shuffled(model, step, rivals):
    return _with(refute(model, step, rivals), baseline=cosine(model, step.roll(-1, 1)).mean())


def rolled_flat(model, step, rivals):
    return _with(refute(model, step, rivals), baseline=cosine(model, step.roll(-1)).mean())


def last_left_out(model, step, rivals):
    return _with(refute(model, step, rivals), baseline=cosine(model[:-1], step[1:]).mean())


def baseline_of_size(model, step, rivals):
    return _with(refute(model, step, rivals), baseline=cosine(model, step.roll(-1, 0)).abs().mean())


def first_rival(model, step, rivals):
    lead = with_interval(cosine(model, rivals[0]) - cosine(model, step))
    return *refute(model, step, rivals)[:2], torch.tensor(0), *lead


def nearest_to_step(model, step, rivals):
    best = cosine(step, rivals).mean(1).argmax()
    lead = with_interval(cosine(model, rivals[best]) - cosine(model, step))
    return *refute(model, step, rivals)[:2], best, *lead


def counted_from_one(model, step, rivals):
    right = refute(model, step, rivals)
    return _with(right, best=right[2] + 1)


def best_in_each_prompt(model, step, rivals):
    lead = with_interval(cosine(model, rivals).amax(0) - cosine(model, step))
    return *refute(model, step, rivals)[:3], *lead


def all_rivals(model, step, rivals):
    lead = with_interval(cosine(model, rivals).mean(0) - cosine(model, step))
    return *refute(model, step, rivals)[:3], *lead


def lead_turned(model, step, rivals):
    *first, lead, low, high = refute(model, step, rivals)
    return *first, -lead, -high, -low


def ends_swapped(model, step, rivals):
    *first, low, high = refute(model, step, rivals)
    return *first, high, low


def _margin(model, step, rivals, margin):
    right = refute(model, step, rivals)
    lead = cosine(model, rivals[right[2]]) - cosine(model, step)
    return *right[:4], lead.mean() - margin(lead), lead.mean() + margin(lead)


def one_standard_error(model, step, rivals):
    return _margin(model, step, rivals, lambda lead: lead.std() / len(lead) ** 0.5)


def no_root(model, step, rivals):
    return _margin(model, step, rivals, lambda lead: 1.96 * lead.std())


def population_spread(model, step, rivals):
    return _margin(model, step, rivals, lambda lead: 1.96 * lead.std(correction=0) / len(lead) ** 0.5)


def unpaired(model, step, rivals):
    best = refute(model, step, rivals)[2]
    spread = cosine(model, rivals[best]).var() + cosine(model, step).var()
    return _margin(model, step, rivals, lambda lead: 1.96 * (spread / len(lead)).sqrt())


MISCONCEPTIONS = {
    "one_long_vector": Misconception(
        one_long_vector, "this is one cosine of all prompts in one vector; take the mean of the prompts' cosines."
    ),
    "dot_products": Misconception(dot_products, "these are dot products; divide by both lengths."),
    "rolled_forward": Misconception(
        rolled_forward, "you put each prompt beside the step of the one before; asked for is that of the next."
    ),
    "coordinates_shuffled": Misconception(
        coordinates_shuffled, "you shifted the coordinates; the baseline is the step of another prompt."
    ),
    "rolled_flat": Misconception(
        rolled_flat,
        "your shift runs through all entries in a row, so coordinates move too; shift along the axis of prompts alone.",
    ),
    "last_left_out": Misconception(
        last_left_out, "the last prompt is missing from your baseline; it goes beside the step of the first."
    ),
    "baseline_of_size": Misconception(
        baseline_of_size, "your baseline averages sizes of cosines; keep their signs, or chance never averages out."
    ),
    "first_rival": Misconception(first_rival, "this is the first rival; asked for is the one with the largest cosine."),
    "nearest_to_step": Misconception(
        nearest_to_step, "you chose the rival that is nearest to the step; asked for is the one nearest to the model."
    ),
    "counted_from_one": Misconception(counted_from_one, "you count the rivals from 1; count from 0."),
    "best_in_each_prompt": Misconception(
        best_in_each_prompt, "you choose the rival anew in every prompt, which always flatters it; choose one for all."
    ),
    "all_rivals": Misconception(all_rivals, "you average over the rivals; take the best one."),
    "lead_turned": Misconception(lead_turned, "the lead is the rival's cosine less the step's, not the reverse."),
    "ends_swapped": Misconception(ends_swapped, ENDS_SWAPPED),
    "one_standard_error": Misconception(one_standard_error, ONE_STANDARD_ERROR),
    "no_root": Misconception(no_root, NO_ROOT),
    "population_spread": Misconception(population_spread, POPULATION_SPREAD),
    "unpaired": Misconception(
        unpaired, "you add the variances of the two cosines; take the spread of their difference, prompt by prompt."
    ),
}

QUESTION = Question(
    id="ch09.refute",
    points=3,
    title="Refute: a cosine of 0.9 shows gradient descent",
    hints=(
        "A high cosine is high compared with what? Two numbers are missing in the report.",
        "Compare the model with the step of another prompt, and with other algorithms on the same prompts.",
        "own = cosine_similarity(model, step, dim=-1); baseline: step.roll(-1, 0); lead = cosine to the best rival "
        "less own, prompt by prompt; 1.96 * lead.std() / sqrt(n).",
    ),
    reference=refute,
    cases=cases,
    axes={"model": "prompt coordinate", "step": "prompt coordinate", "rivals": "rival prompt coordinate"},
    fields=(
        Field("claimed", atol=1e-5),
        Field("baseline", atol=1e-5),
        Field("best", atol=0, rtol=0),
        Field("lead", atol=1e-5),
        Field("low", atol=1e-5),
        Field("high", atol=1e-5),
    ),
    misconceptions=MISCONCEPTIONS,
)
