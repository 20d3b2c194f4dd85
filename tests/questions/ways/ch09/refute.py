"""Ways to test whether a step is nearer to a model than what else it may do."""

import numpy as np
import torch
from scipy import stats


def leads(model, step, next_step, two_steps, ridge, truth, untrained):
    """The step's lead in cosine over each rival, [rival, prompt]."""
    rivals = torch.cat([ridge, torch.stack([two_steps, truth, next_step])])
    near = [torch.cosine_similarity(model, other, dim=-1) for other in (step, rivals)]
    return (near[0] - near[1]).double().numpy()


def intervals(*tools):
    lead = leads(*tools)
    return bool((lead.mean(1) - 1.96 * lead.std(1, ddof=1) / lead.shape[1] ** 0.5 > 0).all())


def student(*tools):
    return int(stats.ttest_1samp(leads(*tools), 0, axis=1, alternative="greater").pvalue.max() < 0.025)


def resampled(*tools):
    lead = leads(*tools)
    rows = np.random.default_rng(0).integers(lead.shape[1], size=(500, lead.shape[1]))
    return bool((np.quantile(lead[:, rows].mean(-1), 0.025, axis=1) > 0).all())


def distances(model, step, next_step, two_steps, ridge, truth, untrained):
    """By what is left of the model's weights at each rival's best length."""

    def left(other):
        size = (model * other).sum() / other.square().sum()
        return (model - size * other).square().sum(-1)

    gains = torch.stack([left(other) - left(step) for other in (*ridge, two_steps, truth, next_step)])
    return bool((gains.mean(1) > 1.96 * gains.std(1) / gains.shape[1] ** 0.5).all())


WAYS = {"intervals": intervals, "Student": student, "prompts drawn again": resampled, "distances": distances}
