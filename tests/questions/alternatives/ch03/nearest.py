"""Right answers to ch03.nearest, written differently."""

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors


def by_distance(h, weight, bias, codes):
    return torch.cdist(h @ weight + bias, codes).argmin(-1)


def by_squares(h, weight, bias, codes):
    z = (h.double() @ weight.double() + bias.double())[..., None, :]
    return (z - codes.double()).square().sum(-1).argmin(-1)


def by_neighbours(h, weight, bias, codes):
    z = np.einsum("rpd,dc->rpc", h.numpy().astype(float), weight.numpy().astype(float)) + bias.numpy()
    found = NearestNeighbors(n_neighbors=1).fit(codes.numpy().astype(float)).kneighbors(z.reshape(-1, z.shape[-1]))
    return found[1].reshape(z.shape[:-1])


ALTERNATIVES = {"distance": by_distance, "squares": by_squares, "neighbours": by_neighbours}
