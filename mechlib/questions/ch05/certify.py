"""Open task ch05.certify: for every token of some unembeddings a vector, or weights, that prove what it can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.questions.drawing import integer

__all__ = ["MEETS", "QUESTION", "Unembedding", "proves"]

WIDTHS = (2, 3, 4, 6)
MEETS = 1e-7
"""So near must weights of sum 1 come to the row, as a share of the longest row, and a vector's lead be above it."""


@dataclass(frozen=True)
class Unembedding:
    """Rows of two sizes, in double precision."""

    rows: Float[Tensor, "token d"]


def draw(generator: torch.Generator) -> tuple[Unembedding, ...]:
    """One of each width; tokens differ in the length of their rows as those of trained models do."""
    found = []
    for d in WIDTHS:
        n = integer(generator, 24, 32)
        rows = torch.randn(n, d, generator=generator, dtype=torch.float64)
        rows *= torch.randn(n, 1, generator=generator, dtype=torch.float64).mul(0.6).exp()
        found.append(Unembedding(rows + 0.5 * torch.randn(d, generator=generator, dtype=torch.float64)))
    return tuple(found)


def cases(drawn: tuple[Unembedding, ...]) -> tuple[Case, ...]:
    return tuple(
        Case(f"a token of rows with {one.rows.shape[1]} entries", {"rows": one.rows, "token": token})
        for one in drawn
        for token in range(len(one.rows))
    )


def proves(rows: Float[Tensor, "token d"], token: int, handed: Float[np.ndarray, " entry"]) -> bool:
    """Whether a vector puts the token first, or weights of others meet its row, each to ``MEETS``."""
    table = rows.numpy()
    scale = np.linalg.norm(table, axis=1).max()
    if len(handed) == table.shape[1]:
        logits = table @ (handed / max(np.linalg.norm(handed), 1e-300))
        return bool(logits[token] - np.delete(logits, token).max() > MEETS * scale)
    convex = handed.min() >= 0 and abs(handed.sum() - 1) < MEETS and handed[token] == 0
    return bool(convex and np.linalg.norm(handed @ table - table[token]) < MEETS * scale)


def outcome(drawn: tuple[Unembedding, ...], handed: list[Any]) -> Outcome:
    """The share of tokens of which nothing is proved."""
    pairs = [(one, token) for one in drawn for token in range(len(one.rows))]
    missed = dict.fromkeys(WIDTHS, 0)
    for (one, token), found in zip(pairs, handed, strict=True):
        n, d = one.rows.shape
        try:
            certificate = np.asarray(found, dtype=float).reshape(-1)
        except (TypeError, ValueError):
            certificate = np.zeros(0)
        if len(certificate) not in (n, d):
            raise Unfit(f"the function returns a vector of d = {d} entries or {n} weights, one for each token.")
        missed[d] += not (np.isfinite(certificate).all() and proves(one.rows, token, certificate))
    worst = max(missed, key=lambda d: missed[d])
    remark = f"Most of what is not proved is of rows with {worst} entries." if any(missed.values()) else ""
    return Outcome(sum(missed.values()) / len(pairs), remark)


def baseline(drawn: tuple[Unembedding, ...]) -> float:
    """The share of tokens that do not lead along their own row."""
    return outcome(drawn, [one.rows[token] for one in drawn for token in range(len(one.rows))]).value


def nulls(generator: torch.Generator) -> dict[str, Any]:
    return {
        "its own row": lambda rows, token: rows[token],
        "its own row, less the mean": lambda rows, token: rows[token] - rows.mean(0),
        "a vector at random": lambda rows, token: torch.randn(rows.shape[1], generator=generator),
        "even weights": lambda rows, token: (torch.arange(len(rows)) != token) / (len(rows) - 1),
        "all weight on itself": lambda rows, token: (torch.arange(len(rows)) == token).double(),
        "nothing": lambda rows, token: torch.zeros(rows.shape[1]),
    }


QUESTION = OpenTask(
    id="ch05.certify",
    points=3,
    title="Hand in the certificates",
    hints=(
        "For each token one of two things exists, and you do not know which. Look for one, and if it is not there, the "
        "other should come out of the same computation.",
        "The largest lead in a box is a linear program. If it is above 0, its vector is the certificate; otherwise the "
        "multipliers of its constraints are.",
        "The function best of the chapter returns lead, vector and weights of the others: hand in the vector if the "
        "lead is above 1e-7, else the weights with a 0 put in at the token's place (np.insert).",
    ),
    handed_in="Hand in a function of rows and token that returns a vector [d], or weights [token].",
    budget="It is called about 110 times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=baseline,
    steps=((1, 0.75), (2, 0.4), (3, 0.02)),
    words="Of the tokens {value:.0%} are without a proof; along their own rows {baseline:.0%} are.",
    nulls=nulls,
)
