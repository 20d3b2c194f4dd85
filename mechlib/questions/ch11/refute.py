"""Open task ch11.refute: a test that a report on equal errors should have made, of controls from a toolbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.questions.drawing import integer
from mechlib.questions.verdicts import sure, verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind", "apart"]

Answers = Float[Tensor, "prompt point"]

TOOLS = ("model", "networks", "kernel", "straight", "neighbours", "truth", "untrained")
"""The arguments, in order: what the report looks at, and what may be set beside it."""

STARTS = 4


@dataclass(frozen=True)
class Kind:
    """Systems of one kind: what the models answer."""

    about: str
    """To be read after "models ..."."""
    like: str
    """The tool whose answers a model has; ``network`` is one more of the networks, from a start of its own."""
    holds: bool
    """Whether the claim holds."""
    by_start: float = 0.25
    """What a start adds to a network's answers."""
    kernel: float = 0.45
    """How far kernel regression is from what the networks have in common."""
    noise: float = 0.1
    """Of the model's answers."""
    length: float = 1.0
    mean: float = 0.0
    """Of the values."""
    between: bool = False
    """Whether the model is half-way to what the networks say: as near to them, and no nearer."""

    def drawn(self, generator: torch.Generator) -> dict[str, Tensor]:
        """The answers of one system, on 100 to 200 prompts and after 6 to 9 numbers of examples."""
        prompts, points = integer(generator, 100, 200), integer(generator, 6, 9)
        own = 0.9 if self.between else 0.5

        def normal(size: float, *more: int) -> Tensor:
            """Normal numbers of this standard deviation; a share of the variance is a prompt's own."""
            of_prompt = torch.randn(*more, prompts, 1, generator=generator, dtype=torch.float64)
            single = torch.randn(*more, prompts, points, generator=generator, dtype=torch.float64)
            return size * (own**0.5 * of_prompt + (1 - own) ** 0.5 * single)

        truth = self.mean + normal(1.0)
        common = truth + normal(0.5)
        tools = {
            "networks": common + normal(self.by_start, STARTS),
            "kernel": common + normal(self.kernel),
            "straight": 0.4 * truth + normal(0.5),
            "neighbours": 0.7 * truth + normal(0.6),
            "truth": truth,
            "untrained": normal(0.2),
        }
        network = common + normal(self.by_start)
        said = tools.get(self.like, network)
        if self.between:
            said = (said + tools["networks"].mean(0)) / 2
        model = self.length * said + normal(self.noise)
        tools = {"model": model, **tools}
        return {name: tools[name].float() for name in TOOLS}


KINDS = (
    Kind("that do kernel regression", "kernel", holds=False),
    Kind("that do kernel regression, and shrink it", "kernel", holds=False, length=0.85, kernel=0.6),
    Kind("that have errors of their own", "truth", holds=False, noise=0.5, kernel=0.8),
    Kind("that look up neighbours", "neighbours", holds=False, noise=0.2),
    Kind("that are untrained", "untrained", holds=False, mean=0.3),
    Kind("half-way from kernel regression to networks", "kernel", holds=False, between=True),
    Kind("half-way from kernel regression to networks, with noise", "kernel", holds=False, between=True, noise=0.3),
    Kind("half-way, where starts make much difference", "kernel", holds=False, between=True, by_start=0.5, noise=0.2),
    Kind("half-way from the truth to networks", "truth", holds=False, between=True, kernel=0.9, noise=0.2),
    Kind("that train a network from another start", "network", holds=True),
    Kind("that train a network, and shrink it", "network", holds=True, length=0.85),
    Kind("that train a network, where starts make much difference", "network", holds=True, by_start=0.5, noise=0.05),
    Kind("that train a network, on values that are not centred", "network", holds=True, mean=-1.5),
    Kind("that train a network, with a lot of noise", "network", holds=True, noise=0.3, kernel=0.6),
    Kind("that train a network, to the letter", "network", holds=True, by_start=0.45, noise=0.0, kernel=0.5),
    Kind("that train a network, where starts hardly matter", "network", holds=True, by_start=0.1, kernel=0.35),
    Kind("that train a network, on values above zero", "network", holds=True, mean=1.0, noise=0.2),
    Kind("that train a network, far from kernel regression", "network", holds=True, kernel=0.8, noise=0.2),
)
"""The first nine without what the claim says, the others with it."""


def apart(a: Answers, b: Answers) -> Float[Tensor, " prompt"]:
    """The mean squared difference of every prompt's answers."""
    return (a - b).square().mean(-1)


def error_of_both(model: Answers, networks: Tensor, *others: Tensor) -> bool:
    truth = others[3]
    ratio = apart(model, truth).mean() / apart(networks[0], truth).mean()
    return bool(0.5 < ratio < 2)


def beside_neighbours(model: Answers, networks: Tensor, *others: Tensor) -> bool:
    return sure(apart(model, others[2]) - apart(model, networks[0]))


def beside_untrained(model: Answers, networks: Tensor, *others: Tensor) -> bool:
    return sure(apart(model, others[-1]) - apart(model, networks[0]))


NULLS: dict[str, Callable[..., bool]] = {
    "the report": error_of_both,
    "neighbours alone": beside_neighbours,
    "the untrained model alone": beside_untrained,
}

QUESTION = verdict_task(
    "ch11.refute",
    kinds=KINDS,
    systems="models",
    tools=TOOLS,
    each=20,
    nulls=NULLS,
    title="Refute: an equal error shows the same algorithm",
    hints=(
        "Two pupils with the same mark need not have copied from each other. What would show it?",
        "Compare answers with answers, not with the truth: the model with the networks, and with each of the rivals. "
        "A single network has a start of its own in its answers, which the model cannot share.",
        "reference = networks.mean(0); for every rival, kernel, straight, neighbours, truth and untrained, the lead of "
        "a prompt is ((model - rival) ** 2).mean(-1) less ((model - reference) ** 2).mean(-1). The claim is supported "
        "where the 95 % interval of the mean lead over every rival lies above 0.",
    ),
    steps=((1, 0.42), (2, 0.24), (3, 0.05)),
)
