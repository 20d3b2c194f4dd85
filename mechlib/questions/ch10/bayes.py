"""Question ch10.bayes: the posterior over the weights when the examples are noisy."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Inputs = Float[Tensor, "prompt example coordinate"]
Outputs = Float[Tensor, "prompt example"]
Result = tuple[Tensor, Tensor]


def bayes(x: Inputs, y: Outputs, noise_var: float, prior_var: float) -> Result:
    """The posterior mean of the weights, and their expected squared error."""
    return solved(x, y, noise_var / prior_var, noise_var)


def solved(x: Inputs, y: Outputs, lam: float, scale: float) -> Result:
    """``(X'X + lam I)^-1 X'y``, and ``scale`` times the trace of that inverse."""
    inverse = torch.linalg.inv(x.mT @ x + lam * torch.eye(x.shape[-1], dtype=x.dtype))
    return (inverse @ moment(x, y))[..., 0], scale * inverse.diagonal(dim1=-2, dim2=-1).sum(-1)


def moment(x: Inputs, y: Outputs) -> Tensor:
    return x.mT @ y[..., None]


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """More and fewer examples than coordinates, much noise, and a narrow prior."""
    few, more, many = distinct(generator, 3, 4, 9)
    return (
        _case("some noise", generator, n=more + 4, noise=0.3, prior=1.7),
        _case("fewer examples than coordinates", generator, n=2, noise=0.2, prior=0.7),
        _case("much noise", generator, n=many + 3, noise=4.0, prior=1.3),
        _case("a narrow prior", generator, n=few + 5, noise=0.6, prior=0.05),
    )


def _case(description: str, generator: torch.Generator, *, n: int, noise: float, prior: float) -> Case:
    sizes = [size for size in distinct(generator, 3, 3, 6) if size != n]
    prompts, d = sizes[:2]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    factor = 0.8 + 0.4 * float(torch.rand(1, generator=generator))
    noise, prior = noise * factor, prior / factor
    x = normal(prompts, n, d)
    y = torch.einsum("pnd,pd->pn", x, prior**0.5 * normal(prompts, d)) + noise**0.5 * normal(prompts, n)
    return Case(description, {"x": x, "y": y, "noise_var": noise, "prior_var": prior})


def noise_alone(x, y, noise_var, prior_var):
    return solved(x, y, noise_var, noise_var)


def turned_over(x, y, noise_var, prior_var):
    return solved(x, y, prior_var / noise_var, noise_var)


def deviations(x, y, noise_var, prior_var):
    return solved(x, y, (noise_var / prior_var) ** 0.5, noise_var)


def product(x, y, noise_var, prior_var):
    return solved(x, y, noise_var * prior_var, noise_var)


def averaged(x, y, noise_var, prior_var):
    return solved(x, y, x.shape[1] * noise_var / prior_var, noise_var)


def divided(x, y, noise_var, prior_var):
    return solved(x, y, noise_var / prior_var / x.shape[1], noise_var)


def prior_alone(x, y, noise_var, prior_var):
    return solved(x, y, 1 / prior_var, noise_var)


def least_squares(x, y, noise_var, prior_var):
    weights = (torch.linalg.pinv(x) @ y[..., None])[..., 0]
    return weights, bayes(x, y, noise_var, prior_var)[1]


def unscaled(x, y, noise_var, prior_var):
    return solved(x, y, noise_var / prior_var, 1.0)


def scaled_by_prior(x, y, noise_var, prior_var):
    return solved(x, y, noise_var / prior_var, prior_var)


def of_a_prediction(x, y, noise_var, prior_var):
    weights, error = bayes(x, y, noise_var, prior_var)
    return weights, error + noise_var


def one_coordinate(x, y, noise_var, prior_var):
    weights, error = bayes(x, y, noise_var, prior_var)
    return weights, error / x.shape[-1]


def noise_only(x, y, noise_var, prior_var):
    """The part of the error that the noise makes, without the part of shrinking."""
    inverse = torch.linalg.inv(x.mT @ x + noise_var / prior_var * torch.eye(x.shape[-1], dtype=x.dtype))
    return bayes(x, y, noise_var, prior_var)[0], noise_var * (inverse @ x.mT).square().sum((-2, -1))


def prior_error(x, y, noise_var, prior_var):
    weights, error = bayes(x, y, noise_var, prior_var)
    return weights, torch.full_like(error, prior_var * x.shape[-1])


MISCONCEPTIONS = {
    "noise_alone": Misconception(
        noise_alone, "your penalty is the variance of the noise; it is that over the variance of the prior."
    ),
    "turned_over": Misconception(
        turned_over, "your ratio is upside down: more noise means a larger penalty, a wider prior a smaller one."
    ),
    "deviations": Misconception(deviations, "your penalty is a ratio of standard deviations; it is one of variances."),
    "product": Misconception(product, "your penalty is the product of the variances; it is their ratio."),
    "averaged": Misconception(
        averaged, "you let the penalty grow with the number of examples; X'X is a sum and no mean."
    ),
    "divided": Misconception(
        divided, "you divide the penalty by the number of examples; here X'X is a sum and no mean."
    ),
    "prior_alone": Misconception(
        prior_alone, "your penalty is one over the variance of the prior; the variance of the noise is missing in it."
    ),
    "least_squares": Misconception(
        least_squares, "these weights are those of least squares; the prior pulls them towards zero."
    ),
    "unscaled": Misconception(unscaled, "the variance of the noise is missing before the trace of the inverse."),
    "scaled_by_prior": Misconception(
        scaled_by_prior, "before the inverse of X'X + lam I stands the variance of the noise, not that of the prior."
    ),
    "of_a_prediction": Misconception(
        of_a_prediction, "this is the error of predicting a noisy y; asked for is that of the weights alone."
    ),
    "one_coordinate": Misconception(
        one_coordinate, "this is the mean over the coordinates; add them up: |w - mean|² is a sum."
    ),
    "noise_only": Misconception(
        noise_only, "this counts what the noise does; shrinking errs as well. The posterior covariance holds both."
    ),
    "prior_error": Misconception(prior_error, "this is the error before any example; take the posterior covariance."),
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
