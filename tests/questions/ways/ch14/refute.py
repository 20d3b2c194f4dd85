"""Ways to test whether one of two solutions has the lower coefficient, from their measured volumes."""

import numpy as np
from scipy import stats


def slopes(tools, start):
    """Of A's corrected volume less B's against log ε, run by run, from a share of the levels on."""
    volume_a, volume_b, threshold, m_a, m_b, *_ = tools
    x = threshold.log().numpy()
    gap = (volume_a - volume_b).numpy() - (m_a - m_b) * np.log(-x)
    first = int(start * len(x))
    return np.polyfit(x[first:], gap[:, first:].T, 1)[0]


def interval(*tools):
    rate = slopes(tools, 1 / 2)
    return bool(rate.mean() + 1.96 * rate.std(ddof=1) / len(rate) ** 0.5 < 0)


def ends(*tools):
    """Two levels only: one in the middle and the last."""
    volume_a, volume_b, threshold, m_a, m_b, *_ = tools
    x = threshold.log()
    gap = volume_a - volume_b - (m_a - m_b) * (-x).log()
    rate = (gap[:, -1] - gap[:, len(x) // 2]) / (x[-1] - x[len(x) // 2])
    return stats.ttest_1samp(rate.numpy(), 0, alternative="less").pvalue < 0.025


WAYS = {
    "an interval of slopes": interval,
    "Student": lambda *tools: stats.ttest_1samp(slopes(tools, 0.4), 0, alternative="less").pvalue < 0.025,
    "Wilcoxon": lambda *tools: stats.wilcoxon(slopes(tools, 0.5), alternative="less").pvalue < 0.025,
    "two levels": ends,
}
