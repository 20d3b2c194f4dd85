"""Right answers to ch07.faithfulness, written differently."""

import numpy as np
import torch


def by_numpy(kept, whole, nothing):
    k, w, n = (np.asarray(x, dtype=float) for x in (kept, whole, nothing))
    return (k.mean(1) - n.mean()) / (w.mean() - n.mean())


def by_loop(kept, whole, nothing):
    gap = sum(w - n for w, n in zip(whole.tolist(), nothing.tolist(), strict=True))
    return [sum(k - n for k, n in zip(row, nothing.tolist(), strict=True)) / gap for row in kept.tolist()]


def by_interpolation(kept, whole, nothing):
    """What is lost, from 1."""
    return 1 - (whole.double() - kept.double()).sum(1) / (whole.double() - nothing.double()).sum()


def by_matmul(kept, whole, nothing):
    ones = torch.ones(len(whole), dtype=torch.float64)
    return ((kept.double() - nothing) @ ones) / ((whole.double() - nothing) @ ones)


ALTERNATIVES = {"numpy": by_numpy, "loop": by_loop, "interpolation": by_interpolation, "matmul": by_matmul}
