"""Open task ch07.circuit: few edges that keep as much as they can of what the model does, on new prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.questions.drawing import integer

if TYPE_CHECKING:
    from mechlib.bridge import TransformerBridge
    from mechlib.causal import Graph

__all__ = ["MOST", "QUESTION", "Hidden", "outcome"]

MODEL = "docstring-3l-s1"
MOST = 40
"""Edges that may be handed in."""
PROMPTS = 32
TWO, THREE = (4, 3, 3, 1, 1), (1, 1, 1, 1, 1)
"""Lengths with which prompts of two lines and of three have as many tokens."""


@dataclass(frozen=True)
class Hidden:
    """Prompts of two lines, their arguments, of which the third comes next, and others of three lines."""

    tokens: Int[Tensor, "prompt pos"]
    arguments: Int[Tensor, "prompt argument"]
    others: Int[Tensor, "prompt pos"]


@cache
def graph() -> Graph:
    from mechlib import zoo
    from mechlib.causal import attention_graph

    return attention_graph(cast("TransformerBridge", zoo.load(MODEL, device="cpu")))


def draw(generator: torch.Generator) -> Hidden:
    from mechlib.zoo.kinds.docstring import prompts

    drawn = prompts(PROMPTS, generator=generator, lengths=TWO)
    others = prompts(PROMPTS, generator=generator, lengths=THREE, documented=3)
    return Hidden(drawn.tokens, drawn.arguments, others.tokens)


def lead(logits: Float[Tensor, "prompt token"], arguments: Int[Tensor, "prompt argument"]) -> float:
    """By how much the logit of the third argument exceeds the largest of the others, in the mean."""
    own = logits.gather(1, arguments)
    return float((own[:, 2] - own[:, [0, 1, 3]].max(1).values).mean())


def _checked(handed: Any) -> list[tuple[str, str]]:
    shape = f"hand in a list of at most {MOST} edges, each a pair such as ('0.1', '2.3 k') or ('embed', '1.0 v')"
    if not isinstance(handed, (list, tuple)) or len(handed) > MOST:
        raise Unfit(f"{shape}; this is {f'a list of {len(handed)}' if isinstance(handed, (list, tuple)) else 'none'}.")
    for edge in handed:
        if not isinstance(edge, (list, tuple)) or len(edge) != 2 or not all(isinstance(name, str) for name in edge):
            raise Unfit(f"{shape}; {edge!r} is none.")
    return [(edge[0], edge[1]) for edge in handed]


@torch.no_grad()
def outcome(hidden: Hidden, handed: Any) -> Outcome:
    """The share of the lead that is lost when every other edge carries what it has on the other prompts."""
    edges, g = _checked(handed), graph()
    instead = g.outputs(hidden.others)
    try:
        gates = g.gates(edges)
    except ValueError as error:
        raise Unfit(f"{error}.") from None
    leads = [
        lead(g.logits(hidden.tokens, gates=each, instead=instead), hidden.arguments)
        for each in (torch.ones_like(gates), torch.zeros_like(gates), gates)
    ]
    whole, nothing, kept = leads
    return Outcome(max(0.0, (whole - kept) / (whole - nothing)))


def nulls(generator: torch.Generator) -> dict[str, Any]:
    """Hand-ins that took no thought."""
    everything = graph().edges
    picked = [everything[integer(generator, 0, len(everything) - 1)] for _ in range(MOST)]
    straight = [edge for edge in everything if edge[1] == "logits"]
    return {
        "nothing": [],
        "at random": list(dict.fromkeys(picked)),
        "straight to the logits": straight[:MOST],
        "the first edges": everything[:MOST],
        "into the last layer": [edge for edge in everything if edge[0] == "embed" and edge[1][0] == "2"][:MOST],
    }


QUESTION = OpenTask(
    id="ch07.circuit",
    points=3,
    title="A circuit of few edges",
    hints=(
        "Most edges hardly matter, and some matter only together. What tells which, without running the model once for "
        "every edge?",
        "graph.attribution gives the slope along every gate; the largest of either sign are a start. Edges that lead "
        "nowhere, from a head that reads nothing or to one that nobody reads, are wasted: throw them out and put "
        "others in.",
        "Go on greedily: of the edges that are in, take out the one without which least is lost on your prompts, put "
        "in the one that gains most, measured and not estimated, until nothing changes.",
    ),
    handed_in=f"Hand in a list of at most {MOST} edges, each a pair of a sender and a receiver.",
    budget="Finding it should take a minute or two; judging takes three runs.",
    draw=draw,
    outcome=outcome,
    baseline=lambda hidden: 1.0,
    steps=((1, 0.75), (2, 0.55), (3, 0.4)),
    words="Your circuit loses {value:.0%} of the lead on hidden prompts; no edge at all loses {baseline:.0%}.",
    nulls=nulls,
)
