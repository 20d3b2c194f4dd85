"""Question ch11.sparse: the posterior mean when only a few coordinates matter and nobody says which."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, double_normals

__all__ = ["QUESTION"]

Examples = Float[Tensor, "prompt example coordinate"]
Result = tuple[Float[Tensor, " prompt"], Float[Tensor, "prompt coordinate"]]


def sparse(
    x: Examples, y: Float[Tensor, "prompt example"], query: Float[Tensor, "prompt coordinate"], nonzero: int, var: float
) -> Result:
    """The posterior mean at the query, and the probability of each coordinate that it is one of those that matter."""
    return averaged(x, y, query, nonzero, log_evidence, var)


def supports(d: int, nonzero: int) -> list[list[int]]:
    return [list(places) for places in itertools.combinations(range(d), nonzero)]


def weights_on(x: Examples, y: Tensor, var: float) -> Float[Tensor, "prompt coordinate"]:
    gram = x.mT @ x + var * torch.eye(x.shape[-1], dtype=x.dtype)
    return torch.linalg.solve(gram, x.mT @ y[..., None])[..., 0]


def log_evidence(x: Examples, y: Tensor, var: float) -> Float[Tensor, " prompt"]:
    """The log density of ``y``, which is normal with covariance ``X X' + var I``."""
    covariance = x @ x.mT + var * torch.eye(x.shape[1], dtype=x.dtype)
    fit = (y[..., None] * torch.linalg.solve(covariance, y[..., None]))[..., 0].sum(-1)
    return -0.5 * (fit + torch.linalg.slogdet(covariance).logabsdet)


def averaged(x, y, query, nonzero, log_weight, var, *, fit_var=None, sizes=None) -> Result:
    """Predictions of all supports, averaged with the softmax of ``log_weight``."""
    places = [S for size in sizes or (nonzero,) for S in supports(x.shape[-1], size)]
    weight = torch.stack([log_weight(x[..., S], y, var) for S in places]).softmax(0)
    fit_var = var if fit_var is None else fit_var
    means = torch.stack([(weights_on(x[..., S], y, fit_var) * query[:, S]).sum(-1) for S in places])
    return (weight * means).sum(0), inclusions(weight, places, x.shape[-1])


def inclusions(weight: Tensor, places: list[list[int]], d: int) -> Float[Tensor, "prompt coordinate"]:
    member = torch.tensor([[float(c in S) for c in range(d)] for S in places], dtype=weight.dtype)
    return weight.mT @ member


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Few and many examples, one coordinate that matters or all, much noise, a single example, and a single prompt."""
    few, some = distinct(generator, 2, 2, 3)
    return (
        _case("few examples", generator, examples=few, nonzero=2, var=0.1),
        _case("a single coordinate that matters", generator, examples=some, nonzero=1, var=0.4),
        _case("much noise", generator, examples=8, nonzero=3, var=2.5),
        _case("a little noise", generator, examples=7, nonzero=2, var=0.3),
        _case("a single example", generator, examples=1, nonzero=2, var=0.2),
        _case("a single prompt", generator, examples=3, nonzero=2, var=0.6, prompts=1),
        _case("coordinates that all matter", generator, examples=3, nonzero=4, var=0.8, d=4),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    examples: int,
    nonzero: int,
    var: float,
    prompts: int | None = None,
    d: int | None = None,
) -> Case:
    d = d or distinct(generator, 1, 4, 6)[0]
    prompts = prompts or distinct(generator, 1, 9, 14)[0]
    normal = double_normals(generator)
    w = normal(prompts, d) * (normal(prompts, d).argsort(-1) < nonzero)
    x = normal(prompts, examples, d)
    y = (x @ w[..., None])[..., 0] + var**0.5 * normal(prompts, examples)
    return Case(description, {"x": x, "y": y, "query": normal(prompts, d), "nonzero": nonzero, "var": var})


def best_alone(x, y, query, nonzero, var):
    def winner(x_S, y, var):
        return 1e6 * log_evidence(x_S, y, var)

    return averaged(x, y, query, nonzero, winner, var)


def all_alike(x, y, query, nonzero, var):
    return averaged(x, y, query, nonzero, lambda x_S, y, var: torch.zeros(len(y), dtype=y.dtype), var)


def _residual(x_S, y, var):
    return (y - (x_S @ weights_on(x_S, y, var)[..., None])[..., 0]).square().sum(-1)


def fit_alone(x, y, query, nonzero, var):
    return averaged(x, y, query, nonzero, lambda x_S, y, var: -0.5 * _residual(x_S, y, var) / var, var)


def no_determinant(x, y, query, nonzero, var):
    def quadratic(x_S, y, var):
        inverse = torch.linalg.inv(x_S @ x_S.mT + var * torch.eye(y.shape[1], dtype=y.dtype))
        return -0.5 * (y[:, None] @ inverse @ y[..., None])[:, 0, 0]

    return averaged(x, y, query, nonzero, quadratic, var)


def determinant_above(x, y, query, nonzero, var):
    return averaged(x, y, query, nonzero, lambda *a: log_evidence(*a) + _log_determinant(*a), var)


def determinant_without_root(x, y, query, nonzero, var):
    return averaged(x, y, query, nonzero, lambda *a: log_evidence(*a) - 0.5 * _log_determinant(*a), var)


def _log_determinant(x_S, y, var):
    return torch.logdet(x_S @ x_S.mT + var * torch.eye(y.shape[1], dtype=y.dtype))


def shares_over_prompts(x, y, query, nonzero, var):
    places = supports(x.shape[-1], nonzero)
    weight = torch.stack([log_evidence(x[..., S], y, var) for S in places]).softmax(1)
    means = torch.stack([(weights_on(x[..., S], y, var) * query[:, S]).sum(-1) for S in places])
    return (weight * means).sum(0), inclusions(weight, places, x.shape[-1])


def not_halved(x, y, query, nonzero, var):
    return averaged(x, y, query, nonzero, lambda *a: 2 * log_evidence(*a), var)


def prior_forgotten(x, y, query, nonzero, var):
    return averaged(x, y, query, nonzero, log_evidence, var, fit_var=1e-9)


def deviation(x, y, query, nonzero, var):
    return sparse(x, y, query, nonzero, var**0.5)


def variance_squared(x, y, query, nonzero, var):
    return sparse(x, y, query, nonzero, var**2)


def all_coordinates(x, y, query, nonzero, var):
    prediction = (weights_on(x, y, var) * query).sum(-1)
    return prediction, sparse(x, y, query, nonzero, var)[1]


def smaller_too(x, y, query, nonzero, var):
    return averaged(x, y, query, nonzero, log_evidence, var, sizes=range(nonzero + 1))


def larger_too(x, y, query, nonzero, var):
    return averaged(x, y, query, nonzero, log_evidence, var, sizes=range(nonzero, x.shape[-1] + 1))


def weight_of_size(x, y, query, nonzero, var):
    prediction, _ = sparse(x, y, query, nonzero, var)
    size = weights_on(x, y, var).abs()
    return prediction, nonzero * size / size.sum(-1, keepdim=True)


def inclusion_to_one(x, y, query, nonzero, var):
    prediction, inclusion = sparse(x, y, query, nonzero, var)
    return prediction, inclusion / inclusion.sum(-1, keepdim=True)


def one_choice_for_all(x, y, query, nonzero, var):
    def pooled(x_S, y, var):
        return log_evidence(x_S, y, var).sum().expand(len(y))

    return averaged(x, y, query, nonzero, pooled, var)


MISCONCEPTIONS = {
    "best_alone": Misconception(
        best_alone, "you keep the most probable choice of coordinates alone; the posterior mean averages over all."
    ),
    "all_alike": Misconception(
        all_alike, "every choice of coordinates counts the same with you; weight it by how probable it makes the y."
    ),
    "fit_alone": Misconception(
        fit_alone,
        "you weight by how well the fitted weights fit; take the density of y with the weights integrated out.",
    ),
    "no_determinant": Misconception(
        no_determinant, "the determinant of the covariance is missing from the density: it differs between choices."
    ),
    "determinant_above": Misconception(
        determinant_above, "the determinant stands below in the density: minus half its logarithm, not plus."
    ),
    "determinant_without_root": Misconception(
        determinant_without_root, "the density has the root of the determinant below: half its logarithm."
    ),
    "shares_over_prompts": Misconception(
        shares_over_prompts, "your weights add up to 1 over the prompts; they have to over the choices, in each prompt."
    ),
    "not_halved": Misconception(not_halved, "the logarithm of a normal density has a factor of one half."),
    "prior_forgotten": Misconception(
        prior_forgotten, "within a choice you use least squares; the prior w ~ N(0, 1) makes it ridge regression."
    ),
    "deviation": Misconception(deviation, "var is the variance of the noise; you took its root."),
    "variance_squared": Misconception(variance_squared, "var is the variance already; you squared it."),
    "all_coordinates": Misconception(
        all_coordinates, "your prediction is ridge regression on all coordinates; it does not know that few matter."
    ),
    "smaller_too": Misconception(
        smaller_too, "you average over choices of fewer coordinates too; exactly nonzero of them matter."
    ),
    "larger_too": Misconception(
        larger_too, "you average over choices of more coordinates too; exactly nonzero of them matter."
    ),
    "weight_of_size": Misconception(
        weight_of_size, "inclusion is a probability of the posterior, not the size of a fitted weight."
    ),
    "inclusion_to_one": Misconception(
        inclusion_to_one, "the inclusion probabilities add up to nonzero, as so many coordinates matter; do not divide."
    ),
    "one_choice_for_all": Misconception(
        one_choice_for_all, "every prompt has coordinates of its own; you chose them for all prompts together."
    ),
}

QUESTION = Question(
    id="ch11.sparse",
    points=3,
    title="The best that can be done with sparse weights",
    hints=(
        "If somebody told you which coordinates matter, what would you do? Nobody does, so average over all choices.",
        "For a choice S the y are normal with covariance X_S X_S' + var I. Its log density, through a softmax over the "
        "choices, is the weight; the prediction of S is ridge regression with lambda = var.",
        "for S in itertools.combinations(range(d), nonzero): C = X_S X_S' + var I; log weight -(y' C^-1 y + logdet C) "
        "/ 2; w_S = (X_S' X_S + var I)^-1 X_S' y. Inclusion of a coordinate: the sum of the weights of the S with it.",
    ),
    reference=sparse,
    cases=cases,
    axes={"x": "prompt example coordinate", "y": "prompt example", "query": "prompt coordinate"},
    fields=(Field("prediction", "prompt", atol=1e-6), Field("inclusion", "prompt coordinate", atol=1e-6)),
    misconceptions=MISCONCEPTIONS,
)
