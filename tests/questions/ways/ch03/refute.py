"""Ways to test whether a position names its token more often than what does not hold it."""

import numpy as np
from scipy import stats


def leads(own, shuffled, before, guess, untrained, fitted):
    return [(own - rival).double().numpy() for rival in (before, guess)]


def interval(*shares):
    return all(lead.mean() > 1.96 * lead.std(ddof=1) / np.sqrt(lead.size) for lead in leads(*shares))


def resampled(*shares):
    """The smaller of the two mean leads, files drawn again."""
    both = np.stack(leads(*shares))
    drawn = both[:, np.random.default_rng(0).integers(both.shape[1], size=(1000, both.shape[1]))].mean(-1).min(0)
    return bool(np.quantile(drawn, 0.025) > 0)


WAYS = {
    "two intervals": interval,
    "Student": lambda *shares: all(
        stats.ttest_1samp(lead, 0, alternative="greater").pvalue < 0.025 for lead in leads(*shares)
    ),
    "Wilcoxon": lambda *shares: int(
        max(stats.wilcoxon(lead, alternative="greater").pvalue for lead in leads(*shares)) < 0.025
    ),
    "files drawn again": resampled,
}
