"""Question ch10.probing: a linear probe with its two controls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, double_normals

__all__ = ["QUESTION"]

Acts = Float[Tensor, "prompt feature"]
Targets = Float[Tensor, "prompt target"]
Result = tuple[Tensor, Tensor, Tensor]


def ridge(x: Acts, y: Targets, penalty: float) -> Float[Tensor, "feature target"]:
    """The weights, without an intercept."""
    return torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype), x.T @ y)


def affine(acts: Acts, targets: Targets, penalty: float) -> Callable[[Acts], Targets]:
    """Ridge regression with an intercept that is not penalised."""
    a, t = acts.mean(0), targets.mean(0)
    weights = ridge(acts - a, targets - t, penalty)
    return lambda new: (new - a) @ weights + t


def held_out(acts: Acts, targets: Targets, n_fit: int, penalty: float) -> tuple[Targets, Targets]:
    """The targets of the other prompts, and what a probe fitted to the first ``n_fit`` predicts for them."""
    return targets[n_fit:], affine(acts[:n_fit], targets[:n_fit], penalty)(acts[n_fit:])


def explained(targets: Targets, predicted: Targets) -> Tensor:
    """Share of each target's variance, a mean over targets."""
    return (1 - left(targets, predicted) / left(targets, targets.mean(0))).mean()


def left(targets: Targets, predicted: Tensor) -> Tensor:
    return (targets - predicted).square().sum(0)


def probing(
    acts: Acts,
    untrained: Float[Tensor, "prompt raw"],
    targets: Targets,
    order: Int[Tensor, " prompt"],
    n_fit: int,
    penalty: float,
    *,
    predict: Step = held_out,
    share: Step = explained,
) -> Result:
    """Scores of a probe: of the activations, of an untrained network's, and for the targets of other prompts."""

    def score(a: Tensor, t: Targets) -> Tensor:
        return share(*predict(a, t, n_fit, penalty))

    return score(acts, targets), score(untrained, targets), score(acts, targets[order])


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Targets that training put there, that any network has, that nobody has; more features than prompts, and as many.

    In the last case probes fit noise, and are farther off than the mean: scores below -1.
    """
    return (
        _case("targets that training put there", generator, trained=2.0, raw=0.3),
        _case("targets that any network has", generator, trained=1.0, raw=2.0),
        _case("targets that are nowhere", generator, trained=0.0, raw=0.0),
        _case("more features than prompts to fit on", generator, trained=1.5, raw=0.5, wide=True),
        _case("as many features as prompts to fit on", generator, trained=0.0, raw=0.0, square=True),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    trained: float,
    raw: float,
    wide: bool = False,
    square: bool = False,
) -> Case:
    prompts = distinct(generator, 1, 28, 40)[0]
    n_fit, n_targets = prompts // 2 + distinct(generator, 1, 0, 4)[0], distinct(generator, 1, 2, 4)[0]
    low = 3 * prompts // 4 if wide else n_fit - 3 if square else 6
    n_features, n_raw = distinct(generator, 2, low, low + (2 if square else 6))
    normal = double_normals(generator)
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
            "penalty": (0.02 if square else 1.0) * (0.5 + 4 * float(torch.rand(1, generator=generator))),
        },
    )


def no_intercept(a, t, n, penalty):
    return t[n:], a[n:] @ ridge(a[:n], t[:n], penalty)


def intercept_penalised(a, t, n, penalty):
    return no_intercept(torch.cat([a, torch.ones_like(a[:, :1])], 1), t, n, penalty)


def centred_on_all(a, t, n, penalty):
    """The means of the scored prompts leak into the probe."""
    x, y = a - a.mean(0), t - t.mean(0)
    return t[n:], x[n:] @ ridge(x[:n], y[:n], penalty) + t.mean(0)


def centred_apart(a, t, n, penalty):
    """The scored activations about their own mean."""
    return t[n:], affine(a[:n], t[:n], penalty)(a[n:] - a[n:].mean(0) + a[:n].mean(0))


def mean_forgotten(a, t, n, penalty):
    held, predicted = held_out(a, t, n, penalty)
    return held, predicted - t[:n].mean(0)


def no_penalty(a, t, n, penalty):
    x, means = a[:n] - a[:n].mean(0), t[:n].mean(0)
    return t[n:], (a[n:] - a[:n].mean(0)) @ torch.linalg.pinv(x) @ (t[:n] - means) + means


def squared_correlation(held, predicted):
    return torch.cosine_similarity(held - held.mean(0), predicted - predicted.mean(0), dim=0).square().mean()


def with_third(score):
    """The first two scores, and the third of what ``score`` makes of all inputs, the targets shuffled for ``order``."""

    def answer(acts, untrained, targets, order, n_fit, penalty):
        right = probing(acts, untrained, targets, order, n_fit, penalty)
        return *right[:2], explained(*score(acts, untrained, targets, targets[order], n_fit, penalty))

    return answer


on = edits_of(probing)

MISCONCEPTIONS = {
    "scored_where_fitted": on(
        "you score the probe on the prompts that it was fitted on; use those from n_fit on.",
        predict=lambda a, t, n, penalty: (t[:n], affine(a[:n], t[:n], penalty)(a[:n])),
    ),
    "fitted_on_all": on(
        "your probe has seen the prompts that it is scored on; fit it on the first n_fit.",
        predict=lambda a, t, n, penalty: (t[n:], affine(a, t, penalty)(a[n:])),
    ),
    "ends_exchanged": on(
        "you fit on the last prompts and score on the first; asked for is the reverse.",
        predict=lambda a, t, n, penalty: (t[:n], affine(a[n:], t[n:], penalty)(a[:n])),
    ),
    "no_intercept": on(
        "your probe has no intercept: subtract the means of the prompts that it is fitted on.", predict=no_intercept
    ),
    "intercept_penalised": on(
        "you penalise the intercept along with the weights; centre instead.", predict=intercept_penalised
    ),
    "centred_on_all": on(
        "your means are those of all prompts; the probe has seen the first n_fit alone.", predict=centred_on_all
    ),
    "centred_apart": on(
        "you centre the other prompts on their own mean; subtract the mean of the fitted ones.", predict=centred_apart
    ),
    "mean_forgotten": on(
        "you did not add the mean of the fitted targets to what the probe predicts.", predict=mean_forgotten
    ),
    "no_penalty": on("your fit ignores the penalty.", predict=no_penalty),
    "penalty_of_mean": on(
        "you multiply the penalty by the number of prompts; here it is added to the sum A'A as it is.",
        predict=lambda a, t, n, penalty: held_out(a, t, n, n * penalty),
    ),
    "penalty_squared": on("you square the penalty; it is added as it is.", penalty=lambda penalty: penalty**2),
    "pooled": on(
        "you pool the targets, so that the widest counts most; take the mean of their shares.",
        share=lambda held, predicted: 1 - left(held, predicted).sum() / left(held, held.mean(0)).sum(),
    ),
    "about_mean_of_fit": on(
        "your variance is about the mean of the fitted prompts; take that of the scored ones.",
        predict=lambda a, t, n, penalty: (*held_out(a, t, n, penalty), t[:n].mean(0)),
        share=lambda held, predicted, mean: (1 - left(held, predicted) / left(held, mean)).mean(),
    ),
    "uncentred": on(
        "you divide by the targets' squares; a share of variance is measured about their mean.",
        share=lambda held, predicted: (1 - left(held, predicted) / held.square().sum(0)).mean(),
    ),
    "squared_correlation": on(
        "this is the squared correlation, which forgives a wrong scale and offset; compare squared errors.",
        share=squared_correlation,
    ),
    "shuffled_when_scored": Misconception(
        with_third(lambda a, raw, t, other, n, penalty: (other[n:], held_out(a, t, n, penalty)[1])),
        "you fit to the right targets and score on shuffled ones; shuffle before fitting.",
    ),
    "shuffled_when_fitted": Misconception(
        with_third(lambda a, raw, t, other, n, penalty: (t[n:], held_out(a, other, n, penalty)[1])),
        "you fit to shuffled targets and score on the right ones; shuffle both.",
    ),
    "shuffled_untrained": Misconception(
        with_third(lambda a, raw, t, other, *sizes: held_out(raw, other, *sizes)),
        "the shuffled targets go with the trained network's activations.",
    ),
    "order_turned": on(
        "you use the order the wrong way round: prompt i gets the targets of prompt order[i].", order=torch.argsort
    ),
    "controls_exchanged": on(
        "your two controls are exchanged: first the untrained network, then the shuffled targets.",
        result=lambda r: (r[0], r[2], r[1]),
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
