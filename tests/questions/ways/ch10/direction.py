"""Ways to find the direction of the query's column in which the answer stands, each on prompts of its own."""

import torch

from mechlib.questions.ch10.direction import LAYER, SEEN, WIDTH, drawn, model, swapped

PAIRS = drawn(torch.Generator().manual_seed(12345), 800)


def covariance():
    """How each number of the column goes with the answer."""
    column = PAIRS.own - PAIRS.own.mean(0)
    return (column * swapped(PAIRS, 0.0)[:, None]).mean(0)


def gradient():
    """How the answer changes with each number of the column, on average."""
    moved = torch.zeros(len(PAIRS.x), WIDTH, requires_grad=True)

    def add(block, given, stream):
        stream = stream.clone()
        stream[0, :, 2 * SEEN] += moved
        return stream

    handle = model().blocks[LAYER - 1].register_forward_hook(add)
    answer = model()(PAIRS.x, PAIRS.y)[:, SEEN]
    handle.remove()
    return torch.autograd.grad(answer.sum(), moved)[0].mean(0)


def halves():
    """From the columns of small answers to those of large ones, as a list."""
    large = swapped(PAIRS, 0.0) > 0
    return (PAIRS.own[large].mean(0) - PAIRS.own[~large].mean(0)).tolist()


WAYS = {"covariance": covariance(), "mean gradient": gradient(), "difference of means": halves()}
