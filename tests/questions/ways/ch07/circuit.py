"""Ways to find a circuit of few edges."""

import torch

from mechlib.causal.metrics import Named
from mechlib.questions.ch07.circuit import MOST, draw, graph


def lead_of(arguments):
    def of(logits):
        own = logits.gather(1, arguments)
        return own[:, 2] - own[:, [0, 1, 3]].max(1).values

    return Named("lead", of)


def ranked(seed, steps):
    """Gates of all edges by their slope, and what says how much some of them keep, on prompts of its own."""
    own, g = draw(torch.Generator().manual_seed(seed)), graph()
    instead, metric = g.outputs(own.others), lead_of(own.arguments)
    slopes = g.attribution(own.tokens, metric, instead=instead, steps=steps)

    def kept(gates):
        with torch.no_grad():
            return metric(g.logits(own.tokens, gates=gates, instead=instead)).mean().item()

    return slopes, kept


def by_slope():
    slopes, _ = ranked(77, 8)
    chosen = slopes.abs().flatten().argsort(descending=True)[:MOST]
    return graph().named(torch.zeros(slopes.numel()).index_fill(0, chosen, 1.0).view(slopes.shape))


def by_cutting():
    """From three times as many of the largest slope, those taken out whose cut costs least, a few at a time."""
    slopes, kept = ranked(78, 6)
    gates = torch.zeros(slopes.numel())
    gates[slopes.abs().flatten().argsort(descending=True)[: 2 * MOST]] = 1.0
    gates = gates.view(slopes.shape)
    while (inside := gates.nonzero().tolist())[MOST:]:
        without = {}
        for place in map(tuple, inside):
            gates[place] = 0
            without[place] = kept(gates)
            gates[place] = 1
        for place in sorted(without, key=without.get, reverse=True)[: max(1, (len(inside) - MOST) // 3)]:
            gates[place] = 0
    return graph().named(gates)


WAYS = {"slope": by_slope, "cutting": by_cutting}
