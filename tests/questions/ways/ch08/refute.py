"""Ways to see whether a coefficient is lower from expectations at several temperatures."""

import numpy as np


def by_a_line(nbeta, repaired, single):
    """The difference against 1 / log nbeta, at the coldest, taken to 0."""
    x = 1 / np.log(nbeta.numpy()[2:])
    return bool(np.polyfit(x, (repaired - single).numpy()[2:], 1)[1] < -0.05 * float(single[-1]))


def by_two(nbeta, repaired, single):
    """log nbeta times the difference grows at the rate of the limit."""
    log, difference = nbeta.log(), repaired - single
    rate = (log[-1] * difference[-1] - log[-4] * difference[-4]) / (log[-1] - log[-4])
    return bool(rate < -0.04)


def each_by_itself(nbeta, repaired, single):
    """Both limits, each a line in 1 / log nbeta."""
    x = 1 / np.log(nbeta.numpy()[2:])
    limits = [np.polyfit(x, values.numpy()[2:], 1)[1] for values in (repaired, single)]
    return bool(limits[0] < 0.95 * limits[1])


WAYS = {"a line": by_a_line, "two temperatures": by_two, "each by itself": each_by_itself}
