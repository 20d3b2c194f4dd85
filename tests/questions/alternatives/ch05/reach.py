"""Right answers to ch05.reach, written differently."""

import numpy as np
import torch


def by_numpy(rows, bias, weights, token, radius):
    rows, bias, weights = (np.asarray(x) for x in (rows, bias, weights))
    return radius * np.linalg.norm(rows[token] - weights @ rows) + bias[token] - weights @ bias


def at_the_best_vector(rows, bias, weights, token, radius):
    missed = rows[token] - weights @ rows
    h = radius * missed / missed.norm().clamp(min=1e-300)
    return (rows @ h + bias)[token] - weights @ (rows @ h + bias)


def by_differences(rows, bias, weights, token, radius):
    missed = (weights[:, None] * (rows[token] - rows)).sum(0)
    return radius * torch.sqrt(missed @ missed) + (weights * (bias[token] - bias)).sum()


ALTERNATIVES = {"numpy": by_numpy, "best vector": at_the_best_vector, "differences": by_differences}
