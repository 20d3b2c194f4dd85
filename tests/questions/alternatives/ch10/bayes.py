"""Right answers to ch10.bayes, written differently."""

from __future__ import annotations

import numpy as np
import torch


def by_examples(x, y, noise_var, prior_var):
    n, d = x.shape[1:]
    gain = prior_var * x.mT @ torch.linalg.inv(prior_var * x @ x.mT + noise_var * torch.eye(n, dtype=x.dtype))
    return (gain @ y[..., None])[..., 0], prior_var * (d - (gain @ x).diagonal(dim1=-2, dim2=-1).sum(-1))


def by_one_example_after_the_other(x, y, noise_var, prior_var):
    means, errors = [], []
    for points, values in zip(x.numpy(), y.numpy(), strict=True):
        mean, cov = np.zeros(points.shape[1]), prior_var * np.eye(points.shape[1])
        for point, value in zip(points, values, strict=True):
            gain = cov @ point / (point @ cov @ point + noise_var)
            mean = mean + gain * (value - point @ mean)
            cov = cov - np.outer(gain, point @ cov)
        means.append(mean)
        errors.append(np.trace(cov))
    return {"weights": means, "error": errors}


def by_pretended_examples(x, y, noise_var, prior_var):
    prompts, _, d = x.shape
    pretended = (noise_var / prior_var) ** 0.5 * torch.eye(d, dtype=x.dtype).expand(prompts, d, d)
    inverse = torch.linalg.pinv(torch.cat([x, pretended], 1))
    weights = inverse @ torch.cat([y, torch.zeros(prompts, d, dtype=y.dtype)], 1)[..., None]
    return weights[..., 0], noise_var * inverse.square().sum((-2, -1))


ALTERNATIVES = {
    "examples": by_examples,
    "one_after_the_other": by_one_example_after_the_other,
    "pretended_examples": by_pretended_examples,
}
