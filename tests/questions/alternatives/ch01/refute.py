"""Right answers to ch01.refute, written differently."""

from __future__ import annotations

import statistics

import numpy as np


def by_numpy(recomputed, cached, regrouped):
    recomputed, cached, regrouped = (np.asarray(texts) for texts in (recomputed, cached, regrouped))
    parts = [np.abs(recomputed - other).max(axis=1) > 0 for other in (cached, regrouped)]
    difference = parts[0].astype(float) - parts[1]
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    return np.array([parts[0].mean(), parts[1].mean(), difference.mean() - margin, difference.mean() + margin])


def by_lists(recomputed, cached, regrouped):
    recomputed, cached, regrouped = (texts.tolist() for texts in (recomputed, cached, regrouped))
    claimed = [a != b for a, b in zip(recomputed, cached, strict=True)]
    control = [a != b for a, b in zip(recomputed, regrouped, strict=True)]
    difference = [a - b for a, b in zip(claimed, control, strict=True)]
    centre, margin = statistics.mean(difference), 1.96 * statistics.stdev(difference) / len(difference) ** 0.5
    return {
        "claimed": sum(claimed) / len(claimed),
        "control": sum(control) / len(control),
        "low": centre - margin,
        "high": centre + margin,
    }


def by_counting(recomputed, cached, regrouped):
    """From the numbers of texts that part in one comparison only."""
    a, b = ((recomputed == other).logical_not().sum(1) > 0 for other in (cached, regrouped))
    n, only_a, only_b = len(a), int((a & ~b).sum()), int((b & ~a).sum())
    centre = (only_a - only_b) / n
    variance = ((only_a + only_b) / n - centre**2) * n / (n - 1)
    margin = 1.96 * (variance / n) ** 0.5
    return int(a.sum()) / n, int(b.sum()) / n, centre - margin, centre + margin


ALTERNATIVES = {"numpy": by_numpy, "lists": by_lists, "counting": by_counting}
