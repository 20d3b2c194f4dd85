"""Ways to say by how much a jittering distance rose from its lowest."""

import numpy as np


def means_of_five(distance):
    smooth = distance.mean(1).unfold(0, 5, 1).mean(1)
    return smooth[-1] - smooth.min()


def polynomial(distance):
    mean = distance.mean(1).numpy()
    s = np.linspace(0, 1, len(mean))
    curve = np.polyval(np.polyfit(s, mean, 3), s)
    return float(curve[-1] - curve.min())


def kernel(distance):
    mean = distance.mean(1).numpy()
    s = np.linspace(0, 1, len(mean))
    weight = np.exp(-(((s[:, None] - s) / 0.06) ** 2) / 2)
    curve = weight @ mean / weight.sum(1)
    return curve[-1] - curve.min()


def fall_and_rise(distance):
    """The best fall and rise with a turn in between, by least squares."""
    mean = distance.mean(1).numpy()
    s = np.linspace(0, 1, len(mean))
    best = (np.inf, 0.0)
    for turn in np.linspace(0.15, 0.8, 27):
        for power in (0.8, 1.2, 1.6):
            down, up = np.clip(1 - s / turn, 0, None) ** 2, np.clip((s - turn) / (1 - turn), 0, None) ** power
            rows = np.stack([np.ones_like(s), down, up], 1)
            found = np.linalg.lstsq(rows, mean, rcond=None)[0]
            best = min(best, (((rows @ found - mean) ** 2).sum(), max(found[2], 0.0)))
    return float(best[1])


WAYS = {
    "means of five looks": means_of_five,
    "a polynomial": polynomial,
    "a kernel": kernel,
    "a fall and a rise": fall_and_rise,
}
