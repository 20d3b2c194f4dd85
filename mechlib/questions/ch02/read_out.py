"""Question ch02.read_out: from the residual stream to log-probabilities."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import both_signs, distinct, integer, normal

__all__ = ["QUESTION"]

Residual = Float[Tensor, "entry batch pos d_model"]
LogProbs = Float[Tensor, "entry batch pos d_vocab"]
Vector = Float[Tensor, " d_model"]


def normalised(residual: Residual, eps: float, correction: int = 0) -> Residual:
    """The residual stream less its mean over d_model, over the root of its variance and ``eps``."""
    variance, mean = torch.var_mean(residual, -1, correction=correction, keepdim=True)
    return (residual - mean) / (variance + eps).sqrt()


def log_softmax(logits: LogProbs, axis: int = -1) -> LogProbs:
    return logits.log_softmax(axis)


def read_out(
    residual: Residual,
    gamma: Vector,
    beta: Vector,
    eps: float,
    W_U: Float[Tensor, "d_model d_vocab"],
    b_U: Float[Tensor, " d_vocab"],
    *,
    normalise: Step = normalised,
    predict: Step = log_softmax,
) -> LogProbs:
    """The final LayerNorm, the unembedding and a log-softmax over the vocabulary."""
    return predict((normalise(residual, eps) * gamma + beta) @ W_U + b_U)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary vectors, small ones beside a large eps, a single token, a constant vector, and large ones."""
    constant = _case("a single row, and a vector whose components are all equal", generator, eps=1e-4, batch=1)
    constant.inputs["residual"][0, 0, 0] = -3.0
    return (
        _case("ordinary vectors", generator, eps=1e-5),
        _case("small vectors beside a large eps", generator, eps=0.02, scale=0.1),
        _case("a single token", generator, eps=1e-3, pos=1),
        constant,
        _case("large vectors and large logits", generator, eps=1e-5, scale=1e3, sharpness=40.0),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    eps: float,
    scale: float = 1.0,
    sharpness: float = 1.0,
    batch: int | None = None,
    pos: int | None = None,
) -> Case:
    entry, *several = distinct(generator, 3, 2, 5)
    batch, pos = batch or several[0], pos or several[1]
    d_model, d_vocab = integer(generator, 7, 10), integer(generator, 13, 18)
    column_means = normal(generator, entry, batch, pos, 1)
    inputs = {
        "residual": scale * (column_means + normal(generator, entry, batch, pos, d_model)),
        "gamma": normal(generator, d_model, mean=1.0, scale=0.4) * both_signs(generator, d_model),
        "beta": normal(generator, d_model, scale=0.7),
        "eps": eps,
        "W_U": normal(generator, d_model, d_vocab, scale=sharpness),
        "b_U": normal(generator, d_vocab, scale=1.5),
    }
    return Case(description, inputs)


def rms_normalised(residual, eps):
    return residual / (residual.square().mean(-1, keepdim=True) + eps).sqrt()


def eps_outside_root(residual, eps):
    deviation, mean = torch.std_mean(residual, -1, correction=0, keepdim=True)
    return (residual - mean) / (deviation + eps)


on = edits_of(read_out)

MISCONCEPTIONS = {
    "no_norm": on(
        "you unembed the residual stream as it is; the model applies its final LayerNorm first.",
        normalise=lambda residual, eps: residual,
        gamma=torch.ones_like,
        beta=torch.zeros_like,
    ),
    "no_scale_and_shift": on(
        "the LayerNorm is there, but its learned scale gamma and shift beta are not.",
        gamma=torch.ones_like,
        beta=torch.zeros_like,
    ),
    "no_beta": on("the LayerNorm's learned shift beta is missing.", beta=torch.zeros_like),
    "gamma_beta_swapped": Misconception(
        lambda residual, gamma, beta, *others: read_out(residual, beta, gamma, *others),
        "gamma and beta are swapped: the LayerNorm multiplies by gamma and adds beta.",
    ),
    "no_gamma": on("the LayerNorm's learned scale gamma is missing.", gamma=torch.ones_like),
    "no_b_U": on("the unembedding's bias b_U is missing.", b_U=torch.zeros_like),
    "mean_kept": on(
        "you divide by the root mean square without taking the mean away: that is RMSNorm. LayerNorm subtracts the "
        "mean over d_model first.",
        normalise=rms_normalised,
    ),
    "sample_variance": on(
        "your variance divides by d_model - 1; LayerNorm divides by d_model. In torch: var(-1, correction=0).",
        normalise=partial(normalised, correction=1),
    ),
    "no_eps": on("eps is missing under the root: it matters where the vectors are small.", eps=0.0),
    "eps_outside_root": on(
        "you add eps to the standard deviation; it belongs under the root, added to the variance.",
        normalise=eps_outside_root,
    ),
    "norm_over_positions": on(
        "you normalise over the positions; each position's vector is normalised by itself, over d_model.",
        normalise=lambda residual, eps: normalised(residual.mT, eps).mT,
    ),
    "logits": on(
        "these are logits. Log-probabilities need a log-softmax over the vocabulary.", predict=lambda logits: logits
    ),
    "probabilities": on(
        "these are probabilities; asked for are their logarithms.", predict=lambda logits: logits.softmax(-1)
    ),
    "softmax_over_positions": on(
        "your softmax runs over the positions; the probabilities of one position's vocabulary sum to one, so it runs "
        "over the last axis.",
        predict=partial(log_softmax, axis=-2),
    ),
    "softmax_over_rows": on(
        "your softmax runs over the rows of the batch; it runs over the vocabulary, the last axis.",
        predict=partial(log_softmax, axis=1),
    ),
    "softmax_over_entries": on(
        "your softmax runs over the entries; it runs over the vocabulary, the last axis.",
        predict=partial(log_softmax, axis=0),
    ),
    "log_of_sum_of_exps": on(
        "right in exact arithmetic, but exp overflows for large logits. Subtract the largest logit first, or use "
        "log_softmax, which does.",
        predict=lambda logits: logits - logits.exp().sum(-1, keepdim=True).log(),
    ),
    "log_of_softmax": on(
        "right in exact arithmetic, but probabilities round to zero where logits are far apart, and their logarithm is "
        "then minus infinity. Use log_softmax, which subtracts the log-sum-exp.",
        predict=lambda logits: logits.softmax(-1).log(),
    ),
}

QUESTION = Question(
    id="ch02.read_out",
    points=1,
    title="Read a residual stream out",
    hints=(
        "What does the model itself do between its last layer and its logits?",
        "Three steps, each along the last axis: LayerNorm over d_model, the affine map W_U and b_U, a log-softmax.",
        "With x = (residual - mean) / sqrt(variance + eps), mean and variance over d_model and the variance divided by "
        "d_model: log_softmax((x * gamma + beta) @ W_U + b_U) over the last axis.",
    ),
    reference=read_out,
    cases=cases,
    axes={
        "residual": "entry batch pos d_model",
        "gamma": "d_model",
        "beta": "d_model",
        "W_U": "d_model d_vocab",
        "b_U": "d_vocab",
    },
    fields=(Field("log_probs", "entry batch pos d_vocab"),),
    misconceptions=MISCONCEPTIONS,
)
