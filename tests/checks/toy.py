"""A small question to put to the engine, with every kind of misconception, and right answers to it."""

import torch

from mechlib.checks.question import Case, Field, Misconception, Question


def scaled_sum(x, factor):
    return (x * factor).sum(-1)


def toy_cases(generator):
    def case(description, rows, factor):
        return Case(description, {"x": torch.randn(rows, 5, generator=generator) + 1, "factor": factor})

    return case("three rows", 3, 2.0), case("a single row", 1, -0.5)


TOY = Question(
    id="ch02.toy",
    points=2,
    title="A scaled sum",
    hints=("a nudge", "the method", "almost the answer"),
    reference=scaled_sum,
    cases=toy_cases,
    axes={"x": "row column"},
    fields=(Field("total", "row"),),
    misconceptions={
        "mean": Misconception(lambda x, factor: (x * factor).mean(-1), "this is the mean, not the sum."),
        "unscaled": Misconception(lambda x, factor: x.sum(-1), "the factor is missing."),
        "twin": Misconception(lambda x, factor: 0 * x.sum(-1), "one of two that return the same."),
        "other_twin": Misconception(lambda x, factor: x.sum(-1) * 0, "the other of the two."),
        "columns": Misconception(lambda x, factor: (x * factor).sum(0), "you sum over the rows."),
    },
)

ALTERNATIVES = {
    "einsum": lambda x, factor: factor * torch.einsum("rc->r", x),
    "lists": lambda x, factor: [factor * sum(row) for row in x.tolist()],
    "numpy": lambda x, factor: factor * x.numpy().astype("float64").sum(1),
}
