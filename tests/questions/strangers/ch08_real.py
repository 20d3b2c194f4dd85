"""Answers to the questions on the real model's repair that they have never seen."""

import torch


def sizes(stream, eps):
    return (stream.square().mean(-1) + eps).sqrt()


def effect(head, instead, stream, gain, eps, right, wrong):
    return ((head - instead) * gain * (right - wrong)).sum(-1) / sizes(stream, eps)


def standard_deviation(head, instead, stream, gain, eps, right, wrong):
    spread = (stream.var(-1, unbiased=False) + stream.mean(-1) ** 2 / 2 + eps).sqrt()
    return ((head - instead) * gain * (right - wrong)).sum(-1) / spread


def cosine(head, instead, stream, gain, eps, right, wrong):
    read = (right - wrong) / (right - wrong).norm(dim=-1, keepdim=True)
    return ((head - instead) * gain * read).sum(-1) / sizes(stream, eps)


DIRECT_WRONG = {
    "absolute": lambda *given: effect(*given).abs(),
    "gain twice": lambda h, i, x, g, e, r, w: effect(h, i, x, g * g, e, r, w),
    "unit direction": cosine,
    "other spread": standard_deviation,
    "size of the head": lambda h, i, x, g, e, r, w: effect(h, i, h, g, e, r, w),
    "size of what stands instead too": lambda h, i, x, g, e, r, w: effect(h, i, x + i, g, e, r, w),
    "eps twice": lambda h, i, x, g, e, r, w: effect(h, i, x, g, 2 * e, r, w),
    "the wrong token alone": lambda h, i, x, g, e, r, w: effect(h, i, x, g, e, 0 * r, w),
    "sum of both": lambda h, i, x, g, e, r, w: effect(h, -i, x, g, e, r, w),
    "gain after reading": lambda h, i, x, g, e, r, w: effect(h, i, x, torch.ones_like(g), e, r, w) * g.mean(),
    "largest entry": lambda h, i, x, g, e, r, w: ((h - i) * g * (r - w)).sum(-1) / (x.abs().amax(-1) ** 2 + e).sqrt(),
}
DIRECT_RIGHT = {
    "plain": effect,
    "array": lambda *given: effect(*given).numpy(),
    "matrix": lambda h, i, x, g, e, r, w: torch.diagonal(((h - i) * g / sizes(x, e)[:, None]) @ (r - w).T).clone(),
}

WRONG = {"ch08.direct": DIRECT_WRONG}
RIGHT = {"ch08.direct": DIRECT_RIGHT}
