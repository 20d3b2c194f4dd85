"""Right answers to ch10.probing, written differently."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge


def by_scikit_learn(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        return Ridge(alpha=penalty).fit(a[:n_fit], t[:n_fit]).score(a[n_fit:], t[n_fit:])

    a, raw, t = acts.numpy(), untrained.numpy(), targets.numpy()
    return score(a, t), score(raw, t), score(a, t[order.numpy()])


def by_pretended_prompts(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        x, centre, means = a.numpy(), a[:n_fit].mean(0).numpy(), t[:n_fit].mean(0).numpy()
        design = np.concatenate([x[:n_fit] - centre, penalty**0.5 * np.eye(x.shape[1])])
        aims = np.concatenate([t[:n_fit].numpy() - means, np.zeros((x.shape[1], t.shape[1]))])
        rest = t[n_fit:].numpy() - means - (x[n_fit:] - centre) @ np.linalg.lstsq(design, aims, rcond=None)[0]
        return 1 - np.mean((rest**2).mean(0) / t[n_fit:].numpy().var(0))

    return {
        "trained": score(acts, targets),
        "untrained": score(untrained, targets),
        "shuffled": score(acts, targets[order]),
    }


def by_kernel(acts, untrained, targets, order, n_fit, penalty):
    def score(a, t):
        x = a - a[:n_fit].mean(0)
        kernel = x @ x[:n_fit].T
        means = t[:n_fit].mean(0)
        dual = torch.linalg.solve(kernel[:n_fit] + penalty * torch.eye(n_fit, dtype=x.dtype), t[:n_fit] - means)
        rest = t[n_fit:] - means - kernel[n_fit:] @ dual
        return 1 - (rest.square().mean(0) / t[n_fit:].var(0, correction=0)).mean()

    return [float(score(acts, targets)), float(score(untrained, targets)), float(score(acts, targets[order]))]


ALTERNATIVES = {"scikit_learn": by_scikit_learn, "pretended_prompts": by_pretended_prompts, "kernel": by_kernel}
