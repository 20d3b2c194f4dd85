"""Ways to test whether a probe reads more of the weights than can be read where nothing has learnt them."""

import numpy as np
import torch
from scipy import stats


def leads(w, x, y, probed, untrained, wide, other, below, *, fitted=False):
    """By how much each control misses the weights by more than the probe, [control, prompt]."""
    n, d = x.shape[1:]
    summed = torch.einsum("pnd,pn->pd", x, y)
    design = torch.cat([summed, torch.ones(len(w), 1)], 1)
    summed = design @ torch.linalg.lstsq(design, w).solution if fitted else summed / (n + d + 1)
    missed = [(read - w).square().sum(1) for read in (probed, untrained, wide, summed)]
    missed.append((other - w.roll(-1, 0)).square().sum(1))
    return (torch.stack(missed[1:]) - missed[0]).double().numpy()


def intervals(*tools):
    lead = leads(*tools)
    return bool((lead.mean(1) - 1.96 * lead.std(1, ddof=1) / lead.shape[1] ** 0.5 > 0).all())


def student(*tools):
    return int(stats.ttest_1samp(leads(*tools), 0, axis=1, alternative="greater").pvalue.max() < 0.025)


def with_a_fitted_sum(*tools):
    return int(stats.ttest_1samp(leads(*tools, fitted=True), 0, axis=1, alternative="greater").pvalue.max() < 0.025)


def resampled(*tools):
    lead = leads(*tools)
    rows = np.random.default_rng(0).integers(lead.shape[1], size=(500, lead.shape[1]))
    return bool((np.quantile(lead[:, rows].mean(-1), 0.025, axis=1) > 0).all())


WAYS = {
    "intervals": intervals,
    "Student": student,
    "a probe fitted to the sum": with_a_fitted_sum,
    "prompts drawn again": resampled,
}
