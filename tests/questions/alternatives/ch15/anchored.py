"""Right answers to ch15.anchored, written differently."""

from __future__ import annotations

import numpy as np
import torch


def by_numpy(w, w_star, loss, gradient, loss_star, gradient_star, full_loss, full_gradient):
    noise = np.asarray(gradient_star) - np.asarray(full_gradient)
    moved = np.asarray(w) - np.asarray(w_star)
    return np.asarray(loss) - loss_star - np.einsum("cw,w->c", moved, noise), np.asarray(gradient) - noise


def by_terms(w, w_star, loss, gradient, loss_star, gradient_star, full_loss, full_gradient):
    shift = w @ gradient_star - w @ full_gradient - w_star @ gradient_star + w_star @ full_gradient
    return {"rise": (loss - loss_star) - shift, "gradient": (gradient - gradient_star) + full_gradient}


def by_chain(w, w_star, loss, gradient, loss_star, gradient_star, full_loss, full_gradient):
    rises, gradients = [], []
    for place, height, slope in zip(w, loss, gradient, strict=True):
        off = gradient_star.sub(full_gradient)
        rises.append(height - loss_star - torch.dot(off, place - w_star))
        gradients.append(slope - off)
    return torch.stack(rises), torch.stack(gradients)


ALTERNATIVES = {"numpy": by_numpy, "terms": by_terms, "chain": by_chain}
