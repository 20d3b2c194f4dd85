"""Open task ch03.read: a probe that names as many classes as it can of streams that nobody has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.questions.drawing import integer

__all__ = ["QUESTION", "Stream"]

WIDTHS = (12, 16, 24)
"""Numbers in a vector, of each of the streams."""

N_FIT, N_NEW = 700, 500


@dataclass(frozen=True)
class Stream:
    """Vectors that hold their class along with other things, and the codes of all classes."""

    h: Float[Tensor, "row d"]
    labels: Int[Tensor, " row"]
    codes: Float[Tensor, "cls d_code"]
    new: Float[Tensor, "row d"]
    wanted: Int[Tensor, " row"]


def one(generator: torch.Generator, d: int) -> Stream:
    """A linear image of the code, and noise that is far larger in some directions than in others."""
    n_classes, width = integer(generator, 55, 70), d - integer(generator, 2, 4)
    codes = torch.randn(n_classes, width, generator=generator)
    image = torch.randn(width, d, generator=generator) / width**0.5
    scale = torch.linspace(-1.5, 2.0, d).exp()
    turned = torch.linalg.qr(torch.randn(d, d, generator=generator)).Q
    often = torch.randn(n_classes, generator=generator).mul(0.8).softmax(0)
    labels = torch.multinomial(often, N_FIT + N_NEW, replacement=True, generator=generator)
    noise = (torch.randn(len(labels), d, generator=generator) * scale) @ turned
    h = codes[labels] @ image + 0.7 * noise + 3 * torch.randn(d, generator=generator)
    return Stream(h[:N_FIT], labels[:N_FIT], codes, h[N_FIT:], labels[N_FIT:])


def draw(generator: torch.Generator) -> tuple[Stream, ...]:
    return tuple(one(generator, d) for d in WIDTHS)


def cases(drawn: tuple[Stream, ...]) -> tuple[Case, ...]:
    return tuple(
        Case(
            f"vectors of {each.h.shape[1]} numbers",
            {"h": each.h, "labels": each.labels, "codes": each.codes, "new": each.new},
        )
        for each in drawn
    )


def missed(stream: Stream, named: Any) -> float:
    """The share of new vectors whose class is not named."""
    try:
        found = torch.as_tensor(named).flatten()
    except (TypeError, ValueError, RuntimeError):
        found = torch.zeros(0)
    if found.shape != stream.wanted.shape:
        raise Unfit(f"the function returns the number of a class for each of the {N_NEW} new vectors.")
    return float((found != stream.wanted).double().mean())


def outcome(drawn: tuple[Stream, ...], handed: list[Any]) -> Outcome:
    shares = [missed(stream, named) for stream, named in zip(drawn, handed, strict=True)]
    worst = WIDTHS[max(range(len(shares)), key=shares.__getitem__)]
    return Outcome(sum(shares) / len(shares), f"Most are missed among the vectors of {worst} numbers.")


def least_squares(h: Tensor, labels: Tensor, codes: Tensor, new: Tensor) -> Int[Tensor, " row"]:
    """The largest score by least squares on one-hot labels."""
    from mechlib.probes import fit_least_squares

    return fit_least_squares(h, labels, n_classes=len(codes))(new).argmax(-1)


def baseline(drawn: tuple[Stream, ...]) -> float:
    return outcome(drawn, [least_squares(each.h, each.labels, each.codes, each.new) for each in drawn]).value


def nearest_mean(h: Tensor, labels: Tensor, codes: Tensor, new: Tensor) -> Int[Tensor, " row"]:
    sums = torch.zeros(len(codes), h.shape[1]).index_add_(0, labels, h)
    count = labels.bincount(minlength=len(codes))
    means = torch.where(count[:, None] > 0, sums / count.clamp(min=1)[:, None], torch.inf)
    return torch.cdist(new, means.nan_to_num(posinf=1e4)).argmin(-1)


def nulls(generator: torch.Generator) -> dict[str, Any]:
    return {
        "least squares": least_squares,
        "the nearest mean": nearest_mean,
        "the commonest": lambda h, labels, codes, new: labels.mode().values.expand(len(new)),
        "at random": lambda h, labels, codes, new: torch.randint(len(codes), (len(new),), generator=generator),
        "the nearest vector": lambda h, labels, codes, new: labels[torch.cdist(new, h).argmin(-1)],
    }


QUESTION = OpenTask(
    id="ch03.read",
    points=3,
    title="Read as much as you can",
    hints=(
        "Some directions hold little but noise. Which probes of the chapter find out which, and which names a class "
        "that it has hardly seen?",
        "Use the codes: a map to them has few numbers to fit and serves all classes. Then let the rows decide how much "
        "each direction counts: by logistic regression, or by the covariance of what the codes do not explain.",
        "Regress h on the codes; the residuals have a covariance S. A class has the mean m that the regression gives, "
        "and the score new @ inv(S) @ m - m @ inv(S) @ m / 2 + log of its share.",
    ),
    handed_in="Hand in a function of h, labels, codes and new that returns the class of each new vector.",
    budget="It is called 3 times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=baseline,
    steps=((1, 0.85), (2, 0.6), (3, 0.3)),
    words="Of the new vectors {value:.0%} are named wrongly; least squares on one-hot labels misses {baseline:.0%}.",
    nulls=nulls,
)
