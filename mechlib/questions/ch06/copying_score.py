"""Question ch06.copying_score: whether a head makes the tokens that it looks at more likely."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal

__all__ = ["QUESTION"]

Scores = Float[Tensor, " head"]
Circuits = Float[Tensor, "head token token"]


def copying_score(
    W_E: Float[Tensor, "token d_model"],
    W_V: Float[Tensor, "head d_model d_head"],
    W_O: Float[Tensor, "head d_head d_model"],
    W_U: Float[Tensor, "d_model token"],
) -> Scores:
    """The sum of the OV circuit's eigenvalues over the sum of their sizes, from the small matrix that shares them."""
    return positivity(torch.linalg.eigvals(W_O @ (W_U @ W_E) @ W_V))


def positivity(eigenvalues: Complex[Tensor, "head value"]) -> Scores:
    """The sum of real parts over the sum of absolute values."""
    return eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1)


def circuit(W_E, W_V, W_O, W_U) -> Circuits:
    """What attending to each token adds to the logit of every token."""
    return W_E @ W_V @ W_O @ W_U


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Several heads, a single one, heads of one dimension, an unembedding near the embedding, small weights and large.

    Of the large ones the unembedding is small instead, below the numbers that half precision tells well apart.
    """
    large = _case("large weights, but for a small unembedding", generator, scale=100.0, tied=0.3)
    large.inputs["W_U"].mul_(1e-8)
    return (
        _case("several heads", generator),
        _case("a single head", generator, head=1),
        _case("heads of one dimension", generator, d_head=1),
        _case("an unembedding near the embedding, and a head that copies", generator, tied=1.0),
        _case("small weights", generator, scale=1e-3),
        large,
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    head: int | None = None,
    d_head: int | None = None,
    tied: float = 0.0,
    scale: float = 1.0,
) -> Case:
    """Head 0 writes back what it reads if ``tied`` is not zero; the last head writes it back with the sign turned.

    No head's eigenvalues are so small beside its circuit that rounding in single precision would be seen among them.
    """
    while True:
        weights = _weights(generator, head, d_head, tied)
        sizes = torch.linalg.eigvals(weights["W_O"] @ (weights["W_U"] @ weights["W_E"]) @ weights["W_V"]).abs().sum(-1)
        if (sizes > 0.15 * torch.linalg.matrix_norm(circuit(**weights))).all():
            return Case(description, {name: scale * weight for name, weight in weights.items()})


def _weights(generator: torch.Generator, head: int | None, d_head: int | None, tied: float) -> dict[str, Tensor]:
    drawn = distinct(generator, 2, 3, 5)
    head, d_head = (n if n is not None else d for n, d in zip((head, d_head), drawn, strict=True))
    d_model, token = integer(generator, 7, 9), integer(generator, 15, 19)
    W_E, W_V = normal(generator, token, d_model), normal(generator, head, d_model, d_head)
    W_O, W_U = normal(generator, head, d_head, d_model), normal(generator, d_model, token)
    W_O[0] += 2 * tied * W_V[0].mT
    W_O[-1] -= tied * W_V[-1].mT
    W_U += tied * W_E.mT
    return {"W_E": W_E, "W_V": W_V, "W_O": W_O, "W_U": W_U}


def _of(values):
    """An answer made from the eigenvalues."""
    return lambda W_E, W_V, W_O, W_U: values(torch.linalg.eigvals(W_O @ (W_U @ W_E) @ W_V))


def singular_values(W_E, W_V, W_O, W_U):
    whole = circuit(W_E, W_V, W_O, W_U)
    return whole.diagonal(0, -2, -1).sum(-1) / torch.linalg.svdvals(whole).sum(-1)


def over_frobenius(W_E, W_V, W_O, W_U):
    whole = circuit(W_E, W_V, W_O, W_U)
    return whole.diagonal(0, -2, -1).sum(-1) / torch.linalg.matrix_norm(whole)


def over_diagonal(W_E, W_V, W_O, W_U):
    diagonal = circuit(W_E, W_V, W_O, W_U).diagonal(0, -2, -1)
    return diagonal.sum(-1) / diagonal.abs().sum(-1)


def made_symmetric(W_E, W_V, W_O, W_U):
    whole = circuit(W_E, W_V, W_O, W_U).double()
    values = torch.linalg.eigvalsh(whole + whole.mT)
    return values.sum(-1) / values.abs().sum(-1)


def lower_triangle(W_E, W_V, W_O, W_U):
    values = torch.linalg.eigvalsh(circuit(W_E, W_V, W_O, W_U).double())
    return values.sum(-1) / values.abs().sum(-1)


def first_guesses(W_E, W_V, W_O, W_U):
    return (circuit(W_E, W_V, W_O, W_U).argmax(-1) == torch.arange(len(W_E))).double().mean(-1)


def all_heads_together(W_E, W_V, W_O, W_U):
    eigenvalues = torch.linalg.eigvals(W_O @ (W_U @ W_E) @ W_V)
    return eigenvalues.real.sum(-1) / eigenvalues.abs().sum()


def as_probabilities(W_E, W_V, W_O, W_U):
    probabilities = circuit(W_E, W_V, W_O, W_U).double().softmax(-1)
    return positivity(torch.linalg.eigvals(probabilities))


def directly_too(W_E, W_V, W_O, W_U):
    return positivity(torch.linalg.eigvals(circuit(W_E, W_V, W_O, W_U).double() + (W_E @ W_U).double()))


MISCONCEPTIONS = {
    "real_parts_below": Misconception(
        _of(lambda e: e.real.sum(-1) / e.real.abs().sum(-1)),
        "you divide by the sizes of the real parts; divide by those of the eigenvalues. A complex eigenvalue turns "
        "groups of tokens into one another, which is no copying.",
    ),
    "share_of_positive": Misconception(
        _of(lambda e: (e.real > 0).double().mean(-1)),
        "you count the eigenvalues with a positive real part; weigh them by their size.",
    ),
    "signs": Misconception(
        _of(lambda e: e.real.sign().mean(-1)), "you take the mean of the signs; weigh the eigenvalues by their size."
    ),
    "sum_of_sizes": Misconception(
        _of(lambda e: e.abs().sum(-1)), "this is the sum of the eigenvalues' sizes, which belongs below."
    ),
    "sum_only": Misconception(
        _of(lambda e: e.real.sum(-1)),
        "this is the sum of the eigenvalues, the trace; divide it by the sum of their sizes.",
    ),
    "mean_angle": Misconception(
        _of(lambda e: (e.real / e.abs()).mean(-1)),
        "you divide each eigenvalue by its own size and take the mean; sum first, then divide.",
    ),
    "sum_of_squares": Misconception(
        _of(lambda e: e.real.sum(-1) / e.abs().square().sum(-1).sqrt()),
        "you divide by the root of the sum of squares; divide by the sum of the sizes, so that a head "
        "whose eigenvalues are all positive scores 1.",
    ),
    "largest": Misconception(
        _of(lambda e: e.real.gather(-1, e.abs().argmax(-1, keepdim=True))[..., 0] / e.abs().amax(-1)),
        "this is the largest eigenvalue's direction alone; all of them count.",
    ),
    "positive_part": Misconception(
        _of(lambda e: e.real.clamp(min=0).sum(-1) / e.abs().sum(-1)),
        "you leave the negative eigenvalues out of the sum above; they count against copying.",
    ),
    "size_of_sum": Misconception(
        _of(lambda e: e.sum(-1).abs() / e.abs().sum(-1)),
        "you take the absolute value of the sum, so a head that suppresses tokens seems to copy them.",
    ),
    "within_stream": Misconception(
        lambda W_E, W_V, W_O, W_U: positivity(torch.linalg.eigvals(W_O @ W_V)),
        "these are the eigenvalues of W_V W_O, from the stream to the stream. Copying is about tokens: go in through "
        "W_E and out through W_U.",
    ),
    "without_unembedding": Misconception(
        lambda W_E, W_V, W_O, W_U: positivity(torch.linalg.eigvals(W_O @ (W_E.T @ W_E) @ W_V)),
        "you go out through the transposed embedding; the model's own way out is W_U.",
    ),
    "without_embedding": Misconception(
        lambda W_E, W_V, W_O, W_U: positivity(torch.linalg.eigvals(W_O @ (W_U @ W_U.T) @ W_V)),
        "you go in through the transposed unembedding; the model's own way in is W_E.",
    ),
    "singular_values": Misconception(
        singular_values,
        "you divide by the sum of the singular values. They do not know whether a token comes back as itself; divide "
        "by the sizes of the eigenvalues.",
    ),
    "over_frobenius": Misconception(
        over_frobenius, "you divide by the Frobenius norm; divide by the sum of the sizes of the eigenvalues."
    ),
    "over_diagonal": Misconception(
        over_diagonal,
        "this is made of the diagonal, token by token. The eigenvalues also see tokens copied as a group.",
    ),
    "made_symmetric": Misconception(
        made_symmetric,
        "you make the circuit symmetric first. That changes its eigenvalues; use eigvals on the matrix as it is.",
    ),
    "lower_triangle": Misconception(
        lower_triangle, "eigvalsh is for symmetric matrices and reads one triangle only; this one needs eigvals."
    ),
    "first_guesses": Misconception(
        first_guesses, "you count the tokens that the head makes most likely themselves; asked for are eigenvalues."
    ),
    "all_heads_together": Misconception(
        all_heads_together, "you divide by the sizes of all heads' eigenvalues; each head is divided by its own."
    ),
    "as_probabilities": Misconception(
        as_probabilities, "you put a softmax on the circuit; it holds what is added to logits, so leave it as it is."
    ),
    "directly_too": Misconception(
        directly_too, "you add the direct path W_E W_U; the score is about what the head adds to it."
    ),
}

QUESTION = Question(
    id="ch06.copying_score",
    points=1,
    title="Does a head copy?",
    hints=(
        "Multiply the four matrices in the order in which a token meets them. How large is the result, and how many of "
        "its eigenvalues can differ from zero?",
        "A B and B A have the same eigenvalues other than zero. Move W_E W_V to the end, and a matrix [d_head, d_head] "
        "is left for each head. Its eigenvalues may be complex.",
        "e = torch.linalg.eigvals(W_O @ W_U @ W_E @ W_V); e.real.sum(-1) / e.abs().sum(-1).",
    ),
    reference=copying_score,
    cases=cases,
    axes={"W_E": "token d_model", "W_V": "head d_model d_head", "W_O": "head d_head d_model", "W_U": "d_model token"},
    fields=(Field("score", "head", atol=5e-4),),
    misconceptions=MISCONCEPTIONS,
)
