"""A small open task: find the middle of numbers that nobody has seen. It has a setting whose model is never there."""

import torch

from mechlib.checks.open_task import OpenTask, Outcome, Setting, Unfit
from mechlib.checks.question import Case


def draw(generator):
    return 3 + torch.randn(400, generator=generator)


def squared(numbers, guess):
    if not isinstance(guess, (int, float)):
        raise Unfit("the guess is a number.")
    remark = "It lies too low." if guess < numbers.mean() else "It lies too high."
    return Outcome(float((numbers.mean() - guess) ** 2), remark)


def setting(steps, model=""):
    return Setting(
        draw=draw,
        outcome=squared,
        baseline=lambda numbers: float(numbers.mean() ** 2),
        steps=steps,
        words="It is off by {value:.3f}, squared; zero is by {baseline:.3f}.",
        nulls=lambda generator: {"zero": 0, "drawn": float(torch.rand((), generator=generator)) / 2},
        model=model,
    )


MIDDLE = OpenTask(
    id="ch02.middle",
    points=3,
    title="The middle",
    hints=("a nudge", "the method", "almost the answer"),
    handed_in='Hand in {"here": NUMBER}.',
    budget="One number.",
    settings={"away": setting(((3, 0.02),), model="smollm2-135m"), "here": setting(((1, 0.5), (2, 0.02)))},
)

SIGNS = OpenTask(
    id="ch02.signs",
    points=2,
    title="The signs",
    hints=("a nudge", "the method", "almost the answer"),
    handed_in="Hand in a function of x.",
    budget="It is called three times.",
    settings={
        "numbers": Setting(
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
    },
)
