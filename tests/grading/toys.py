"""Two small questions, and notebooks that answer them."""

import json

import torch

from mechlib.checks.question import Case, Field, Misconception, Question


def total(x, factor):
    return (x * factor).sum(-1)


def ends(x, factor):
    return x[:, 0] * factor, (x[:, -1] > 0).sum()


def cases(generator):
    def case(description, rows, factor):
        return Case(description, {"x": torch.randn(rows, 5, generator=generator) + 1, "factor": factor})

    return case("three rows", 3, 2.0), case("a single row", 1, -0.5), case("seven rows", 7, 1)


def question(name, points, reference, fields, misconceptions):
    return Question(
        id=f"ch02.{name}",
        points=points,
        title=f"Toy: {name}",
        hints=("a nudge", "the method", "almost the answer"),
        reference=reference,
        cases=cases,
        axes={"x": "row column"},
        fields=fields,
        misconceptions=misconceptions,
    )


TOTAL = question(
    "total",
    2,
    total,
    (Field("total", "row"),),
    {"mean": Misconception(lambda x, factor: (x * factor).mean(-1), "this is the mean, not the sum.")},
)
ENDS = question(
    "ends",
    3,
    ends,
    (Field("first", "row"), Field("positive", atol=0, rtol=0)),
    {"negative": Misconception(lambda x, factor: (x[:, 0] * factor, (x[:, -1] < 0).sum()), "those are negative.")},
)
TOYS = (TOTAL, ENDS)

IMPORTS = "import torch\nfrom mechlib.checks import check, hint, progress, solved"
RIGHT_TOTAL = "def total(x, factor):\n    return (x * factor).sum(-1)"
WRONG_TOTAL = "def total(x, factor):\n    return (x * factor).sum(-1) + 1"
MEAN_TOTAL = "def total(x, factor):\n    return (x * factor).mean(-1)"
RIGHT_ENDS = "def ends(x, factor):\n    return x[:, 0] * factor, (x[:, -1] > 0).sum()"
WRONG_ENDS = "def ends(x, factor):\n    return x[:, 0], (x[:, -1] > 0).sum()"
CHECK_TOTAL, CHECK_ENDS = 'check("ch02.total", total)', 'check("ch02.ends", ends)'
HONEST = (IMPORTS, RIGHT_TOTAL, CHECK_TOTAL, RIGHT_ENDS, CHECK_ENDS, "progress()")


def notebook(*sources, texts=()):
    """The bytes of a notebook with these code cells, and text cells after them."""
    code = [{"cell_type": "code", "source": s, "metadata": {}, "outputs": [], "execution_count": None} for s in sources]
    text = [{"cell_type": "markdown", "source": s, "metadata": {}} for s in texts]
    return json.dumps({"cells": code + text, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()
