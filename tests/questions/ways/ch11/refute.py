"""Ways to test whether a model answers as trained networks do."""

import numpy as np
import torch
from scipy import stats


def leads(model, networks, *rivals):
    """How much nearer the networks' mean is to the model than each rival, [rival, prompt]."""

    def far(other):
        return (model - other).double().square().mean(-1)

    own = far(networks.mean(0))
    return torch.stack([far(rival) - own for rival in rivals]).numpy()


def intervals(*tools):
    lead = leads(*tools)
    return bool((lead.mean(1) > 1.96 * lead.std(1, ddof=1) / lead.shape[1] ** 0.5).all())


def student(*tools):
    return int(stats.ttest_1samp(leads(*tools), 0, axis=1, alternative="greater").pvalue.max() < 0.025)


def resampled(*tools):
    lead = leads(*tools)
    rows = np.random.default_rng(0).integers(lead.shape[1], size=(500, lead.shape[1]))
    return bool((np.quantile(lead[:, rows].mean(-1), 0.025, axis=1) > 0).all())


def start_taken_off(model, networks, *rivals):
    """Distances to single networks, less what a start adds to them."""
    of_starts = networks.var(0).mean(-1)
    own = torch.stack([(model - n).square().mean(-1) for n in networks]).mean(0) - 0.75 * of_starts
    lead = torch.stack([(model - rival).square().mean(-1) - own for rival in rivals])
    return bool((lead.mean(1) > 1.96 * lead.std(1) / lead.shape[1] ** 0.5).all())


WAYS = {"intervals": intervals, "Student": student, "prompts drawn again": resampled, "single": start_taken_off}
