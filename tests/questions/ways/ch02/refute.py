"""Ways to test whether a guess is more readable than common tokens and the architecture make it."""

import numpy as np
from scipy import stats


def extra(guess, truth, current, other, untrained, untrained_other):
    return ((guess - other) - (untrained - untrained_other)).double().numpy()


def interval(*shares):
    lead = extra(*shares)
    return lead.mean() - 1.96 * lead.std(ddof=1) / np.sqrt(lead.size) > 0


def resampled(*shares):
    lead = extra(*shares)
    drawn = lead[np.random.default_rng(0).integers(lead.size, size=(1000, lead.size))].mean(1)
    return bool(np.quantile(drawn, 0.025) > 0)


def apart(guess, truth, current, other, untrained, untrained_other):
    """Two intervals that do not overlap: stricter than it need be."""

    def ends(values):
        margin = 1.96 * values.std() / len(values) ** 0.5
        return values.mean() - margin, values.mean() + margin

    return (ends(guess - other)[0] > ends(untrained - untrained_other)[1]).float()


WAYS = {
    "an interval of differences": interval,
    "Student": lambda *shares: int(stats.ttest_1samp(extra(*shares), 0, alternative="greater").pvalue < 0.025),
    "Wilcoxon": lambda *shares: stats.wilcoxon(extra(*shares), alternative="greater").pvalue < 0.025,
    "files drawn again": resampled,
    "two intervals apart": apart,
}
