"""Question ch10.matched: which family of algorithms makes the model's mistakes, at the model's own error."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Values = Float[Tensor, " prompt"]
Families = Float[Tensor, "family setting prompt"]
Result = tuple[Tensor, Tensor, Tensor]


def matched(model: Values, truth: Values, families: Families) -> Result:
    """For each family the setting whose error is nearest to the model's, and the cosine of the mistakes there."""
    size = families.sub(truth).square().mean(-1)
    return compared(model - truth, families - truth, (size / mean_square(model - truth)).log().abs().argmin(1))


def mean_square(errors: Tensor) -> Tensor:
    return errors.square().mean(-1)


def compared(own: Tensor, theirs: Tensor, chosen: Tensor) -> Result:
    """``chosen``, the cosines of the mistakes at these settings, and the family with the largest."""
    cosines = torch.cosine_similarity(own, at(theirs, chosen), dim=-1)
    return chosen, cosines, cosines.argmax()


def at(families: Tensor, chosen: Tensor) -> Tensor:
    return families[torch.arange(len(families)), chosen]


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A model that shares its mistakes with the families, one that does not, a nearly perfect one, and a poor one."""
    return (
        _case("a model with the families' mistakes", generator, share=0.8, size=0.4, pair=0),
        _case("a model with mistakes of its own", generator, share=0.2, size=0.3, pair=1),
        _case("a model with small errors", generator, share=0.6, size=0.12, pair=2),
        _case("a model with large errors", generator, share=0.5, size=0.8, pair=3),
    )


# Mean squared errors over the model's, of the setting to be chosen and of the one that comes second. The second is
# nearer by difference in the first pair, by the difference of the roots too in the second, and in the third by the
# model's error over the setting's, less one; there and in the fourth it is the best of those that are worse than the
# model. The first of the last pair errs much on a few prompts, so that its mean size is small.
PAIRS = ((1.6, 0.5), (1.6, 0.58), (0.8, 1.3), (0.8, 1.5), (1.15, 0.8))


def _case(description: str, generator: torch.Generator, *, share: float, size: float, pair: int) -> Case:
    """``pair`` is that of the first family, and the next families have the next ones."""
    n_families, n_settings = distinct(generator, 2, 3, 7)
    prompts = distinct(generator, 1, 20, 35)[0]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    shared = normal(prompts) + 0.5
    mistakes = 1.5 * uniform(n_families, n_settings, 1) * shared + normal(n_families, n_settings, prompts)
    far = 2 * (1 + uniform(n_families, n_settings)) * (1 - 2 * (uniform(n_families, n_settings) < 0.5).double())
    ratios = far.exp()
    shift = int(torch.randint(n_settings, (), generator=generator))
    for family in range(n_families):
        first, second = ((family + shift + i) % n_settings for i in range(2))
        drawn = (pair + family) % len(PAIRS)
        ratios[family, first], ratios[family, second] = PAIRS[drawn]
        if drawn == len(PAIRS) - 1:
            mistakes[family, first, 4:] *= 0.05
    own = share * shared + (1 - share) * normal(prompts)
    sizes = size * ratios.sqrt()[..., None] / mistakes.square().mean(-1, keepdim=True).sqrt()
    truth = 1.5 + 2 * normal(prompts)
    model = truth + size * own / own.square().mean().sqrt()
    return Case(description, {"model": model, "truth": truth, "families": truth + sizes * mistakes})


def nearest_setting(model, truth, families):
    own, theirs = model - truth, families - truth
    return compared(own, theirs, (families - model).square().mean(-1).argmin(1))


def likeliest_setting(model, truth, families):
    own, theirs = model - truth, families - truth
    return compared(own, theirs, torch.cosine_similarity(own, theirs, dim=-1).argmax(1))


def best_setting(model, truth, families):
    own, theirs = model - truth, families - truth
    return compared(own, theirs, mean_square(theirs).argmin(1))


def by_difference(model, truth, families):
    own, theirs = model - truth, families - truth
    return compared(own, theirs, (mean_square(theirs) - mean_square(own)).abs().argmin(1))


def by_root(model, truth, families):
    own, theirs = model - truth, families - truth
    return compared(own, theirs, (mean_square(theirs).sqrt() - mean_square(own).sqrt()).abs().argmin(1))


def by_inverse(model, truth, families):
    own, theirs = model - truth, families - truth
    return compared(own, theirs, (mean_square(own) / mean_square(theirs) - 1).abs().argmin(1))


def by_sizes(model, truth, families):
    own, theirs = model - truth, families - truth
    ratio = theirs.abs().mean(-1) / own.abs().mean()
    return compared(own, theirs, ratio.log().abs().argmin(1))


def last_worse(model, truth, families):
    """The best of the settings that are no better than the model."""
    own, theirs = model - truth, families - truth
    size = mean_square(theirs)
    return compared(own, theirs, torch.where(size >= mean_square(own), size, torch.inf).argmin(1))


def of_predictions(model, truth, families):
    chosen, _, _ = matched(model, truth, families)
    cosines = torch.cosine_similarity(model, at(families, chosen), dim=-1)
    return chosen, cosines, cosines.argmax()


def centred_mistakes(model, truth, families):
    chosen, _, _ = matched(model, truth, families)
    own, theirs = model - truth, at(families - truth, chosen)
    cosines = torch.cosine_similarity(own - own.mean(), theirs - theirs.mean(-1, keepdim=True), dim=-1)
    return chosen, cosines, cosines.argmax()


def sizes_of_mistakes(model, truth, families):
    chosen, _, _ = matched(model, truth, families)
    cosines = torch.cosine_similarity((model - truth).abs(), at(families - truth, chosen).abs(), dim=-1)
    return chosen, cosines, cosines.argmax()


def distances(model, truth, families):
    chosen, _, _ = matched(model, truth, families)
    apart = (at(families, chosen) - model).square().mean(-1)
    return chosen, apart, apart.argmin()


def covariances(model, truth, families):
    chosen, _, _ = matched(model, truth, families)
    products = ((model - truth) * at(families - truth, chosen)).mean(-1)
    return chosen, products, products.argmax()


def smallest(model, truth, families):
    chosen, cosines, _ = matched(model, truth, families)
    return chosen, cosines, cosines.argmin()


def counted_from_one(model, truth, families):
    chosen, cosines, nearest = matched(model, truth, families)
    return chosen + 1, cosines, nearest + 1


def one_setting_for_all(model, truth, families):
    own, theirs = model - truth, families - truth
    gap = (mean_square(theirs) / mean_square(own)).log().abs().sum(0)
    return compared(own, theirs, gap.argmin().expand(len(families)))


MISCONCEPTIONS = {
    "nearest_setting": Misconception(
        nearest_setting, "you let each family choose the setting nearest to the model; match the errors instead."
    ),
    "likeliest_setting": Misconception(
        likeliest_setting, "you let each family choose its largest cosine; match the errors first, then look."
    ),
    "best_setting": Misconception(
        best_setting, "you took each family's best setting; asked for is the one with the model's own error."
    ),
    "by_difference": Misconception(
        by_difference,
        "you compare errors by their difference, or take the setting's error over the model's, less one: then a double "
        "is farther off than a half. Take the logarithm of the ratio.",
    ),
    "by_root": Misconception(
        by_root,
        "you compare root mean squares by their difference, or take their ratio less one: then a double is farther off "
        "than a half. Take the logarithm of the ratio.",
    ),
    "by_inverse": Misconception(
        by_inverse,
        "you take the model's error over the setting's, less one: then a half is farther off than a double. Take the "
        "logarithm of the ratio.",
    ),
    "by_sizes": Misconception(by_sizes, "you match mean sizes of mistakes; match mean squares."),
    "last_worse": Misconception(
        last_worse, "you allow only settings that are worse than the model; nearest may also mean a little better."
    ),
    "of_predictions": Misconception(
        of_predictions, "this is the cosine of the predictions, which all good algorithms share; subtract the truth."
    ),
    "centred_mistakes": Misconception(
        centred_mistakes, "you centred the mistakes; a common offset is a mistake too, and belongs to the cosine."
    ),
    "sizes_of_mistakes": Misconception(
        sizes_of_mistakes, "you dropped the signs of the mistakes; erring in opposite directions is no likeness."
    ),
    "distances": Misconception(distances, "these are mean squared distances; asked for is the cosine of the mistakes."),
    "covariances": Misconception(covariances, "these are products of mistakes; divide by both lengths."),
    "smallest": Misconception(smallest, "the nearest family is the one with the largest cosine."),
    "counted_from_one": Misconception(counted_from_one, "you count settings and families from 1; count from 0."),
    "one_setting_for_all": Misconception(
        one_setting_for_all, "you chose one setting for all families; each family has its own."
    ),
}

QUESTION = Question(
    id="ch10.matched",
    points=2,
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
