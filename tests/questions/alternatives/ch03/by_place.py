"""Right answers to ch03.by_place, written differently."""

from itertools import groupby

import numpy as np
import torch


def by_runs(right, word):
    """Word after word."""
    groups = [[], [], [], []]
    for hits, numbers in zip(right.tolist(), word.tolist(), strict=True):
        at = 0
        for number, run in groupby(numbers):
            length = len(list(run))
            for place in range(length) if number >= 0 else ():
                which = 0 if length == 1 else 1 if place == 0 else 3 if place == length - 1 else 2
                groups[which].append(hits[at + place])
            at += length
    return [float(np.mean(group)) if group else float("nan") for group in groups]


def by_differences(right, word):
    edge = torch.full((len(word), 1), -5)
    inner = torch.cat([edge, word, edge], 1).diff(dim=1) != 0
    opens, closes, real = inner[:, :-1], inner[:, 1:], word != -1
    masks = [opens & closes, opens & ~closes, ~(opens | closes), ~opens & closes]
    return torch.stack([(right & m & real).sum() / (m & real).sum() for m in masks])


def by_loop(right, word):
    hits, total = np.zeros(4), np.zeros(4)
    rows, length = word.shape
    for r in range(rows):
        for p in range(length):
            w = int(word[r, p])
            if w < 0:
                continue
            opens = p == 0 or int(word[r, p - 1]) != w
            closes = p == length - 1 or int(word[r, p + 1]) != w
            which = {(True, True): 0, (True, False): 1, (False, False): 2, (False, True): 3}[opens, closes]
            total[which] += 1
            hits[which] += bool(right[r, p])
    return np.divide(hits, total, out=np.full(4, np.nan), where=total > 0)


ALTERNATIVES = {"runs": by_runs, "differences": by_differences, "loop": by_loop}
