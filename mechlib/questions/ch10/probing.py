"""Question ch10.probing: a linear probe with its two controls."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Acts = Float[Tensor, "prompt feature"]
Targets = Float[Tensor, "prompt target"]
Result = tuple[Tensor, Tensor, Tensor]


def probing(
    acts: Acts,
    untrained: Float[Tensor, "prompt raw"],
    targets: Targets,
    order: Int[Tensor, " prompt"],
    n_fit: int,
    penalty: float,
) -> Result:
    """Scores of a probe: of the activations, of an untrained network's, and for the targets of other prompts."""
    return three(acts, untrained, targets, order, lambda a, t: scored(a, t, n_fit, penalty))


def three(acts, untrained, targets, order, score) -> Result:
    return score(acts, targets), score(untrained, targets), score(acts, targets[order])


def scored(acts: Tensor, targets: Targets, n_fit: int, penalty: float) -> Tensor:
    fitted = affine(acts[:n_fit], targets[:n_fit], penalty)
    return explained(targets[n_fit:], fitted(acts[n_fit:]))


def affine(acts: Tensor, targets: Targets, penalty: float):
    """Ridge regression with an intercept that is not penalised."""
    a, t = acts.mean(0), targets.mean(0)
    x = acts - a
    weights = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype), x.T @ (targets - t))
    return lambda new: (new - a) @ weights + t


def explained(targets: Targets, predicted: Targets) -> Tensor:
    """Share of each target's variance, a mean over targets."""
    return (1 - left(targets, predicted) / left(targets, targets.mean(0))).mean()


def left(targets: Targets, predicted: Tensor) -> Tensor:
    return (targets - predicted).square().sum(0)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Targets that training put there, that any network has, that nobody has, and more features than prompts."""
    return (
        _case("targets that training put there", generator, trained=2.0, raw=0.3),
        _case("targets that any network has", generator, trained=1.0, raw=2.0),
        _case("targets that are nowhere", generator, trained=0.0, raw=0.0),
        _case("more features than prompts to fit on", generator, trained=1.5, raw=0.5, wide=True),
    )


def _case(description: str, generator: torch.Generator, *, trained: float, raw: float, wide: bool = False) -> Case:
    prompts = distinct(generator, 1, 28, 40)[0]
    low = 3 * prompts // 4 if wide else 6
    n_features, n_raw = distinct(generator, 2, low, low + 6)
    n_fit, n_targets = prompts // 2 + distinct(generator, 1, 0, 4)[0], distinct(generator, 1, 2, 4)[0]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    spread = torch.linspace(0.5, 3.0, n_targets, dtype=torch.float64)
    signal = normal(prompts, n_targets)
    acts = trained * signal @ normal(n_targets, n_features) + normal(prompts, n_features) + 2
    others = raw * signal @ normal(n_targets, n_raw) + normal(prompts, n_raw) - 1
    targets = spread * (signal + 0.3 * normal(prompts, n_targets)) + 3 * spread.flip(0)
    return Case(
        description,
        {
            "acts": acts,
            "untrained": others,
            "targets": targets,
            "order": torch.randperm(prompts, generator=generator),
            "n_fit": n_fit,
            "penalty": 0.5 + 4 * float(torch.rand(1, generator=generator)),
        },
    )


def scored_where_fitted(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        return explained(t[:n_fit], affine(a[:n_fit], t[:n_fit], penalty)(a[:n_fit]))

    return three(acts, untrained, targets, order, score)


def fitted_on_all(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        return explained(t[n_fit:], affine(a, t, penalty)(a[n_fit:]))

    return three(acts, untrained, targets, order, score)


def ends_exchanged(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        return explained(t[:n_fit], affine(a[n_fit:], t[n_fit:], penalty)(a[:n_fit]))

    return three(acts, untrained, targets, order, score)


def no_intercept(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        x = a[:n_fit]
        weights = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype), x.T @ t[:n_fit])
        return explained(t[n_fit:], a[n_fit:] @ weights)

    return three(acts, untrained, targets, order, score)


def intercept_penalised(acts, untrained, targets, order, n_fit, penalty):
    def widened(a):
        return torch.cat([a, torch.ones_like(a[:, :1])], 1)

    return no_intercept(widened(acts), widened(untrained), targets, order, n_fit, penalty)


def centred_on_all(acts, untrained, targets, order, n_fit, penalty):
    """The means of the scored prompts leak into the probe."""

    def score(a, t):
        x, y = a - a.mean(0), t - t.mean(0)
        gram = x[:n_fit].T @ x[:n_fit] + penalty * torch.eye(x.shape[1], dtype=x.dtype)
        weights = torch.linalg.solve(gram, x[:n_fit].T @ y[:n_fit])
        return explained(t[n_fit:], x[n_fit:] @ weights + t.mean(0))

    return three(acts, untrained, targets, order, score)


def centred_apart(acts, untrained, targets, order, n_fit, penalty):
    """The scored activations about their own mean."""

    def score(a, t):
        held = a[n_fit:] - a[n_fit:].mean(0) + a[:n_fit].mean(0)
        return explained(t[n_fit:], affine(a[:n_fit], t[:n_fit], penalty)(held))

    return three(acts, untrained, targets, order, score)


def mean_forgotten(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        return explained(t[n_fit:], affine(a[:n_fit], t[:n_fit], penalty)(a[n_fit:]) - t[:n_fit].mean(0))

    return three(acts, untrained, targets, order, score)


def no_penalty(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        x, means = a[:n_fit] - a[:n_fit].mean(0), t[:n_fit].mean(0)
        weights = torch.linalg.pinv(x) @ (t[:n_fit] - means)
        return explained(t[n_fit:], (a[n_fit:] - a[:n_fit].mean(0)) @ weights + means)

    return three(acts, untrained, targets, order, score)


def penalty_of_mean(acts, untrained, targets, order, n_fit, penalty):
    return probing(acts, untrained, targets, order, n_fit, n_fit * penalty)


def penalty_squared(acts, untrained, targets, order, n_fit, penalty):
    return probing(acts, untrained, targets, order, n_fit, penalty**2)


def pooled(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        held, fitted = t[n_fit:], affine(a[:n_fit], t[:n_fit], penalty)(a[n_fit:])
        return 1 - left(held, fitted).sum() / left(held, held.mean(0)).sum()

    return three(acts, untrained, targets, order, score)


def about_mean_of_fit(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        held, fitted = t[n_fit:], affine(a[:n_fit], t[:n_fit], penalty)(a[n_fit:])
        return (1 - left(held, fitted) / left(held, t[:n_fit].mean(0))).mean()

    return three(acts, untrained, targets, order, score)


def uncentred(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        held, fitted = t[n_fit:], affine(a[:n_fit], t[:n_fit], penalty)(a[n_fit:])
        return (1 - left(held, fitted) / held.square().sum(0)).mean()

    return three(acts, untrained, targets, order, score)


def squared_correlation(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        held, fitted = t[n_fit:], affine(a[:n_fit], t[:n_fit], penalty)(a[n_fit:])
        both = (held - held.mean(0), fitted - fitted.mean(0))
        return torch.cosine_similarity(*both, dim=0).square().mean()

    return three(acts, untrained, targets, order, score)


def shuffled_when_scored(acts, untrained, targets, order, n_fit, penalty):
    right = probing(acts, untrained, targets, order, n_fit, penalty)
    fitted = affine(acts[:n_fit], targets[:n_fit], penalty)
    return *right[:2], explained(targets[order][n_fit:], fitted(acts[n_fit:]))


def shuffled_when_fitted(acts, untrained, targets, order, n_fit, penalty):
    right = probing(acts, untrained, targets, order, n_fit, penalty)
    fitted = affine(acts[:n_fit], targets[order][:n_fit], penalty)
    return *right[:2], explained(targets[n_fit:], fitted(acts[n_fit:]))


def shuffled_untrained(acts, untrained, targets, order, n_fit, penalty):
    right = probing(acts, untrained, targets, order, n_fit, penalty)
    return *right[:2], scored(untrained, targets[order], n_fit, penalty)


def order_turned(acts, untrained, targets, order, n_fit, penalty):
    return probing(acts, untrained, targets, order.argsort(), n_fit, penalty)


def controls_exchanged(acts, untrained, targets, order, n_fit, penalty):
    score, raw, shuffled = probing(acts, untrained, targets, order, n_fit, penalty)
    return score, shuffled, raw


MISCONCEPTIONS = {
    "scored_where_fitted": Misconception(
        scored_where_fitted, "you score the probe on the prompts that it was fitted on; use those from n_fit on."
    ),
    "fitted_on_all": Misconception(
        fitted_on_all, "your probe has seen the prompts that it is scored on; fit it on the first n_fit."
    ),
    "ends_exchanged": Misconception(
        ends_exchanged, "you fit on the last prompts and score on the first; asked for is the reverse."
    ),
    "no_intercept": Misconception(
        no_intercept, "your probe has no intercept: subtract the means of the prompts that it is fitted on."
    ),
    "intercept_penalised": Misconception(
        intercept_penalised, "you penalise the intercept along with the weights; centre instead."
    ),
    "centred_on_all": Misconception(
        centred_on_all, "your means are those of all prompts; the probe has seen the first n_fit alone."
    ),
    "centred_apart": Misconception(
        centred_apart, "you centre the other prompts on their own mean; subtract the mean of the fitted ones."
    ),
    "mean_forgotten": Misconception(
        mean_forgotten, "you did not add the mean of the fitted targets to what the probe predicts."
    ),
    "no_penalty": Misconception(no_penalty, "your fit ignores the penalty."),
    "penalty_of_mean": Misconception(
        penalty_of_mean, "you multiply the penalty by the number of prompts; here it is added to the sum A'A as it is."
    ),
    "penalty_squared": Misconception(penalty_squared, "you square the penalty; it is added as it is."),
    "pooled": Misconception(
        pooled, "you pool the targets, so that the widest counts most; take the mean of their shares."
    ),
    "about_mean_of_fit": Misconception(
        about_mean_of_fit, "your variance is about the mean of the fitted prompts; take that of the scored ones."
    ),
    "uncentred": Misconception(
        uncentred, "you divide by the targets' squares; a share of variance is measured about their mean."
    ),
    "squared_correlation": Misconception(
        squared_correlation,
        "this is the squared correlation, which forgives a wrong scale and offset; compare squared errors.",
    ),
    "shuffled_when_scored": Misconception(
        shuffled_when_scored, "you fit to the right targets and score on shuffled ones; shuffle before fitting."
    ),
    "shuffled_when_fitted": Misconception(
        shuffled_when_fitted, "you fit to shuffled targets and score on the right ones; shuffle both."
    ),
    "shuffled_untrained": Misconception(
        shuffled_untrained, "the shuffled targets go with the trained network's activations."
    ),
    "order_turned": Misconception(
        order_turned, "you use the order the wrong way round: prompt i gets the targets of prompt order[i]."
    ),
    "controls_exchanged": Misconception(
        controls_exchanged, "your two controls are exchanged: first the untrained network, then the shuffled targets."
    ),
}

QUESTION = Question(
    id="ch10.probing",
    points=2,
    title="A probe and its two controls",
    hints=(
        "Write one function for a score and call it three times.",
        "Centre with the means of the first n_fit prompts; solve (A'A + penalty I) W = A'T; score on the others.",
        "W = torch.linalg.solve(A.T @ A + penalty * eye, A.T @ T) with A and T centred; the share of a target is "
        "1 - (rest**2).sum(0) / ((held - held.mean(0))**2).sum(0), and the score the mean of these shares.",
    ),
    reference=probing,
    cases=cases,
    axes={
        "acts": "prompt feature",
        "untrained": "prompt raw",
        "targets": "prompt target",
        "order": "prompt",
    },
    fields=(Field("trained", atol=1e-6), Field("untrained", atol=1e-6), Field("shuffled", atol=1e-6)),
    misconceptions=MISCONCEPTIONS,
)
