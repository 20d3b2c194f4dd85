"""Question ch10.matched: which family of algorithms makes the model's mistakes, at the model's own error."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, double_normals

__all__ = ["QUESTION"]

Values = Float[Tensor, " prompt"]
Families = Float[Tensor, "family setting prompt"]
Chosen = Int[Tensor, " family"]
Result = tuple[Tensor, Tensor, Tensor]


def by_ratio(own: Values, theirs: Families) -> Chosen:
    """The setting of each family whose mean square is nearest to one's own, by the logarithm of the ratio."""
    return (mean_square(theirs) / mean_square(own)).log().abs().argmin(1)


def mean_square(errors: Tensor) -> Tensor:
    return errors.square().mean(-1)


def cosine(own: Tensor, theirs: Tensor) -> Tensor:
    return torch.cosine_similarity(own, theirs, dim=-1)


def largest(values: Tensor) -> Tensor:
    return values.argmax()


def at(families: Tensor, chosen: Tensor) -> Tensor:
    return families[torch.arange(len(families)), chosen]


def matched(
    model: Values,
    truth: Values,
    families: Families,
    *,
    choose: Step = by_ratio,
    likeness: Step = cosine,
    nearest: Step = largest,
) -> Result:
    """For each family the setting whose error is nearest to the model's, the cosine of the mistakes there, and the
    family with the largest."""
    own, theirs = model - truth, families - truth
    chosen = choose(own, theirs)
    found = likeness(own, at(theirs, chosen))
    return chosen, found, nearest(found)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Models that share the families' mistakes or do not, a nearly perfect one, a poor one, one that errs in reverse.

    There are cases of one family and of one setting too.
    """
    return (
        _case("a model with the families' mistakes", generator, share=0.8, size=0.4, pair=0),
        _case("a model with mistakes of its own", generator, share=0.2, size=0.3, pair=1),
        _case("a model with small errors", generator, share=0.6, size=0.12, pair=2),
        _case("a model with large errors", generator, share=0.5, size=0.8, pair=3),
        _case("a model that errs in the opposite direction", generator, share=-0.8, size=0.5, pair=1),
        _case("a single family", generator, share=0.7, size=0.4, pair=4, n_families=1),
        _case("a single setting", generator, share=0.4, size=0.6, pair=0, n_settings=1),
    )


# Mean squared errors over the model's, of the setting to be chosen and of the one that comes second. The second is
# nearer by difference in the first pair, by the difference of the roots too in the second, and in the third by the
# model's error over the setting's, less one; there and in the fourth it is the best of those that are worse than the
# model. The first of the last pair errs much on a few prompts, so that its mean size is small.
PAIRS = ((1.6, 0.5), (1.6, 0.58), (0.8, 1.3), (0.8, 1.5), (1.15, 0.8))


def _case(
    description: str,
    generator: torch.Generator,
    *,
    share: float,
    size: float,
    pair: int,
    n_families: int | None = None,
    n_settings: int | None = None,
) -> Case:
    """``pair`` is that of the first family, and the next families have the next ones."""
    drawn = distinct(generator, 2, 3, 7)
    n_families, n_settings = n_families or drawn[0], n_settings or drawn[1]
    prompts = distinct(generator, 1, 20, 35)[0]
    normal = double_normals(generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    shared = normal(prompts) + 0.5
    alike = 0.3 + 1.2 * uniform(n_families, n_settings, 1)
    alike[0] += 1.5 * (share < 0)  # so that the largest of cosines below zero is not the first
    mistakes = alike * shared + normal(n_families, n_settings, prompts)
    far = 2 * (1 + uniform(n_families, n_settings)) * (1 - 2 * (uniform(n_families, n_settings) < 0.5).double())
    ratios = far.exp()
    shift = int(torch.randint(n_settings, (), generator=generator))
    for family in range(n_families):
        first, second = ((family + shift + i) % n_settings for i in range(2))
        number = (pair + family) % len(PAIRS)
        ratios[family, first], ratios[family, second] = PAIRS[number]
        if number == len(PAIRS) - 1:
            mistakes[family, first, 4:] *= 0.05
    own = share * shared + (1 - abs(share)) * normal(prompts)
    sizes = size * ratios.sqrt()[..., None] / mistakes.square().mean(-1, keepdim=True).sqrt()
    truth = 1.5 + 2 * normal(prompts)
    model = truth + size * own / own.square().mean().sqrt()
    return Case(description, {"model": model, "truth": truth, "families": truth + sizes * mistakes})


def last_worse(own, theirs):
    """The best of the settings that are no better than the model."""
    size = mean_square(theirs)
    return torch.where(size >= mean_square(own), size, torch.inf).argmin(1)


def one_for_all(own, theirs):
    gap = (mean_square(theirs) / mean_square(own)).log().abs().sum(0)
    return gap.argmin().expand(len(theirs))


def of_predictions(model, truth, families):
    chosen, _, _ = matched(model, truth, families)
    cosines = cosine(model, at(families, chosen))
    return chosen, cosines, cosines.argmax()


on = edits_of(matched)

MISCONCEPTIONS = {
    "nearest_setting": on(
        "you let each family choose the setting nearest to the model; match the errors instead.",
        choose=lambda own, theirs: mean_square(theirs - own).argmin(1),
    ),
    "likeliest_setting": on(
        "you let each family choose its largest cosine; match the errors first, then look.",
        choose=lambda own, theirs: cosine(own, theirs).argmax(1),
    ),
    "best_setting": on(
        "you took each family's best setting; asked for is the one with the model's own error.",
        choose=lambda own, theirs: mean_square(theirs).argmin(1),
    ),
    "by_difference": on(
        "you compare errors by their difference, or take the setting's error over the model's, less one: then a double "
        "is farther off than a half. Take the logarithm of the ratio.",
        choose=lambda own, theirs: (mean_square(theirs) - mean_square(own)).abs().argmin(1),
    ),
    "by_root": on(
        "you compare root mean squares by their difference, or take their ratio less one: then a double is farther off "
        "than a half. Take the logarithm of the ratio.",
        choose=lambda own, theirs: (mean_square(theirs).sqrt() - mean_square(own).sqrt()).abs().argmin(1),
    ),
    "by_inverse": on(
        "you take the model's error over the setting's, less one: then a half is farther off than a double. Take the "
        "logarithm of the ratio.",
        choose=lambda own, theirs: (mean_square(own) / mean_square(theirs) - 1).abs().argmin(1),
    ),
    "by_sizes": on(
        "you match mean sizes of mistakes; match mean squares.",
        choose=lambda own, theirs: (theirs.abs().mean(-1) / own.abs().mean()).log().abs().argmin(1),
    ),
    "last_worse": on(
        "you allow only settings that are worse than the model; nearest may also mean a little better.",
        choose=last_worse,
    ),
    "of_predictions": Misconception(
        of_predictions, "this is the cosine of the predictions, which all good algorithms share; subtract the truth."
    ),
    "centred_mistakes": on(
        "you centred the mistakes; a common offset is a mistake too, and belongs to the cosine.",
        likeness=lambda own, theirs: cosine(own - own.mean(), theirs - theirs.mean(-1, keepdim=True)),
    ),
    "sizes_of_mistakes": on(
        "you dropped the signs of the mistakes; erring in opposite directions is no likeness.",
        likeness=lambda own, theirs: cosine(own.abs(), theirs.abs()),
    ),
    "distances": on(
        "these are mean squared distances; asked for is the cosine of the mistakes.",
        likeness=lambda own, theirs: mean_square(theirs - own),
        nearest=torch.argmin,
    ),
    "covariances": on(
        "these are products of mistakes; divide by both lengths.", likeness=lambda own, theirs: (own * theirs).mean(-1)
    ),
    "smallest": on("the nearest family is the one with the largest cosine.", nearest=torch.argmin),
    "counted_from_one": on(
        "you count settings and families from 1; count from 0.", result=lambda r: (r[0] + 1, r[1], r[2] + 1)
    ),
    "one_setting_for_all": on("you chose one setting for all families; each family has its own.", choose=one_for_all),
}

QUESTION = Question(
    id="ch10.matched",
    points=1,
    title="The same mistakes at the same error",
    hints=(
        "Two good algorithms agree with the truth, and so with each other. Subtract the truth first.",
        "For each family, choose the setting whose mean squared error has the ratio nearest to 1 with the model's.",
        "own = (model - truth).double(); theirs = (families - truth).double(); ratio = theirs.square().mean(-1) / "
        "own.square().mean(); chosen = ratio.log().abs().argmin(1); torch.cosine_similarity(own, "
        "theirs[torch.arange(len(theirs)), chosen], dim=-1).",
    ),
    reference=matched,
    cases=cases,
    axes={"model": "prompt", "truth": "prompt", "families": "family setting prompt"},
    fields=(
        Field("chosen", "family", atol=0, rtol=0),
        Field("cosine", "family", atol=1e-6),
        Field("nearest", atol=0, rtol=0),
    ),
    misconceptions=MISCONCEPTIONS,
)
