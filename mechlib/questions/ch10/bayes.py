"""Question ch10.bayes: the posterior over the weights when the examples are noisy."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, double_normals

__all__ = ["QUESTION"]

Inputs = Float[Tensor, "prompt example coordinate"]
Outputs = Float[Tensor, "prompt example"]
Inverse = Float[Tensor, "prompt coordinate coordinate"]
Result = tuple[Tensor, Tensor]


def penalty(x: Inputs, noise_var: float, prior_var: float) -> float:
    """``lam`` of the ridge regression that the posterior mean is."""
    return noise_var / prior_var


def inverted(x: Inputs, lam: float) -> Inverse:
    """``(X'X + lam I)^-1``."""
    return torch.linalg.inv(x.mT @ x + lam * torch.eye(x.shape[-1], dtype=x.dtype))


def trace(inverse: Inverse) -> Float[Tensor, " prompt"]:
    return inverse.diagonal(dim1=-2, dim2=-1).sum(-1)


def expected_error(inverse: Inverse, x: Inputs, noise_var: float, prior_var: float) -> Float[Tensor, " prompt"]:
    """The trace of the posterior covariance."""
    return noise_var * trace(inverse)


def bayes(
    x: Inputs, y: Outputs, noise_var: float, prior_var: float, *, lam: Step = penalty, error: Step = expected_error
) -> Result:
    """The posterior mean of the weights, and their expected squared error."""
    inverse = inverted(x, lam(x, noise_var, prior_var))
    return (inverse @ x.mT @ y[..., None])[..., 0], error(inverse, x, noise_var, prior_var)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """More and fewer examples than coordinates, much noise, a narrow prior, and axes of one entry."""
    few, more, many = distinct(generator, 3, 4, 9)
    return (
        _case("some noise", generator, n=more + 4, noise=0.3, prior=1.7),
        _case("fewer examples than coordinates", generator, n=2, noise=0.2, prior=0.7),
        _case("a single example", generator, n=1, noise=0.9, prior=2.2),
        _case("a single coordinate", generator, n=few + 3, noise=0.8, prior=0.4, d=1),
        _case("a single prompt", generator, n=more + 6, noise=1.5, prior=1.1, prompts=1),
        _case("much noise", generator, n=many + 3, noise=4.0, prior=1.3),
        _case("a narrow prior", generator, n=few + 5, noise=0.6, prior=0.05),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    n: int,
    noise: float,
    prior: float,
    prompts: int | None = None,
    d: int | None = None,
) -> Case:
    sizes = [size for size in distinct(generator, 3, 3, 6) if size != n]
    prompts, d = prompts or sizes[0], d or sizes[1]
    normal = double_normals(generator)
    factor = 0.8 + 0.4 * float(torch.rand(1, generator=generator))
    noise, prior = noise * factor, prior / factor
    x = normal(prompts, n, d)
    y = torch.einsum("pnd,pd->pn", x, prior**0.5 * normal(prompts, d)) + noise**0.5 * normal(prompts, n)
    return Case(description, {"x": x, "y": y, "noise_var": noise, "prior_var": prior})


def least_squares(x, y, noise_var, prior_var):
    weights = (torch.linalg.pinv(x) @ y[..., None])[..., 0]
    return weights, bayes(x, y, noise_var, prior_var)[1]


on = edits_of(bayes)

MISCONCEPTIONS = {
    "noise_alone": on(
        "your penalty is the variance of the noise; it is that over the variance of the prior.",
        lam=lambda x, noise, prior: noise,
    ),
    "turned_over": on(
        "your ratio is upside down: more noise means a larger penalty, a wider prior a smaller one.",
        lam=lambda x, noise, prior: prior / noise,
    ),
    "deviations": on(
        "your penalty is a ratio of standard deviations; it is one of variances.",
        lam=lambda x, noise, prior: (noise / prior) ** 0.5,
    ),
    "product": on(
        "your penalty is the product of the variances; it is their ratio.", lam=lambda x, noise, prior: noise * prior
    ),
    "averaged": on(
        "you let the penalty grow with the number of examples; X'X is a sum and no mean.",
        lam=lambda x, noise, prior: x.shape[1] * noise / prior,
    ),
    "divided": on(
        "you divide the penalty by the number of examples; here X'X is a sum and no mean.",
        lam=lambda x, noise, prior: noise / prior / x.shape[1],
    ),
    "prior_alone": on(
        "your penalty is one over the variance of the prior; the variance of the noise is missing in it.",
        lam=lambda x, noise, prior: 1 / prior,
    ),
    "least_squares": Misconception(
        least_squares, "these weights are those of least squares; the prior pulls them towards zero."
    ),
    "unscaled": on(
        "the variance of the noise is missing before the trace of the inverse.",
        error=lambda inverse, x, noise, prior: trace(inverse),
    ),
    "scaled_by_prior": on(
        "before the inverse of X'X + lam I stands the variance of the noise, not that of the prior.",
        error=lambda inverse, x, noise, prior: prior * trace(inverse),
    ),
    "of_a_prediction": on(
        "this is the error of predicting a noisy y; asked for is that of the weights alone.",
        error=lambda inverse, x, noise, prior: noise * trace(inverse) + noise,
    ),
    "one_coordinate": on(
        "this is the mean over the coordinates; add them up: |w - mean|² is a sum.",
        error=lambda inverse, x, noise, prior: noise * trace(inverse) / x.shape[-1],
    ),
    "noise_only": on(
        "this counts what the noise does; shrinking errs as well. The posterior covariance holds both.",
        error=lambda inverse, x, noise, prior: noise * (inverse @ x.mT).square().sum((-2, -1)),
    ),
    "prior_error": on(
        "this is the error before any example; take the posterior covariance.",
        error=lambda inverse, x, noise, prior: prior * trace(torch.eye(x.shape[-1]).expand_as(inverse)),
    ),
}

QUESTION = Question(
    id="ch10.bayes",
    points=2,
    title="The best answer to noisy examples",
    hints=(
        "Write minus the logarithm of prior times likelihood. It is quadratic in w: complete the square.",
        "Its second derivative is (X'X + lam I) / noise_var: the inverse of that is the posterior covariance.",
        "lam = noise_var / prior_var; inverse = torch.linalg.inv(x.mT @ x + lam * eye); weights = (inverse @ x.mT @ "
        "y[..., None])[..., 0]; error = noise_var * inverse.diagonal(dim1=1, dim2=2).sum(-1).",
    ),
    reference=bayes,
    cases=cases,
    axes={"x": "prompt example coordinate", "y": "prompt example"},
    fields=(Field("weights", "prompt coordinate", atol=3e-5), Field("error", "prompt", atol=3e-5)),
    misconceptions=MISCONCEPTIONS,
)
