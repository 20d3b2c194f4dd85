"""Open task ch12.rise: by how much a distance rose from its lowest, where every look jitters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.questions.drawing import integer

__all__ = ["QUESTION", "Run"]

N_RUNS = 60
WINDOW = 5
"""Looks of the means of the model solution."""


@dataclass(frozen=True)
class Run:
    """Distances as they are measured, and by how much the path itself rose."""

    distance: Float[Tensor, "look prompt"]
    rise: float


def drawn(generator: torch.Generator, number: int) -> Run:
    """A run of 30 to 60 looks on 8 to 16 prompts; in one of three the distance falls and stays."""
    looks, prompts = integer(generator, 30, 60), integer(generator, 8, 16)
    fall, turn, jitter, rise, bend = torch.rand(5, generator=generator, dtype=torch.float64)
    turn, rise = 0.15 + 0.2 * turn + 0.45 * (number % 2), (0.2 + rise) * (number % 3 > 0)
    s = torch.linspace(0, 1, looks, dtype=torch.float64)
    down, up = (1 - s / turn).clamp(min=0), ((s - turn) / (1 - turn)).clamp(min=0)
    path = 0.6 + (1 + fall) * down**1.3 + rise * up ** (0.8 + bend)
    lucky = (0.12 + 0.14 * jitter) * torch.randn(looks, generator=generator, dtype=torch.float64)
    hard = torch.randn(prompts, generator=generator, dtype=torch.float64).mul(0.5).exp()
    chance = torch.randn(looks, prompts, generator=generator, dtype=torch.float64).mul(0.25).exp()
    return Run((path + lucky).clamp(min=0.05)[:, None] * hard / hard.mean() * chance, float(path[-1] - path.min()))


def draw(generator: torch.Generator) -> tuple[Run, ...]:
    return tuple(drawn(generator, number) for number in range(N_RUNS))


def cases(runs: tuple[Run, ...]) -> tuple[Case, ...]:
    return tuple(Case(f"a run of {len(run.distance)} looks", {"distance": run.distance}) for run in runs)


def outcome(runs: tuple[Run, ...], handed: list[Any]) -> Outcome:
    """The mean size of the error; of one run no more than 1."""
    errors, signed = [], {True: 0.0, False: 0.0}
    for run, found in zip(runs, handed, strict=True):
        value = found.item() if isinstance(found, Tensor) and found.numel() == 1 else found
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Unfit("the function returns one number, the rise.")
        error = min(max(value - run.rise, -1.0), 1.0) if value == value else 1.0
        errors.append(abs(error))
        signed[run.rise > 0] += error
    worst = max(signed, key=lambda rises: abs(signed[rises]))
    said = "too large" if signed[worst] > 0 else "too small"
    kind = "that rise again" if worst else "that do not rise again"
    return Outcome(sum(errors) / N_RUNS, f"On the whole the rise of runs {kind} comes out {said}.")


def report(distance: Float[Tensor, "look prompt"]) -> Tensor:
    """The last look less the lowest."""
    mean = distance.mean(1)
    return mean[-1] - mean.min()


def baseline(runs: tuple[Run, ...]) -> float:
    return outcome(runs, [report(run.distance) for run in runs]).value


def halves(distance: Float[Tensor, "look prompt"]) -> Tensor:
    """Half of the prompts choose the look, the others judge it: the jitter of a look is in both."""
    then = distance[:-1, ::2].mean(1).argmin()
    return (distance[-1, 1::2] - distance[then, 1::2]).mean()


def nulls(generator: torch.Generator) -> dict[str, Any]:
    return {
        "the report": report,
        "other prompts judge": halves,
        "medians of prompts": lambda distance: report(distance.median(1, keepdim=True).values),
        "no rise": lambda distance: 0.0,
        "a usual rise": lambda distance: 0.4,
        "the end less the middle": lambda distance: (distance[-1] - distance[len(distance) // 2]).mean(),
        "at random": lambda distance: float(torch.rand((), generator=generator)),
    }


QUESTION = OpenTask(
    id="ch12.rise",
    points=3,
    title="Choose the checkpoint honestly",
    hints=(
        "The lowest of many jittering numbers is low by luck, and the last one is a single look. How could neighbours "
        "help at both places?",
        "Smooth the means of the looks before you look for the lowest: a mean of some neighbours, or a smooth curve "
        "through all of them. Read both places off the smoothed curve. Where the rise is within chance, say 0.",
        f"mean = distance.mean(1); smooth = mean.unfold(0, {WINDOW}, 1).mean(1); smooth[-1] - smooth.min() is off "
        "by some two fifths of the report; a curve through all looks, a polynomial of order 3, is better.",
    ),
    handed_in="Hand in a function of distance that returns the rise.",
    budget=f"It is called {N_RUNS} times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=baseline,
    steps=((1, 0.52), (2, 0.48), (3, 0.45)),
    words="Your rise is off by {value:.3f} on average, that of the lowest look by {baseline:.3f}.",
    nulls=nulls,
)
