"""Question ch11.sparse: the posterior mean when only a few coordinates matter and nobody says which."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, double_normals

__all__ = ["QUESTION"]

Examples = Float[Tensor, "prompt example coordinate"]
Result = tuple[Float[Tensor, " prompt"], Float[Tensor, "prompt coordinate"]]


def supports(d: int, nonzero: int) -> list[list[int]]:
    return [list(places) for places in itertools.combinations(range(d), nonzero)]


def weights_on(x: Examples, y: Tensor, var: float) -> Float[Tensor, "prompt coordinate"]:
    gram = x.mT @ x + var * torch.eye(x.shape[-1], dtype=x.dtype)
    return torch.linalg.solve(gram, x.mT @ y[..., None])[..., 0]


def covariance(x: Examples, var: float) -> Float[Tensor, "prompt example example"]:
    return x @ x.mT + var * torch.eye(x.shape[1], dtype=x.dtype)


def misfit(x: Examples, y: Tensor, var: float) -> Float[Tensor, " prompt"]:
    return (y[..., None] * torch.linalg.solve(covariance(x, var), y[..., None]))[..., 0].sum(-1)


def volume(x: Examples, var: float) -> Float[Tensor, " prompt"]:
    return torch.linalg.slogdet(covariance(x, var)).logabsdet


def log_evidence(x: Examples, y: Tensor, var: float) -> Float[Tensor, " prompt"]:
    """The log density of ``y``, which is normal with covariance ``X X' + var I``."""
    return -0.5 * (misfit(x, y, var) + volume(x, var))


def over_choices(logs: Float[Tensor, "choice prompt"]) -> Float[Tensor, "choice prompt"]:
    return logs.softmax(0)


def sparse(
    x: Examples,
    y: Float[Tensor, "prompt example"],
    query: Float[Tensor, "prompt coordinate"],
    nonzero: int,
    var: float,
    *,
    choices: Step = supports,
    evidence: Step = log_evidence,
    share: Step = over_choices,
    fit: Step = weights_on,
) -> Result:
    """The posterior mean at the query, and the probability of each coordinate that it is one of those that matter."""
    places = choices(x.shape[-1], nonzero)
    weight = share(torch.stack([evidence(x[..., S], y, var) for S in places]))
    means = torch.stack([(fit(x[..., S], y, var) * query[:, S]).sum(-1) for S in places])
    member = torch.tensor([[float(c in S) for c in range(x.shape[-1])] for S in places], dtype=weight.dtype)
    return (weight * means).sum(0), weight.mT @ member


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Few and many examples, one coordinate that matters or all, much noise and hardly any, one example, one prompt."""
    few, some = distinct(generator, 2, 2, 3)
    return (
        _case("few examples", generator, examples=few, nonzero=2, var=0.1),
        _case("a single coordinate that matters", generator, examples=some, nonzero=1, var=0.4),
        _case("much noise", generator, examples=8, nonzero=3, var=2.5),
        _case("a little noise", generator, examples=7, nonzero=2, var=0.3),
        _case("hardly any noise", generator, examples=3, nonzero=2, var=1e-4),
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


def of_fit(x: Examples, y: Tensor, var: float) -> Tensor:
    """The log density given the fitted weights."""
    return -0.5 * (y - (x @ weights_on(x, y, var)[..., None])[..., 0]).square().sum(-1) / var


def all_coordinates(x, y, query, nonzero, var):
    return (weights_on(x, y, var) * query).sum(-1), sparse(x, y, query, nonzero, var)[1]


def weight_of_size(x, y, query, nonzero, var):
    size = weights_on(x, y, var).abs()
    return sparse(x, y, query, nonzero, var)[0], nonzero * size / size.sum(-1, keepdim=True)


on = edits_of(sparse)

MISCONCEPTIONS = {
    "best_alone": on(
        "you keep the most probable choice of coordinates alone; the posterior mean averages over all.",
        share=lambda logs: (1e6 * logs).softmax(0),
    ),
    "all_alike": on(
        "every choice of coordinates counts the same with you; weight it by how probable it makes the y.",
        share=lambda logs: torch.full_like(logs, 1 / len(logs)),
    ),
    "fit_alone": on(
        "you weight by how well the fitted weights fit; take the density of y with the weights integrated out.",
        evidence=of_fit,
    ),
    "no_determinant": on(
        "the determinant of the covariance is missing from the density: it differs between choices.",
        evidence=lambda x, y, var: -0.5 * misfit(x, y, var),
    ),
    "determinant_above": on(
        "the determinant stands below in the density: minus half its logarithm, not plus.",
        evidence=lambda x, y, var: -0.5 * (misfit(x, y, var) - volume(x, var)),
    ),
    "determinant_without_root": on(
        "the density has the root of the determinant below: half its logarithm.",
        evidence=lambda x, y, var: -0.5 * misfit(x, y, var) - volume(x, var),
    ),
    "shares_over_prompts": on(
        "your weights add up to 1 over the prompts; they have to over the choices, in each prompt.",
        share=lambda logs: logs.softmax(1),
    ),
    "not_halved": on(
        "the logarithm of a normal density has a factor of one half.", share=lambda logs: (2 * logs).softmax(0)
    ),
    "prior_forgotten": on(
        "within a choice you use least squares; the prior w ~ N(0, 1) makes it ridge regression.",
        fit=lambda x, y, var: weights_on(x, y, 1e-9),
    ),
    "deviation": on("var is the variance of the noise; you took its root.", var=lambda v: v**0.5),
    "variance_squared": on("var is the variance already; you squared it.", var=lambda v: v**2),
    "all_coordinates": Misconception(
        all_coordinates, "your prediction is ridge regression on all coordinates; it does not know that few matter."
    ),
    "smaller_too": on(
        "you average over choices of fewer coordinates too; exactly nonzero of them matter.",
        choices=lambda d, nonzero: [S for size in range(nonzero + 1) for S in supports(d, size)],
    ),
    "larger_too": on(
        "you average over choices of more coordinates too; exactly nonzero of them matter.",
        choices=lambda d, nonzero: [S for size in range(nonzero, d + 1) for S in supports(d, size)],
    ),
    "weight_of_size": Misconception(
        weight_of_size, "inclusion is a probability of the posterior, not the size of a fitted weight."
    ),
    "inclusion_to_one": on(
        "the inclusion probabilities add up to nonzero, as so many coordinates matter; do not divide.",
        result=lambda r: (r[0], r[1] / r[1].sum(-1, keepdim=True)),
    ),
    "one_choice_for_all": on(
        "every prompt has coordinates of its own; you chose them for all prompts together.",
        share=lambda logs: logs.sum(1, keepdim=True).expand_as(logs).softmax(0),
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
