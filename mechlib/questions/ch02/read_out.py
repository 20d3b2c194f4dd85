"""Question ch02.read_out: from the residual stream to log-probabilities."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal

__all__ = ["QUESTION"]

Residual = Float[Tensor, "entry batch pos d_model"]
LogProbs = Float[Tensor, "entry batch pos d_vocab"]
Vector = Float[Tensor, " d_model"]


def read_out(
    residual: Residual,
    gamma: Vector,
    beta: Vector,
    eps: float,
    W_U: Float[Tensor, "d_model d_vocab"],
    b_U: Float[Tensor, " d_vocab"],
) -> LogProbs:
    """The final LayerNorm, the unembedding and a log-softmax over the vocabulary."""
    return (normalised(residual, eps) * gamma + beta).matmul(W_U).add(b_U).log_softmax(-1)


def normalised(residual: Residual, eps: float, correction: int = 0) -> Residual:
    """The residual stream less its mean over d_model, over the root of its variance and ``eps``."""
    variance, mean = torch.var_mean(residual, -1, correction=correction, keepdim=True)
    return (residual - mean) / (variance + eps).sqrt()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary vectors, small ones beside a large eps, a single token, and large ones."""
    return (
        _case("ordinary vectors", generator, eps=1e-5),
        _case("small vectors beside a large eps", generator, eps=0.02, scale=0.1),
        _case("a single token", generator, eps=1e-3, pos=1),
        _case("large vectors and large logits", generator, eps=1e-5, scale=1e3, sharpness=40.0),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    eps: float,
    scale: float = 1.0,
    sharpness: float = 1.0,
    pos: int | None = None,
) -> Case:
    entry, batch, several = distinct(generator, 3, 2, 5)
    pos = several if pos is None else pos
    d_model, d_vocab = integer(generator, 7, 10), integer(generator, 13, 18)
    column_means = normal(generator, entry, batch, pos, 1)
    inputs = {
        "residual": scale * (column_means + normal(generator, entry, batch, pos, d_model)),
        "gamma": normal(generator, d_model, mean=1.0, scale=0.4),
        "beta": normal(generator, d_model, scale=0.7),
        "eps": eps,
        "W_U": normal(generator, d_model, d_vocab, scale=sharpness),
        "b_U": normal(generator, d_vocab, scale=1.5),
    }
    return Case(description, inputs)


def no_norm(residual, gamma, beta, eps, W_U, b_U):
    return (residual @ W_U + b_U).log_softmax(-1)


def no_scale_and_shift(residual, gamma, beta, eps, W_U, b_U):
    return (normalised(residual, eps) @ W_U + b_U).log_softmax(-1)


def no_beta(residual, gamma, beta, eps, W_U, b_U):
    return read_out(residual, gamma, torch.zeros_like(beta), eps, W_U, b_U)


def gamma_beta_swapped(residual, gamma, beta, eps, W_U, b_U):
    return read_out(residual, beta, gamma, eps, W_U, b_U)


def no_gamma(residual, gamma, beta, eps, W_U, b_U):
    return read_out(residual, torch.ones_like(gamma), beta, eps, W_U, b_U)


def no_b_U(residual, gamma, beta, eps, W_U, b_U):
    return read_out(residual, gamma, beta, eps, W_U, torch.zeros_like(b_U))


def mean_kept(residual, gamma, beta, eps, W_U, b_U):
    root_mean_square = (residual.square().mean(-1, keepdim=True) + eps).sqrt()
    return ((residual / root_mean_square * gamma + beta) @ W_U + b_U).log_softmax(-1)


def sample_variance(residual, gamma, beta, eps, W_U, b_U):
    return ((normalised(residual, eps, correction=1) * gamma + beta) @ W_U + b_U).log_softmax(-1)


def no_eps(residual, gamma, beta, eps, W_U, b_U):
    return read_out(residual, gamma, beta, 0.0, W_U, b_U)


def eps_outside_root(residual, gamma, beta, eps, W_U, b_U):
    deviation, mean = torch.std_mean(residual, -1, correction=0, keepdim=True)
    return (((residual - mean) / (deviation + eps) * gamma + beta) @ W_U + b_U).log_softmax(-1)


def norm_over_positions(residual, gamma, beta, eps, W_U, b_U):
    return ((normalised(residual.mT, eps).mT * gamma + beta) @ W_U + b_U).log_softmax(-1)


def logits(residual, gamma, beta, eps, W_U, b_U):
    return (normalised(residual, eps) * gamma + beta) @ W_U + b_U


def probabilities(residual, gamma, beta, eps, W_U, b_U):
    return logits(residual, gamma, beta, eps, W_U, b_U).softmax(-1)


def softmax_over_positions(residual, gamma, beta, eps, W_U, b_U):
    return logits(residual, gamma, beta, eps, W_U, b_U).log_softmax(-2)


def softmax_over_rows(residual, gamma, beta, eps, W_U, b_U):
    return logits(residual, gamma, beta, eps, W_U, b_U).log_softmax(1)


def softmax_over_entries(residual, gamma, beta, eps, W_U, b_U):
    return logits(residual, gamma, beta, eps, W_U, b_U).log_softmax(0)


def log_of_softmax(residual, gamma, beta, eps, W_U, b_U):
    return logits(residual, gamma, beta, eps, W_U, b_U).softmax(-1).log()


def log_of_sum_of_exps(residual, gamma, beta, eps, W_U, b_U):
    scores = logits(residual, gamma, beta, eps, W_U, b_U)
    return scores - scores.exp().sum(-1, keepdim=True).log()


MISCONCEPTIONS = {
    "no_norm": Misconception(
        no_norm, "you unembed the residual stream as it is; the model applies its final LayerNorm first."
    ),
    "no_scale_and_shift": Misconception(
        no_scale_and_shift, "the LayerNorm is there, but its learned scale gamma and shift beta are not."
    ),
    "no_beta": Misconception(no_beta, "the LayerNorm's learned shift beta is missing."),
    "gamma_beta_swapped": Misconception(
        gamma_beta_swapped, "gamma and beta are swapped: the LayerNorm multiplies by gamma and adds beta."
    ),
    "no_gamma": Misconception(no_gamma, "the LayerNorm's learned scale gamma is missing."),
    "no_b_U": Misconception(no_b_U, "the unembedding's bias b_U is missing."),
    "mean_kept": Misconception(
        mean_kept,
        "you divide by the root mean square without taking the mean away: that is RMSNorm. LayerNorm subtracts the "
        "mean over d_model first.",
    ),
    "sample_variance": Misconception(
        sample_variance,
        "your variance divides by d_model - 1; LayerNorm divides by d_model. In torch: var(-1, correction=0).",
    ),
    "no_eps": Misconception(no_eps, "eps is missing under the root: it matters where the vectors are small."),
    "eps_outside_root": Misconception(
        eps_outside_root, "you add eps to the standard deviation; it belongs under the root, added to the variance."
    ),
    "norm_over_positions": Misconception(
        norm_over_positions,
        "you normalise over the positions; each position's vector is normalised by itself, over d_model.",
    ),
    "logits": Misconception(logits, "these are logits. Log-probabilities need a log-softmax over the vocabulary."),
    "probabilities": Misconception(probabilities, "these are probabilities; asked for are their logarithms."),
    "softmax_over_positions": Misconception(
        softmax_over_positions,
        "your softmax runs over the positions; the probabilities of one position's vocabulary sum to one, so it runs "
        "over the last axis.",
    ),
    "softmax_over_rows": Misconception(
        softmax_over_rows, "your softmax runs over the rows of the batch; it runs over the vocabulary, the last axis."
    ),
    "softmax_over_entries": Misconception(
        softmax_over_entries, "your softmax runs over the entries; it runs over the vocabulary, the last axis."
    ),
    "log_of_sum_of_exps": Misconception(
        log_of_sum_of_exps,
        "right in exact arithmetic, but exp overflows for large logits. Subtract the largest logit first, or use "
        "log_softmax, which does.",
    ),
    "log_of_softmax": Misconception(
        log_of_softmax,
        "right in exact arithmetic, but probabilities round to zero where logits are far apart, and their logarithm is "
        "then minus infinity. Use log_softmax, which subtracts the log-sum-exp.",
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
