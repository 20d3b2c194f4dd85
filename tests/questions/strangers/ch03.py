"""Answers to chapter 03 that its questions have never seen."""

import numpy as np
import torch


def mapped(h, weight, bias):
    return h @ weight + bias


NEAREST_WRONG = {
    "largest entry": lambda h, w, b, c: mapped(h, w, b).argmax(-1).clamp(max=len(c) - 1),
    "codes centred": lambda h, w, b, c: torch.cdist(mapped(h, w, b), c - c.mean(0)).argmin(-1),
    "unit map": lambda h, w, b, c: torch.cdist(torch.nn.functional.normalize(mapped(h, w, b), dim=-1), c).argmin(-1),
    "largest difference": lambda h, w, b, c: torch.cdist(mapped(h, w, b), c, p=torch.inf).argmin(-1),
    "absolute product": lambda h, w, b, c: (mapped(h, w, b) @ c.T).abs().argmax(-1),
    "bias twice": lambda h, w, b, c: torch.cdist(mapped(h, w, b) + b, c).argmin(-1),
    "second nearest": lambda h, w, b, c: torch.cdist(mapped(h, w, b), c).topk(2, largest=False).indices[..., 1],
    "one too many": lambda h, w, b, c: torch.cdist(mapped(h, w, b), c).argmin(-1) + 1,
}
NEAREST_RIGHT = {
    "square of the distance": lambda h, w, b, c: (
        (c.square().sum(-1) - 2 * mapped(h, w, b) @ c.T).argmin(-1).to(torch.int32)
    ),
    "a list": lambda h, w, b, c: (
        torch.cdist(mapped(h.double(), w.double(), b.double()), c.double()).argmin(-1).tolist()
    ),
}


def neighbours(word, fill=-9):
    edge = np.full((len(word), 1), fill)
    w = np.asarray(word)
    return w, np.hstack([edge, w[:, :-1]]), np.hstack([w[:, 1:], edge])


def shares(right, masks):
    r = np.asarray(right)
    return [r[m].mean() if m.any() else np.nan for m in masks]


def by_place(right, word):
    w, b, a = neighbours(word)
    o, c, k = w != b, w != a, w >= 0
    return shares(right, [o & c & k, o & ~c & k, ~o & ~c & k, ~o & c & k])


def edges(right, word, fill):
    w, b, a = neighbours(word, fill)
    o, c, k = w != b, w != a, w >= 0
    return shares(right, [o & c & k, o & ~c & k, ~o & ~c & k, ~o & c & k])


def joined(right, word):
    """Words that follow each other at once are taken for one."""
    w, b, a = neighbours(word)
    k = w >= 0
    o, c = k & (b < 0), k & (a < 0)
    return shares(right, [o & c, o & ~c, k & ~o & ~c, ~o & c])


def cut_off(right, word):
    """Words at the ends of a row are left out."""
    w, b, a = neighbours(word)
    o, c, k = w != b, w != a, (w >= 0) & (w != w[:, :1]) & (w != w[:, -1:])
    return shares(right, [o & c & k, o & ~c & k, ~o & ~c & k, ~o & c & k])


BY_PLACE_WRONG = {
    "neighbouring words joined": joined,
    "words at the ends left out": cut_off,
    "percent": lambda r, w: 100 * np.array(by_place(r, w)),
    "middle and last together": lambda r, w: np.array(by_place(r, w))[[0, 1, 2, 2]],
    "counts": lambda r, w: [float(np.asarray(r).sum())] * 4,
    "order of the text": lambda r, w: np.array(by_place(r, w))[[1, 2, 3, 0]],
    "whole as first": lambda r, w: np.array(by_place(r, w))[[1, 0, 2, 3]],
    "beyond the ends is word 0": lambda r, w: edges(r, w, 0),
}
BY_PLACE_RIGHT = {"arrays": by_place, "a tensor": lambda r, w: torch.tensor(by_place(r, w))}


def residual(h, c):
    c = c - c.mean(0)
    return h - c @ torch.linalg.lstsq(c, h - h.mean(0), driver="gelsd").solution


ERASE_WRONG = {
    "correlation of the first entry": lambda h, c: residual(h, c[:, :1]),
    "columns of h at length one": lambda h, c: residual(h, c) / residual(h, c).norm(dim=0),
    "twice": lambda h, c: 2 * residual(h, c) - h,
    "codes themselves": lambda h, c: h - torch.nn.functional.pad(c, (0, h.shape[1]))[:, : h.shape[1]],
    "mean of h for all": lambda h, c: h.mean(0).expand_as(h),
    "through the normal equations, raised": lambda h, c: (
        h
        - (c - c.mean(0))
        @ torch.linalg.solve(
            (c - c.mean(0)).T @ (c - c.mean(0)) + 0.3 * torch.eye(c.shape[1], dtype=c.dtype), (c - c.mean(0)).T @ h
        )
    ),
    "half of the rows fitted": lambda h, c: (
        h - (c - c.mean(0)) @ torch.linalg.lstsq(c[::2] - c[::2].mean(0), h[::2] - h[::2].mean(0)).solution
    ),
    "without the last entry": lambda h, c: residual(h, c[:, :-1]) if c.shape[1] > 1 else h,
}
ERASE_RIGHT = {
    "least squares": residual,
    "an array": lambda h, c: residual(h, c).numpy(),
    "projection": lambda h, c: h - (c - c.mean(0)) @ torch.linalg.pinv(c - c.mean(0), rtol=1e-9) @ h,
}

WRONG = {"ch03.nearest": NEAREST_WRONG, "ch03.by_place": BY_PLACE_WRONG, "ch03.erase": ERASE_WRONG}
RIGHT = {"ch03.nearest": NEAREST_RIGHT, "ch03.by_place": BY_PLACE_RIGHT, "ch03.erase": ERASE_RIGHT}
