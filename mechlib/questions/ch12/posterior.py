"""Question ch12.posterior: the posterior mean of a regression whose task is one of a pool."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.icl import dmmse, ridge
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

X = Float[Tensor, "prompt point d"]
Y = Float[Tensor, "prompt point"]
Pool = Float[Tensor, "task d"]
Values = Float[Tensor, "prompt point task"]


def posterior(x: X, y: Y, pool: Pool, noise_var: float) -> Y:
    """The posterior mean of the value at every point, given the examples before it."""
    return dmmse(x, y, pool=pool, noise_var=noise_var)


def values_and_losses(x: X, y: Y, pool: Pool) -> tuple[Values, Values]:
    """What every task says at every point, and its summed squared error on the examples before."""
    values = x @ pool.T
    return values, summed_before((values - y[..., None]).square())


def summed_before(errors: Values) -> Values:
    """Sums over the points before each; added up, not taken off, where digits would be lost."""
    return torch.cat([torch.zeros_like(errors[:, :1]), errors[:, :-1]], 1).cumsum(1)


def weighed(values: Values, log_weight: Values) -> Y:
    return (log_weight.softmax(-1) * values).sum(-1)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Much noise, a pool of two tasks, a single example, and evidence so strong that likelihoods underflow."""
    return (
        _case("much noise", generator, noise_var=2.0),
        _case("a pool of two tasks", generator, noise_var=0.4, tasks=2),
        _case("prompts of a single point", generator, noise_var=0.7, points=1),
        _case("tasks that are not in the pool, and little noise", generator, noise_var=1e-6, foreign=True),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    noise_var: float,
    tasks: int | None = None,
    points: int | None = None,
    foreign: bool = False,
) -> Case:
    n_tasks, n_points, prompts, d = distinct(generator, 4, 3, 9)
    n_tasks, n_points = tasks or n_tasks, points or n_points
    pool = 0.3 + torch.randn(n_tasks, d, generator=generator, dtype=torch.float64)
    x = torch.randn(prompts, n_points, d, generator=generator, dtype=torch.float64)
    w = pool[torch.randint(n_tasks, (prompts,), generator=generator)]
    if foreign:
        w = torch.randn(prompts, d, generator=generator, dtype=torch.float64)
    noise = torch.randn(prompts, n_points, generator=generator, dtype=torch.float64)
    y = torch.einsum("bnd,bd->bn", x, w) + math.sqrt(noise_var) * noise
    return Case(description, {"x": x, "y": y, "pool": pool, "noise_var": noise_var})


def own_y_counted(x, y, pool, noise_var):
    values = x @ pool.T
    return weighed(values, -(values - y[..., None]).square().cumsum(1) / (2 * noise_var))


def no_half(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    return weighed(values, -losses / noise_var)


def deviation_for_variance(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    return weighed(values, -losses / (2 * noise_var**0.5))


def noise_forgotten(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    return weighed(values, -losses / 2)


def errors_added_plainly(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    return weighed(values, -losses)


def noise_squared(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    return weighed(values, -losses / (2 * noise_var**2))


def averaged(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    seen = torch.arange(x.shape[1]).clamp(min=1)[:, None]
    return weighed(values, -losses / seen / (2 * noise_var))


def latest_alone(x, y, pool, noise_var):
    values = x @ pool.T
    losses = torch.cat([torch.zeros_like(values[:, :1]), (values - y[..., None]).square()[:, :-1]], 1)
    return weighed(values, -losses / (2 * noise_var))


def latest_left_out(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    losses = torch.cat([torch.zeros_like(losses[:, :1]), losses[:, :-1]], 1)
    return weighed(values, -losses / (2 * noise_var))


def best_task(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    return values.gather(-1, losses.argmin(-1, keepdim=True))[..., 0]


def whole_prompt(x, y, pool, noise_var):
    values = x @ pool.T
    losses = (values - y[..., None]).square().sum(1, keepdim=True)
    return weighed(values, -losses / (2 * noise_var))


def zero_at_first(x, y, pool, noise_var):
    right = posterior(x, y, pool, noise_var)
    return torch.cat([torch.zeros_like(y[:, :1]), right[:, 1:]], 1)


def sign_turned(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    return weighed(values, losses / (2 * noise_var))


def sizes_for_squares(x, y, pool, noise_var):
    values = x @ pool.T
    errors = (values - y[..., None]).abs()
    return weighed(values, -summed_before(errors) / (2 * noise_var))


def underflow(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    likelihood = (-losses / (2 * noise_var)).exp()
    return (likelihood * values).sum(-1) / likelihood.sum(-1)


def underflow_hidden(x, y, pool, noise_var):
    return underflow(x, y, pool, noise_var).nan_to_num()


def unnormalised(x, y, pool, noise_var):
    values, losses = values_and_losses(x, y, pool)
    return ((-losses / (2 * noise_var)).exp() * values).sum(-1)


def normal_prior(x, y, pool, noise_var):
    return ridge(x, y, lam=noise_var)


MISCONCEPTIONS = {
    "own_y_counted": Misconception(
        own_y_counted, "the prediction at a point uses that point's own y; count the examples before it alone."
    ),
    "no_half": Misconception(
        no_half, "the logarithm of the normal density has 2 noise_var below the square, not noise_var."
    ),
    "deviation_for_variance": Misconception(
        deviation_for_variance, "you divide by the standard deviation of the noise; noise_var is the variance: no root."
    ),
    "noise_forgotten": Misconception(
        noise_forgotten, "the noise is missing: the less of it, the more an example says about the task."
    ),
    "errors_added_plainly": Misconception(
        errors_added_plainly,
        "noise_var is missing: the logarithm of the normal density has 2 noise_var below the square.",
    ),
    "noise_squared": Misconception(noise_squared, "you square noise_var; it is the variance already."),
    "averaged": Misconception(
        averaged, "you average over the examples; log-likelihoods add up, so that evidence grows with every example."
    ),
    "latest_alone": Misconception(
        latest_alone, "only the last example counts in your weights; all examples before the point do."
    ),
    "latest_left_out": Misconception(
        latest_left_out, "the example just before the point is missing: all examples before the point count."
    ),
    "best_task": Misconception(
        best_task, "this is the most likely task alone; the posterior mean weighs all tasks of the pool."
    ),
    "whole_prompt": Misconception(
        whole_prompt, "all points get the weights of the whole prompt; a point may only use the examples before it."
    ),
    "zero_at_first": Misconception(
        zero_at_first, "without examples the posterior is the prior: predict with the mean task, not zero."
    ),
    "sign_turned": Misconception(sign_turned, "the sign is turned: tasks with large errors get the large weights."),
    "sizes_for_squares": Misconception(
        sizes_for_squares, "you add up sizes of errors; normal noise asks for their squares."
    ),
    "underflow": Misconception(
        underflow,
        "right for weak evidence, but exp underflows and 0/0 is NaN: subtract the largest logarithm first.",
    ),
    "underflow_hidden": Misconception(
        underflow_hidden,
        "right for weak evidence, but where every exp underflows you predict 0: subtract the largest logarithm first.",
    ),
    "unnormalised": Misconception(unnormalised, "the weights do not add up to one: divide by their sum."),
    "normal_prior": Misconception(
        normal_prior, "this is ridge regression, the posterior mean under a normal prior; here the prior is the pool."
    ),
}

QUESTION = Question(
    id="ch12.posterior",
    points=2,
    title="The posterior mean on a pool",
    hints=(
        "Bayes' rule, with a prior that is even on the pool: which tasks explain the examples seen so far?",
        "The log-likelihood of a task is minus its summed squared error over 2 noise_var. Normalise with a softmax.",
        "values = x @ pool.T; errors = (values - y[..., None])**2; before = errors.cumsum(1).roll(1, 1); "
        "before[:, 0] = 0; log_weight = -before / (2 * noise_var); the prediction is (log_weight.softmax(-1) * "
        "values).sum(-1).",
    ),
    reference=posterior,
    cases=cases,
    axes={"x": "prompt point d", "y": "prompt point", "pool": "task d"},
    fields=(Field("prediction", "prompt point", atol=1e-4),),
    misconceptions=MISCONCEPTIONS,
)
