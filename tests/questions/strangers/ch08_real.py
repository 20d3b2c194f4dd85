"""Answers to the questions on the real model's repair that they have never seen."""

import math

import numpy as np
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


def in_layer_norm(head, instead, stream, gain, eps, right, wrong):
    lost = head - instead
    spread = (stream.var(-1, unbiased=False) + eps).sqrt()
    return ((lost - lost.mean(-1, keepdim=True)) * gain * (right - wrong)).sum(-1) / spread


def each_by_its_own(head, instead, stream, gain, eps, right, wrong):
    normed = head / sizes(head, eps)[:, None] - instead / sizes(instead, eps)[:, None]
    return (normed * gain * (right - wrong)).sum(-1)


def of_chances(head, instead, stream, gain, eps, right, wrong):
    logits = [(x * gain * (right - wrong)).sum(-1) / sizes(stream, eps) for x in (head, instead)]
    return logits[0].sigmoid() - logits[1].sigmoid()


def in_double_by_loops(head, instead, stream, gain, eps, right, wrong):
    found = []
    for h, i, x, r, w in zip(*(each.tolist() for each in (head, instead, stream, right, wrong)), strict=True):
        size = math.sqrt(sum(v * v for v in x) / len(x) + float(eps))
        columns = zip(h, i, gain.tolist(), r, w, strict=True)
        found.append(sum((a - b) * g / size * (c - d) for a, b, g, c, d in columns))
    return found


def by_numpy(*given):
    h, i, x, g, e, r, w = (np.asarray(each, dtype=np.float64) for each in given)
    return ((h - i) * g / np.sqrt((x**2).mean(1, keepdims=True) + e) * (r - w)).sum(1)


def by_einsum(head, instead, stream, gain, eps, right, wrong):
    sizes_squared = torch.einsum("nd,nd->n", stream, stream) / stream.shape[-1] + eps
    return torch.einsum("nd,d,nd,n->n", head - instead, gain, right - wrong, sizes_squared.rsqrt())


def four_logits(head, instead, stream, gain, eps, right, wrong):
    def logit(x, read):
        return (x * gain * read).sum(1) / sizes(stream, eps)

    return (logit(head, right) - logit(head, wrong)) - (logit(instead, right) - logit(instead, wrong))


def by_gradient(head, instead, stream, gain, eps, right, wrong):
    with torch.enable_grad():
        moved = stream.detach().clone().requires_grad_()
        (moved * gain * (right - wrong) / sizes(stream.detach(), eps)[:, None]).sum().backward()
    return (moved.grad * (head - instead)).sum(-1)


def by_batches(head, instead, stream, gain, eps, right, wrong):
    lost = (head - instead) * gain / sizes(stream, eps)[:, None]
    return torch.bmm(lost[:, None], (right - wrong)[:, :, None])[:, 0, 0]


def of_the_frozen_logits(head, instead, stream, gain, eps, right, wrong):
    def ahead(x):
        return (x / sizes(stream, eps)[:, None] * gain * (right - wrong)).sum(-1)

    return ahead(stream) - ahead(stream - head + instead)


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
    "LayerNorm": in_layer_norm,
    "each by its own size": each_by_its_own,
    "chances": of_chances,
    "clipped": lambda *given: effect(*given).clamp(min=0),
    "mean over entries": lambda h, *given: effect(h, *given) / h.shape[-1],
    "axis kept": lambda *given: effect(*given)[:, None],
    "squeezed": lambda *given: effect(*given).squeeze(),
    "summed in half precision": lambda h, i, x, g, e, r, w: (
        (((h - i) * g * (r - w)) / sizes(x, e)[:, None]).half().sum(-1)
    ),
    "the first row reads": lambda h, i, x, g, e, r, w: effect(h, i, x, g, e, r[:1], w[:1]),
    "mean of what stands instead": lambda h, i, x, g, e, r, w: effect(h, i.mean(0), x, g, e, r, w),
    "mean of the head": lambda h, i, x, g, e, r, w: effect(h, h.mean(0), x, g, e, r, w),
    "one plus the gain": lambda h, i, x, g, e, r, w: effect(h, i, x, 1 + g, e, r, w),
    "gain in the size": lambda h, i, x, g, e, r, w: effect(h, i, x, g, e, r, w) * sizes(x, e) / sizes(x * g, e),
    "size over rows": lambda h, i, x, g, e, r, w: ((h - i) * g * (r - w) / (x.square().mean(0) + e).sqrt()).sum(-1),
    "size of what is lost": lambda h, i, x, g, e, r, w: effect(h, i, h - i, g, e, r, w),
    "a usual eps": lambda h, i, x, g, e, r, w: effect(h, i, x, g, 1e-5, r, w),
    "square of eps": lambda h, i, x, g, e, r, w: effect(h, i, x, g, e**2, r, w),
    "nothing": lambda h, *given: torch.zeros(len(h)),
    "the example": lambda h, *given: torch.full((len(h),), 2 / math.sqrt(8)),
    "largest entry": lambda h, i, x, g, e, r, w: ((h - i) * g * (r - w)).sum(-1) / (x.abs().amax(-1) ** 2 + e).sqrt(),
}
DIRECT_RIGHT = {
    "plain": effect,
    "array": lambda *given: effect(*given).numpy(),
    "matrix": lambda h, i, x, g, e, r, w: torch.diagonal(((h - i) * g / sizes(x, e)[:, None]) @ (r - w).T).clone(),
    "loops": in_double_by_loops,
    "numpy": by_numpy,
    "einsum": by_einsum,
    "four logits": four_logits,
    "gradient": by_gradient,
    "batches": by_batches,
    "of the frozen logits": of_the_frozen_logits,
    "returned in half precision": lambda *given: effect(*given).half(),
}
SIX_WRONG = {
    "layer 20": [(20, head) for head in range(6)],
    "the last heads of layer 23": [(23, head) for head in range(3, 9)],
    "layer 0": [(0, head) for head in range(6)],
    "movers and suppressors": [(23, 3), (29, 1), (23, 0), (24, 4), (29, 0), (23, 2)],
    "the strongest two and an induction head": [(18, 6), (23, 3), (29, 1), (23, 7), (23, 8), (23, 2)],
    "five": [(23, 3), (20, 0), (19, 2), (29, 1), (22, 5)],
    "one twice": [(23, 3), (20, 0), (19, 2), (29, 1), (22, 5), (22, 5)],
    "counted from the end": [(-7, 3), (-10, 0), (-11, 2), (-1, 1), (-8, 5), (-12, 2)],
    "names": ["23.3", "20.0", "19.2", "29.1", "22.5", "18.2"],
    "text": "[(23, 3), (20, 0), (19, 2), (29, 1), (22, 5), (18, 2)]",
}

WRONG = {"ch08.direct": DIRECT_WRONG, "ch08.cut_six": SIX_WRONG}
RIGHT = {
    "ch08.direct": DIRECT_RIGHT,
    "ch08.cut_six": {
        "pairs as lists": [[23, 3], [20, 0], [29, 1], [19, 2], [21, 8], [21, 7]],
        "an array": np.array([(18, 2), (22, 5), (29, 1), (19, 2), (20, 0), (23, 3)]),
        "a set": {(18, 2), (22, 5), (29, 1), (19, 2), (20, 0), (23, 3)},
        "numbers of numpy": [tuple(pair) for pair in np.array([(23, 3), (20, 0), (19, 2), (29, 1), (22, 5), (18, 2)])],
    },
}
