"""Question ch06.composition_score: how much of what an earlier head writes goes into a later head's keys."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal

__all__ = ["QUESTION"]

Scores = Float[Tensor, "earlier later"]
Circuits = Float[Tensor, "head d_model d_model"]


def composition_score(
    W_V: Float[Tensor, "earlier d_model d_head"],
    W_O: Float[Tensor, "earlier d_head d_model"],
    W_Q: Float[Tensor, "later d_model d_head"],
    W_K: Float[Tensor, "later d_model d_head"],
) -> Scores:
    """The K-composition of every pair of heads, less what a random rotation between the two would give."""
    return ratio(W_V @ W_O, W_K @ W_Q.mT) - W_V.shape[1] ** -0.5


def ratio(first: Circuits, second: Circuits) -> Scores:
    """|A B| / (|A| |B|) for every ``A`` of ``first`` and ``B`` of ``second``, in Frobenius norms."""
    return size(first[:, None] @ second) / (size(first)[:, None] * size(second))


def size(matrix: Float[Tensor, "*head row column"]) -> Float[Tensor, "*head"]:
    """Frobenius norms."""
    return torch.linalg.matrix_norm(matrix)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary heads, one earlier head, one later head, heads of one dimension, tiny weights."""
    return (
        _case("several heads in each layer", generator),
        _case("a single earlier head", generator, earlier=1),
        _case("a single later head", generator, later=1),
        _case("heads of one dimension", generator, d_head=1),
        _case("tiny weights", generator, scale=1e-3),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    earlier: int | None = None,
    later: int | None = None,
    d_head: int | None = None,
    scale: float = 1.0,
) -> Case:
    """Later head 0 reads what the last earlier head writes into its keys, the last later head into its queries."""
    drawn = distinct(generator, 3, 2, 5)
    earlier, later, d_head = (n if n is not None else d for n, d in zip((earlier, later, d_head), drawn, strict=True))
    d_model = integer(generator, 7, 10)
    W_V, W_Q, W_K = (normal(generator, n, d_model, d_head) for n in (earlier, later, later))
    W_O = normal(generator, earlier, d_head, d_model)
    W_K[0] += 2 * W_O[-1].mT
    W_Q[-1] += 3 * W_O[0].mT
    sizes = (2.0, 0.5, 1.5, 0.7)
    names = ("W_V", "W_O", "W_Q", "W_K")
    weights = (scale * s * w for s, w in zip(sizes, (W_V, W_O, W_Q, W_K), strict=True))
    return Case(description, dict(zip(names, weights, strict=True)))


def _random(W):
    """What a random rotation gives, for weights ``[head, d_model, d_head]``."""
    return W.shape[1] ** -0.5


def no_baseline(W_V, W_O, W_Q, W_K):
    return ratio(W_V @ W_O, W_K @ W_Q.mT)


def baseline_of_all_pairs(W_V, W_O, W_Q, W_K):
    scores = no_baseline(W_V, W_O, W_Q, W_K)
    return scores - scores.mean()


def one_norm_missing(W_V, W_O, W_Q, W_K):
    first, second = W_V @ W_O, W_K @ W_Q.mT
    return size(first[:, None] @ second) / size(first)[:, None] - _random(W_V)


def norm_of_all_heads(W_V, W_O, W_Q, W_K):
    first, second = W_V @ W_O, W_K @ W_Q.mT
    return size(first[:, None] @ second) / (first.norm() * second.norm()) - _random(W_V)


def norms_of_factors(W_V, W_O, W_Q, W_K):
    first, second = size(W_V) * size(W_O), size(W_K) * size(W_Q)
    return size((W_V @ W_O)[:, None] @ (W_K @ W_Q.mT)) / (first[:, None] * second) - _random(W_V)


def spectral(W_V, W_O, W_Q, W_K):
    def largest(matrix):
        return torch.linalg.matrix_norm(matrix, ord=2)

    first, second = W_V @ W_O, W_K @ W_Q.mT
    return largest(first[:, None] @ second) / (largest(first)[:, None] * largest(second)) - _random(W_V)


def cosine(W_V, W_O, W_Q, W_K):
    first, second = W_V @ W_O, W_K @ W_Q.mT
    overlap = torch.einsum("eab,lab->el", first, second)
    return overlap / (size(first)[:, None] * size(second)) - _random(W_V)


def with_floor(W_V, W_O, W_Q, W_K):
    first, second = W_V @ W_O, W_K @ W_Q.mT
    return size(first[:, None] @ second) / (size(first)[:, None] * size(second) + 1e-8) - _random(W_V)


MISCONCEPTIONS = {
    "no_baseline": Misconception(
        no_baseline,
        "this is the bare ratio, which is above zero for any two matrices. Take away 1 / sqrt(d_model), which random "
        "ones give.",
    ),
    "baseline_of_head": Misconception(
        lambda W_V, W_O, W_Q, W_K: no_baseline(W_V, W_O, W_Q, W_K) - W_V.shape[2] ** -0.5,
        "you take away 1 / sqrt(d_head). The two matrices meet in the residual stream, so the baseline is 1 / "
        "sqrt(d_model).",
    ),
    "baseline_without_root": Misconception(
        lambda W_V, W_O, W_Q, W_K: no_baseline(W_V, W_O, W_Q, W_K) - 1 / W_V.shape[1],
        "you take away 1 / d_model. That is the baseline of the squared ratio; for the ratio it is 1 / sqrt(d_model).",
    ),
    "over_baseline": Misconception(
        lambda W_V, W_O, W_Q, W_K: no_baseline(W_V, W_O, W_Q, W_K) / _random(W_V),
        "you divide by the baseline; asked for is the difference, 0 for what random matrices give.",
    ),
    "baseline_of_all_pairs": Misconception(
        baseline_of_all_pairs,
        "you take the mean over the pairs away. A model in which all heads compose would then seem to have no "
        "composition: the baseline is 1 / sqrt(d_model).",
    ),
    "q_composition": Misconception(
        lambda W_V, W_O, W_Q, W_K: ratio(W_V @ W_O, W_Q @ W_K.mT) - _random(W_V),
        "this is Q-composition: what the earlier head writes goes into the later head's queries. For K-composition it "
        "meets W_K first.",
    ),
    "other_way_round": Misconception(
        lambda W_V, W_O, W_Q, W_K: ratio(W_K @ W_Q.mT, W_V @ W_O).mT - _random(W_V),
        "you multiply in the wrong order, as if the later head wrote for the earlier one. A vector goes through W_V "
        "and W_O first, then meets W_K.",
    ),
    "transposed_ov": Misconception(
        lambda W_V, W_O, W_Q, W_K: ratio((W_V @ W_O).mT, W_K @ W_Q.mT) - _random(W_V),
        "the OV circuit is transposed: W_K then meets what the earlier head reads. It has to meet what it writes.",
    ),
    "without_values": Misconception(
        lambda W_V, W_O, W_Q, W_K: ratio(W_O, W_K @ W_Q.mT) - _random(W_V),
        "W_V is missing: the earlier head's circuit is W_V W_O, not its output matrix alone.",
    ),
    "without_queries": Misconception(
        lambda W_V, W_O, W_Q, W_K: ratio(W_V @ W_O, W_K) - _random(W_V),
        "W_Q is missing: the later head's circuit is W_K W_Q^T, not its key matrix alone.",
    ),
    "output_and_key_only": Misconception(
        lambda W_V, W_O, W_Q, W_K: ratio(W_O, W_K) - _random(W_V),
        "you compare W_O with W_K alone. The score is about whole circuits, W_V W_O and W_K W_Q^T: directions that the "
        "earlier head never reads, or that no query looks for, should not count.",
    ),
    "axes_swapped": Misconception(
        lambda W_V, W_O, W_Q, W_K: composition_score(W_V, W_O, W_Q, W_K).mT,
        "the axes are swapped: rows are the earlier heads, columns the later.",
    ),
    "squared": Misconception(
        lambda W_V, W_O, W_Q, W_K: no_baseline(W_V, W_O, W_Q, W_K).square() - 1 / W_V.shape[1],
        "your norms are squared: take their roots before the baseline comes off.",
    ),
    "not_normalised": Misconception(
        lambda W_V, W_O, W_Q, W_K: size((W_V @ W_O)[:, None] @ (W_K @ W_Q.mT)) - _random(W_V),
        "this is the norm of the product; divide it by the norms of both circuits, so that size is out.",
    ),
    "one_norm_missing": Misconception(
        one_norm_missing, "you divide by the norm of the OV circuit only; divide by that of the QK circuit too."
    ),
    "norm_of_all_heads": Misconception(
        norm_of_all_heads,
        "your norms run over all heads of a layer at once; each circuit is divided by its own norm: give norm the two "
        "matrix axes.",
    ),
    "norms_of_factors": Misconception(
        norms_of_factors,
        "you divide by the norms of the four weight matrices; divide by those of the circuits, W_V W_O and W_K W_Q^T.",
    ),
    "spectral": Misconception(
        spectral,
        "this takes the largest singular value (ord=2 for matrices); the Frobenius norm is the root of the sum of all "
        "squared entries.",
    ),
    "cosine": Misconception(
        cosine,
        "this is the angle between the two circuits, as if they were long vectors. Composition multiplies them: what "
        "comes out of one goes into the other.",
    ),
    "with_floor": Misconception(
        with_floor,
        "right for large weights, but the 1e-8 added to the denominator swallows small ones. The score does not depend "
        "on the size of the weights.",
    ),
}

QUESTION = Question(
    id="ch06.composition_score",
    points=1,
    title="K-composition of two heads",
    hints=(
        "Follow one residual vector, as a row: which matrices does the earlier head multiply it with, and which matrix "
        "of the later head meets the result?",
        "The circuits are A = W_V W_O and B = W_K W_Q^T. For every pair, the Frobenius norm of A B over the product of "
        "the norms of A and B, less 1 / sqrt(d_model).",
        "A = W_V @ W_O; B = W_K @ W_Q.transpose(-1, -2); norm = torch.linalg.matrix_norm; norm(A[:, None] @ B) / "
        "(norm(A)[:, None] * norm(B)) - d_model ** -0.5.",
    ),
    reference=composition_score,
    cases=cases,
    axes={
        "W_V": "earlier d_model d_head",
        "W_O": "earlier d_head d_model",
        "W_Q": "later d_model d_head",
        "W_K": "later d_model d_head",
    },
    fields=(Field("score", "earlier later", atol=1e-5, rtol=1e-5),),
    misconceptions=MISCONCEPTIONS,
)
