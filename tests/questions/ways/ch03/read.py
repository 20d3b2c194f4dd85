"""Ways to name the class of noisy vectors from codes."""

import numpy as np
import torch
from sklearn.linear_model import LinearRegression

from mechlib.probes import fit_softmax


def by_covariance(h, labels, codes, new):
    """The likeliest class, if noise is normal and the mean linear in the code."""
    c, x = codes.numpy().astype(float), h.numpy().astype(float)
    fit = LinearRegression().fit(c[labels], x)
    left = x - fit.predict(c[labels])
    precision = np.linalg.inv(left.T @ left / (len(x) - c.shape[1] - 1))
    means = fit.predict(c)
    share = (np.bincount(labels, minlength=len(c)) + 0.5) / len(labels)
    scores = new.numpy() @ precision @ means.T - np.einsum("ci,ij,cj->c", means, precision, means) / 2 + np.log(share)
    return scores.argmax(1)


def by_softmax(h, labels, codes, new):
    return fit_softmax(h, labels, codes, steps=400, rate=0.1).named(new)


def by_regression_of_white_vectors(h, labels, codes, new):
    """Logistic regression with a weight for each pair of a code's entry and a vector's, written as one linear model."""
    x = (h - h.mean(0)).double()
    c = codes.double()
    weight = torch.zeros(x.shape[1], c.shape[1], dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(len(c), dtype=torch.float64, requires_grad=True)
    climb = torch.optim.LBFGS([weight, offset], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        climb.zero_grad()
        with torch.enable_grad():
            found = torch.nn.functional.cross_entropy(x @ weight @ c.T + offset, labels) + 1e-3 * weight.square().sum()
            found.backward()
        return found

    climb.step(loss)
    return ((new.double() - h.double().mean(0)) @ weight @ c.T + offset).argmax(-1)


WAYS = {
    "covariance of the rest": by_covariance,
    "softmax through codes": by_softmax,
    "logistic regression by Newton steps": by_regression_of_white_vectors,
}
