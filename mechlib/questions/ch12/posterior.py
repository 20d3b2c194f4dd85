"""Question ch12.posterior: the posterior mean of a regression whose task is one of a pool."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.icl import ridge
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

X = Float[Tensor, "prompt point d"]
Y = Float[Tensor, "prompt point"]
Pool = Float[Tensor, "task d"]
Values = Float[Tensor, "prompt point task"]


def shifted(errors: Values) -> Values:
    """Every point's entry is that of the point before; zero at the first."""
    return torch.cat([torch.zeros_like(errors[:, :1]), errors[:, :-1]], 1)


def summed_before(errors: Values) -> Values:
    """Sums over the points before each; added up, not taken off, where digits would be lost."""
    return shifted(errors).cumsum(1)


def doubled(noise_var: float) -> float:
    return 2 * noise_var


def weighed(values: Values, log_weight: Values) -> Y:
    return (log_weight.softmax(-1) * values).sum(-1)


def posterior(
    x: X,
    y: Y,
    pool: Pool,
    noise_var: float,
    *,
    error: Step = torch.square,
    seen: Step = summed_before,
    below: Step = doubled,
    weigh: Step = weighed,
) -> Y:
    """The posterior mean of the value at every point, given the examples before it."""
    values = x @ pool.T
    return weigh(values, -seen(error(values - y[..., None])) / below(noise_var))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Much noise, two tasks, one twice, a single example, many, and evidence so strong that likelihoods underflow."""
    return (
        _case("much noise", generator, noise_var=2.0),
        _case("a pool of two tasks", generator, noise_var=0.4, tasks=2),
        _case("prompts of a single point", generator, noise_var=0.7, points=1),
        _case(
            "long prompts, and a task that stands twice in the pool", generator, noise_var=4.0, points=14, twice=True
        ),
        _case("little noise, and tasks near each other", generator, noise_var=1e-3, spread=0.03),
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
    twice: bool = False,
    spread: float = 1.0,
) -> Case:
    n_tasks, n_points, prompts, d = distinct(generator, 4, 3, 9)
    n_tasks, n_points = tasks or n_tasks, points or n_points
    pool = 0.3 + spread * torch.randn(n_tasks, d, generator=generator, dtype=torch.float64)
    if twice:
        pool[-1] = pool[0]
    x = torch.randn(prompts, n_points, d, generator=generator, dtype=torch.float64)
    w = pool[torch.randint(n_tasks, (prompts,), generator=generator)]
    if foreign:
        w = torch.randn(prompts, d, generator=generator, dtype=torch.float64)
    noise = torch.randn(prompts, n_points, generator=generator, dtype=torch.float64)
    y = torch.einsum("bnd,bd->bn", x, w) + math.sqrt(noise_var) * noise
    return Case(description, {"x": x, "y": y, "pool": pool, "noise_var": noise_var})


def averaged(errors):
    return summed_before(errors) / torch.arange(errors.shape[1]).clamp(min=1)[:, None]


def by_likelihoods(values, log_weight):
    likelihood = log_weight.exp()
    return (likelihood * values).sum(-1) / likelihood.sum(-1)


on = edits_of(posterior)
MISCONCEPTIONS = {
    "own_y_counted": on(
        "the prediction at a point uses that point's own y; count the examples before it alone.",
        seen=lambda errors: errors.cumsum(1),
    ),
    "no_half": on(
        "the logarithm of the normal density has 2 noise_var below the square, not noise_var.", below=lambda var: var
    ),
    "deviation_for_variance": on(
        "you divide by the standard deviation of the noise; noise_var is the variance: no root.", noise_var=math.sqrt
    ),
    "noise_forgotten": on(
        "the noise is missing: the less of it, the more an example says about the task.", noise_var=1.0
    ),
    "errors_added_plainly": on(
        "noise_var is missing: the logarithm of the normal density has 2 noise_var below the square.",
        below=lambda var: 1.0,
    ),
    "noise_squared": on("you square noise_var; it is the variance already.", noise_var=lambda var: var**2),
    "averaged": on(
        "you average over the examples; log-likelihoods add up, so that evidence grows with every example.",
        seen=averaged,
    ),
    "latest_alone": on("only the last example counts in your weights; all examples before the point do.", seen=shifted),
    "latest_left_out": on(
        "the example just before the point is missing: all examples before the point count.",
        seen=lambda errors: shifted(summed_before(errors)),
    ),
    "best_task": on(
        "this is the most likely task alone; the posterior mean weighs all tasks of the pool.",
        weigh=lambda values, log_weight: values.gather(-1, log_weight.argmax(-1, keepdim=True))[..., 0],
    ),
    "whole_prompt": on(
        "all points get the weights of the whole prompt; a point may only use the examples before it.",
        seen=lambda errors: errors.sum(1, keepdim=True),
    ),
    "zero_at_first": on(
        "without examples the posterior is the prior: predict with the mean task, not zero.",
        result=lambda found: torch.cat([torch.zeros_like(found[:, :1]), found[:, 1:]], 1),
    ),
    "sign_turned": on("the sign is turned: tasks with large errors get the large weights.", noise_var=lambda var: -var),
    "sizes_for_squares": on("you add up sizes of errors; normal noise asks for their squares.", error=torch.abs),
    "underflow": on(
        "right for weak evidence, but exp underflows and 0/0 is NaN: subtract the largest logarithm first.",
        weigh=by_likelihoods,
    ),
    "underflow_hidden": on(
        "right for weak evidence, but where every exp underflows you predict 0: subtract the largest logarithm first.",
        weigh=lambda values, log_weight: by_likelihoods(values, log_weight).nan_to_num(),
    ),
    "unnormalised": on(
        "the weights do not add up to one: divide by their sum.",
        weigh=lambda values, log_weight: (log_weight.exp() * values).sum(-1),
    ),
    "normal_prior": Misconception(
        lambda x, y, pool, noise_var: ridge(x, y, lam=noise_var),
        "this is ridge regression, the posterior mean under a normal prior; here the prior is the pool.",
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
