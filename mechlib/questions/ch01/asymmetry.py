"""Question ch01.asymmetry: what a tied table cannot say."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import integer, normal

__all__ = ["QUESTION"]

Table = Float[Tensor, "token next"]
Result = tuple[Tensor, Tensor]


def asymmetry(W_E: Float[Tensor, "token d_model"], W_U: Float[Tensor, "d_model token"]) -> Result:
    """The antisymmetric share of the table's interactions, and the share of tokens that predict themselves."""
    table = W_E @ W_U
    return share(centred(table)), repeats(table)


def centred(table: Table) -> Table:
    """The table less its row means and its column means."""
    return table - table.mean(1, keepdim=True) - table.mean(0, keepdim=True) + table.mean()


def share(table: Table) -> Tensor:
    """The sum of squares of the antisymmetric part, of that of the whole."""
    return ((table - table.T) / 2).square().sum() / table.square().sum()


def repeats(table: Table) -> Tensor:
    """How often the diagonal holds the largest value of its row."""
    return (table.argmax(1) == torch.arange(len(table))).float().mean()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Unrelated matrices, tied ones, nearly tied ones, tokens that are frequent everywhere, large numbers, a table of
    which more than half is antisymmetric, and a stream of one dimension.

    The unrelated ones are such that rows and columns have their largest value on the diagonal unequally often.
    """
    unrelated = _case("unrelated matrices", generator)
    while repeats(_table(unrelated)) == repeats(_table(unrelated).T):
        unrelated = _case("unrelated matrices", generator)
    tied = _case("tied matrices", generator)
    tied.inputs["W_U"].copy_(tied.inputs["W_E"].T)
    nearly = _case("nearly tied matrices", generator)
    nearly.inputs["W_U"].mul_(0.5).add_(nearly.inputs["W_E"].T)
    frequent = _case("some tokens likely after every other", generator)
    frequent.inputs["W_E"].add_(2 * normal(generator, 1, frequent.inputs["W_E"].shape[1]))
    frequent.inputs["W_U"].add_(frequent.inputs["W_E"].T / 2)
    large = _case("large numbers", generator, scale=1e3)
    large.inputs["W_U"].add_(0.7 * large.inputs["W_E"].T)
    against = _case("a table that is mostly antisymmetric", generator)
    turn = normal(generator, *[len(against.inputs["W_U"])] * 2)
    against.inputs["W_U"].mul_(0.3).add_((turn - turn.T) @ against.inputs["W_E"].T)
    return unrelated, tied, nearly, frequent, large, against, _case("a stream of one dimension", generator, d_model=1)


def _case(description: str, generator: torch.Generator, scale: float = 1.0, d_model: int | None = None) -> Case:
    drawn, token = integer(generator, 4, 8), integer(generator, 23, 29)
    d_model = drawn if d_model is None else d_model
    offset = normal(generator, 1, d_model, scale=0.5)
    inputs = {
        "W_E": scale * (normal(generator, token, d_model) + offset),
        "W_U": scale * (normal(generator, d_model, token) + 0.4),
    }
    return Case(description, inputs)


def _table(case: Case) -> Table:
    return case.inputs["W_E"] @ case.inputs["W_U"]


def rows_only(W_E, W_U):
    table = W_E @ W_U
    return share(table - table.mean(1, keepdim=True)), repeats(table)


def columns_only(W_E, W_U):
    table = W_E @ W_U
    return share(table - table.mean(0, keepdim=True)), repeats(table)


def overall_mean(W_E, W_U):
    table = W_E @ W_U
    return share(table - table.mean()), repeats(table)


def mean_not_added_back(W_E, W_U):
    table = W_E @ W_U
    return share(centred(table) - table.mean()), repeats(table)


def means_across(W_E, W_U):
    table = W_E @ W_U
    return share(table - table.mean(0) - table.mean(1) + table.mean()), repeats(table)


def symmetric_share(W_E, W_U):
    found, itself = asymmetry(W_E, W_U)
    return 1 - found, itself


def of_norms(W_E, W_U):
    found, itself = asymmetry(W_E, W_U)
    return found.sqrt(), itself


def not_halved(W_E, W_U):
    found, itself = asymmetry(W_E, W_U)
    return 4 * found, itself


def halved_once(W_E, W_U):
    found, itself = asymmetry(W_E, W_U)
    return 2 * found, itself


def of_symmetric_part(W_E, W_U):
    found, itself = asymmetry(W_E, W_U)
    return found / (1 - found), itself


def correlation(W_E, W_U):
    found, itself = asymmetry(W_E, W_U)
    return 1 - 2 * found, itself


def one_triangle(W_E, W_U):
    found, itself = asymmetry(W_E, W_U)
    return found / 2, itself


def of_probabilities(W_E, W_U):
    probs = (W_E @ W_U).softmax(1)
    return share(centred(probs)), repeats(probs)


def of_centred(W_E, W_U):
    table = centred(W_E @ W_U)
    return share(table), repeats(table)


def a_count(W_E, W_U):
    found, itself = asymmetry(W_E, W_U)
    return found, itself * len(W_E)


def above_average(W_E, W_U):
    table = W_E @ W_U
    return share(centred(table)), (table.diagonal() > table.mean(1)).float().mean()


MISCONCEPTIONS = {
    "not_centred": Misconception(
        lambda W_E, W_U: (share(W_E @ W_U), repeats(W_E @ W_U)),
        "the table is not centred: row means change no prediction, and column means are how frequent a token is after "
        "anything. Take both away first.",
    ),
    "rows_only": Misconception(rows_only, "only the row means are taken away; take the column means away too."),
    "columns_only": Misconception(columns_only, "only the column means are taken away; take the row means away too."),
    "overall_mean": Misconception(
        overall_mean, "you take away one mean of the whole table; take away every row's and every column's."
    ),
    "mean_not_added_back": Misconception(
        mean_not_added_back,
        "row means and column means both hold the overall mean, so it has been taken away twice. Add it back once.",
    ),
    "means_across": Misconception(
        means_across,
        "the row means are spread along the rows: table.mean(1) has one axis, and is subtracted from every row as if "
        "it held column means. Keep the axis: mean(1, keepdim=True).",
    ),
    "symmetric_share": Misconception(symmetric_share, "this is the share of the symmetric part, which is the rest."),
    "of_norms": Misconception(of_norms, "this is the ratio of norms; the share is of sums of squares."),
    "not_halved": Misconception(
        not_halved, "the antisymmetric part is (A - A.T) / 2; without the half your share can reach 4."
    ),
    "halved_once": Misconception(
        halved_once, "the half belongs to the antisymmetric part, so it is squared: the share is twice too large."
    ),
    "of_symmetric_part": Misconception(
        of_symmetric_part, "you divide by the symmetric part; divide by the whole table, so that it is a share."
    ),
    "correlation": Misconception(
        correlation, "this is the correlation of the table with its transpose, rho; the share is (1 - rho) / 2."
    ),
    "one_triangle": Misconception(
        one_triangle, "you sum over one triangle; the antisymmetric part has two, and the whole table is below it."
    ),
    "tied_assumed": Misconception(
        lambda W_E, W_U: asymmetry(W_E, W_E.T), "you use W_E twice, as if the model were tied; the table is W_E @ W_U."
    ),
    "unembedding_alone": Misconception(
        lambda W_E, W_U: asymmetry(W_U.T, W_U), "you use W_U twice; the table is W_E @ W_U."
    ),
    "of_probabilities": Misconception(
        of_probabilities, "this is the table of probabilities; the one asked for holds logits, W_E @ W_U."
    ),
    "by_column": Misconception(
        lambda W_E, W_U: (share(centred(W_E @ W_U)), repeats((W_E @ W_U).T)),
        "repeats compares along the columns; a row holds one token's predictions, so compare along the row.",
    ),
    "of_centred": Misconception(
        of_centred, "repeats uses the centred table; what a token predicts includes how frequent the tokens are."
    ),
    "a_count": Misconception(a_count, "repeats is a count; asked for is the share of tokens."),
    "above_average": Misconception(
        above_average, "repeats counts tokens above their row's mean; a token predicts itself if no other is above it."
    ),
    "exchanged": Misconception(
        lambda W_E, W_U: asymmetry(W_E, W_U)[::-1], "the two are exchanged: first the asymmetry, then the repeats."
    ),
}

QUESTION = Question(
    id="ch01.asymmetry",
    points=2,
    title="How one-sided is a table?",
    hints=(
        "What can be added to a row of logits without changing a probability? And what does adding to a column mean?",
        "Centre the table by rows and by columns. Its antisymmetric part is half the difference from its transpose; "
        "the share is of sums of squares. Repeats are read from the table as it is, row by row.",
        "B = W_E @ W_U; A = B - row means - column means + overall mean; the share is ((A - A.T) / 2).square().sum() / "
        "A.square().sum(). Repeats: the mean of B.argmax(1) == arange.",
    ),
    reference=asymmetry,
    cases=cases,
    axes={"W_E": "token d_model", "W_U": "d_model token"},
    fields=(Field("asymmetry", atol=1e-5, rtol=1e-5), Field("repeats", atol=1e-5, rtol=1e-5)),
    misconceptions=MISCONCEPTIONS,
)
