"""Small open tasks: find the middle of numbers that nobody has seen, and their signs."""

from dataclasses import replace

import torch

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case


def squared(numbers, guess):
    if not isinstance(guess, (int, float)):
        raise Unfit("the guess is a number.")
    remark = "It lies too low." if guess < numbers.mean() else "It lies too high."
    return Outcome(float((numbers.mean() - guess) ** 2), remark)


MIDDLE = OpenTask(
    id="ch02.middle",
    points=3,
    title="The middle",
    hints=("a nudge", "the method", "almost the answer"),
    handed_in="Hand in a number.",
    budget="No computing.",
    draw=lambda generator: 3 + torch.randn(400, generator=generator),
    outcome=squared,
    baseline=lambda numbers: float(numbers.mean() ** 2),
    steps=((1, 0.5), (3, 0.02)),
    words="It is off by {value:.3f}, squared; zero is by {baseline:.3f}.",
    nulls=lambda generator: {"zero": 0, "drawn": float(torch.rand((), generator=generator)) / 2},
)

AWAY = replace(MIDDLE, id="ch02.away", model="smollm2-135m")

SIGNS = OpenTask(
    id="ch02.signs",
    points=2,
    title="The signs",
    hints=("a nudge", "the method", "almost the answer"),
    handed_in="Hand in a function of x.",
    budget="It is called three times.",
    draw=lambda generator: [torch.randn(5, generator=generator) for _ in range(3)],
    cases=lambda drawn: tuple(Case("five numbers", {"x": x}) for x in drawn),
    outcome=lambda drawn, got: Outcome(
        sum(float((x.sign() - y).abs().mean()) for x, y in zip(drawn, got, strict=True)) / len(drawn)
    ),
    baseline=lambda drawn: 1.0,
    steps=((1, 0.7), (2, 0.0)),
    words="Off by {value:.3f}.",
    nulls=lambda generator: {"zeros": torch.zeros_like, "minus": lambda x: -x.sign()},
)
