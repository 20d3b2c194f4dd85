"""Ways to tell the damage of stale columns from that of a missing first one."""

import numpy as np
import torch
from scipy import stats


def more(first_afresh, rest_afresh):
    return (first_afresh - rest_afresh).double().numpy()


def two_repairs(cut, untouched, middle, first_afresh, rest_afresh, all_afresh):
    """What each repair takes away from the damage."""
    gained = (cut - rest_afresh) - (cut - first_afresh)
    return bool(gained.mean() > 1.96 * gained.std() / len(gained) ** 0.5)


def over_half(cut, untouched, middle, first_afresh, rest_afresh, all_afresh):
    """Of the damage beyond what handling and rounding do, more than half comes from the stale columns."""
    above = (2 * (first_afresh - all_afresh) - (cut - all_afresh)).double().numpy()
    return above.mean() - 1.96 * above.std(ddof=1) / np.sqrt(above.size) > 0


def from_the_middle(cut, untouched, middle, first_afresh, rest_afresh, all_afresh):
    """A column halfway makes half of the others stale and leaves the first in its place."""
    above = 2 * (middle - all_afresh) - (rest_afresh - all_afresh)
    return (above.mean() - 1.96 * above.std() / len(above) ** 0.5 > 0).float()


def by_rank(cut, untouched, middle, first_afresh, rest_afresh, all_afresh):
    values = torch.stack([first_afresh, rest_afresh]).double().numpy()
    return int(stats.wilcoxon(*values, alternative="greater").pvalue < 0.025)


WAYS = {
    "an interval of differences": two_repairs,
    "more than half": over_half,
    "a column from the middle": from_the_middle,
    "Student": lambda c, u, m, first, rest, a: (
        stats.ttest_1samp(more(first, rest), 0, alternative="greater").pvalue < 0.025
    ),
    "Wilcoxon": by_rank,
}
