"""Posterior means against a textbook computation for one prefix, and against what only a posterior mean can do."""

import itertools

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from mechlib.icl import posteriors, predictors, tasks
from tests.sampling import ERRORS, mean_is


def prompts(task, batch=5, n_points=9, seed=0):
    sample = task.sample(batch, n_points, generator=torch.Generator().manual_seed(seed))
    return sample.x.double(), sample.y.double()


def sparse_by_hand(X, Y, query, nonzero, var):
    logs, means = [], []
    for S in itertools.combinations(range(X.shape[1]), nonzero):
        part = X[:, S]
        covariance = part @ part.T + var * np.eye(len(X))
        logs.append(multivariate_normal.logpdf(Y, np.zeros(len(X)), covariance))
        means.append(query[list(S)] @ part.T @ np.linalg.solve(covariance, Y))
    weight = np.exp(np.array(logs) - max(logs))
    return weight @ np.array(means) / weight.sum()


@pytest.mark.parametrize(("nonzero", "var"), [(1, 0.5), (2, 0.05), (3, 2.0)])
def test_the_sparse_posterior_is_the_average_over_supports(nonzero, var):
    x, y = prompts(tasks.SparseLinear(4, noise=var**0.5, nonzero=nonzero))
    found = posteriors.sparse_posterior(x, y, nonzero=nonzero, noise_var=var)
    assert torch.equal(found[:, 0], torch.zeros(5, dtype=torch.float64))
    for b, k in itertools.product(range(len(x)), range(1, x.shape[1])):
        expected = sparse_by_hand(x[b, :k].numpy(), y[b, :k].numpy(), x[b, k].numpy(), nonzero, var)
        assert float(found[b, k]) == pytest.approx(expected, abs=1e-9)


def sparse_in_many_digits(X, Y, query, nonzero, var):
    total, weighted = mpmath.mpf(0), mpmath.mpf(0)
    for S in itertools.combinations(range(X.shape[1]), nonzero):
        part, at, values = (mpmath.matrix(a.tolist()) for a in (X[:, S], query[list(S)], Y))
        covariance = part * part.T + mpmath.mpf(var) * mpmath.eye(len(Y))
        solved = mpmath.lu_solve(covariance, values)
        density = mpmath.exp(-(values.T * solved)[0] / 2) / mpmath.sqrt(mpmath.det(covariance))
        total += density
        weighted += density * (at.T * part.T * solved)[0]
    return float(weighted / total)


@pytest.mark.parametrize(("var", "far"), [(1e-4, 1.0), (1e-12, 1.0), (1e-2, 1e6)])
def test_the_sparse_posterior_is_right_at_little_noise_and_beside_a_large_example(var, far):
    """An input twice, with another value, and one ``far`` times the others; a point before them sees neither."""
    sample = tasks.SparseLinear(4, noise=var**0.5, nonzero=2).sample(3, 6, generator=torch.Generator().manual_seed(1))
    x, y = sample.x.clone(), sample.y.clone()
    x[:, 2], y[:, 2] = x[:, 0], y[:, 0] + var**0.5
    x[:, 3], y[:, 3] = far * x[:, 3], far * y[:, 3]
    found = posteriors.sparse_posterior(x, y, nonzero=2, noise_var=var)
    assert found.dtype == torch.float32
    with mpmath.workdps(80):
        for b, k in itertools.product(range(3), range(1, 6)):
            expected = sparse_in_many_digits(x[b, :k].numpy(), y[b, :k].numpy(), x[b, k].numpy(), 2, var)
            assert float(found[b, k]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_all_coordinates_in_use_are_ridge_regression():
    x, y = prompts(tasks.LinearRegression(3, noise=0.5))
    found = posteriors.sparse_posterior(x, y, nonzero=3, noise_var=0.25)
    torch.testing.assert_close(found, predictors.ridge(x, y, lam=0.25), atol=1e-10, rtol=1e-10)


def test_without_noise_one_example_more_than_nonzero_coordinates_is_enough():
    x, y = prompts(tasks.SparseLinear(6, nonzero=2), batch=200)
    gaps = (posteriors.sparse_posterior(x, y, nonzero=2) - y).abs()
    assert gaps[:, 3:].median() < 1e-3 and gaps[:, 2].median() > 0.1
    assert (gaps[:, 4:] < 0.05).double().mean() > 0.98


def tree_by_hand(X, Y, query, depth, d):
    """A mean over trees whose leaves hold one value each and no value twice."""

    def leaf(tree, point):
        node = 0
        while node < len(tree):
            node = 2 * node + (2 if point[tree[node]] > 0 else 1)
        return node

    found = []
    for tree in itertools.product(range(d), repeat=2**depth - 1):
        values = {}
        for point, value in zip(X, Y, strict=True):
            values.setdefault(leaf(tree, point), set()).add(value)
        flat = [value for held in values.values() for value in held]
        if all(len(held) == 1 for held in values.values()) and len(set(flat)) == len(flat):
            found.append(next(iter(values.get(leaf(tree, query), {0.0}))))
    return np.mean(found)


@pytest.mark.parametrize(("d", "depth"), [(3, 2), (4, 1)])
def test_the_tree_posterior_is_the_average_over_trees(d, depth):
    x, y = prompts(tasks.DecisionTree(d, depth=depth))
    found = posteriors.tree_posterior(x, y, depth=depth)
    for b, k in itertools.product(range(len(x)), range(x.shape[1])):
        expected = tree_by_hand(x[b, :k].tolist(), y[b, :k].tolist(), x[b, k].tolist(), depth, d)
        assert float(found[b, k]) == pytest.approx(expected)


CASES = {
    "sparse": (
        tasks.SparseLinear(4, noise=0.5, nonzero=2),
        lambda x, y: posteriors.sparse_posterior(x, y, nonzero=2, noise_var=0.25),
    ),
    "tree": (tasks.DecisionTree(3, depth=2), lambda x, y: posteriors.tree_posterior(x, y, depth=2)),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_over_has_nothing_to_do_with_the_prediction(name):
    """The error of a conditional mean is uncorrelated with it, and with any function of the examples."""
    task, posterior = CASES[name]
    x, y = prompts(task, batch=4000)
    prediction = posterior(x, y)
    for other in (prediction, predictors.knn(x, y, k=2), predictors.ridge(x, y, lam=1.0)):
        mean_is(((y - prediction) * other)[:, 1:].mean(1), 0, within=0.1)


@pytest.mark.parametrize("name", CASES)
def test_no_rival_does_better_and_the_future_is_not_seen(name):
    task, posterior = CASES[name]
    x, y = prompts(task, batch=1500)
    error = (posterior(x, y) - y).square()
    for rival in (predictors.knn(x, y, k=3), predictors.ridge(x, y, lam=0.25), predictors.averaging(x, y)):
        loss = ((rival - y).square() - error)[:, 1:]
        assert (loss.mean(0) > -ERRORS * loss.std(0) / len(loss) ** 0.5).all()
        whole = loss.mean(1)
        assert whole.mean() > ERRORS * whole.std() / len(whole) ** 0.5
    beginning = posterior(x[:, :6], y[:, :6])
    torch.testing.assert_close(posterior(x, y)[:, :6], beginning)


@pytest.mark.parametrize("name", CASES)
def test_what_comes_later_does_not_move_a_prediction_by_a_bit_however_large(name):
    task, posterior = CASES[name]
    sample = task.sample(20, 9, generator=torch.Generator().manual_seed(0))
    x, y = sample.x, sample.y
    before = posterior(x, y)
    points = {"sparse": (0, 3, 8), "tree": (8,)}[name]  # no tree explains a value that was changed before the last
    for k, factor in itertools.product(points, (1e4, 1e30)):
        far_y = torch.where(torch.arange(9) >= k, factor * y, y)
        far_x = torch.where((torch.arange(9) > k)[:, None], factor * x, x)
        assert torch.equal(posterior(far_x, far_y)[:, : k + 1], before[:, : k + 1])


def test_wrong_requests_are_refused():
    x, y = prompts(tasks.DecisionTree(3, depth=2))
    with pytest.raises(ValueError, match="nonzero counts coordinates, 1 to d=3, got 4"):
        posteriors.sparse_posterior(x, y, nonzero=4)
    with pytest.raises(ValueError, match="noise_var is a variance above 0, got 0"):
        posteriors.sparse_posterior(x, y, nonzero=1, noise_var=0)
    with pytest.raises(ValueError, match="depth 1 or more, got 0"):
        posteriors.tree_posterior(x, y, depth=0)
    with pytest.raises(ValueError, match=r"3\^31 trees of depth 5 are more"):
        posteriors.tree_posterior(x, y, depth=5)
    with pytest.raises(ValueError, match="no tree of depth 1 explains prompt"):
        posteriors.tree_posterior(x, y, depth=1)
    for function in (
        lambda *a: posteriors.sparse_posterior(*a, nonzero=1),
        lambda *a: posteriors.tree_posterior(*a, depth=2),
    ):
        with pytest.raises(ValueError, match="NaN"):
            function(x, y * torch.nan)
