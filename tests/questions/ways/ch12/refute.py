"""Ways to test whether a run came near ridge regression and left it for its own pool."""

import numpy as np
import torch
from scipy import stats


def windows(to_ridge, looks):
    """The neighbouring looks with the lowest mean before the last ones, and the last ones."""
    smooth = to_ridge.mean(1).unfold(0, looks, 1).mean(1)
    first = int(smooth[:-looks].argmin())
    return slice(first, first + looks), slice(-looks, None)


def gains(tools, looks, axis):
    """The four differences that have to be above zero, over prompts (axis 0) or looks (axis 1)."""
    to_ridge, to_own, to_blunt, to_other, _ = tools
    then, end = windows(to_ridge, looks)
    ridge, own, blunt, other = (d.mean(axis) for d in (to_ridge[then], to_own[then], to_blunt[then], to_other[then]))
    ridge_end, own_end, other_end = (d[end].mean(axis) for d in (to_ridge, to_own, to_other))
    return torch.stack([blunt - ridge, ridge_end - ridge, own - own_end, own - own_end - other + other_end])


def by_prompts(*tools):
    found = gains(tools, 5, 0)
    return bool((found.mean(1) > 1.96 * found.std(1) / found.shape[1] ** 0.5).all())


def by_looks(*tools):
    return bool(stats.ttest_1samp(gains(tools, 7, 1).numpy(), 0, axis=1, alternative="greater").pvalue.max() < 0.025)


def resampled(*tools):
    found = gains(tools, 6, 0).numpy()
    rows = np.random.default_rng(0).integers(found.shape[1], size=(400, found.shape[1]))
    return int((np.quantile(found[:, rows].mean(-1), 0.025, axis=1) > 0).all())


WAYS = {"prompts": by_prompts, "looks": by_looks, "prompts drawn again": resampled}
