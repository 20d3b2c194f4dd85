"""Predictors against the textbook formula for one prompt and one prefix, and against each other's limits."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor

from mechlib.icl import predictors, shifts, tasks

POOL = torch.randn(7, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)

ALL = {
    "least_squares": predictors.least_squares,
    "ridge": lambda x, y: predictors.ridge(x, y, lam=0.3),
    "gradient_descent": lambda x, y: predictors.gradient_descent(x, y, eta=0.2, steps=5, weight_decay=0.1),
    "newton": lambda x, y: predictors.newton(x, y, steps=4),
    "dmmse": lambda x, y: predictors.dmmse(x, y, pool=POOL, noise_var=0.25),
    "knn": lambda x, y: predictors.knn(x, y, k=2),
    "averaging": predictors.averaging,
    "mlp_gd": lambda x, y: predictors.mlp_gd(x, y, hidden=4, steps=20, lr=0.05),
}


def prompts(batch=5, n_points=9, d=3, noise=0.5, seed=0):
    sample = tasks.LinearRegression(d, noise=noise).sample(
        batch, n_points, generator=torch.Generator().manual_seed(seed)
    )
    return sample.x.double(), sample.y.double()


def one_by_one(x, y, predict):
    """``predict(X, Y, query)`` in NumPy on every prefix of every prompt."""
    x, y = x.numpy(), y.numpy()
    return np.array([[predict(x[b, :k], y[b, :k], x[b, k]) for k in range(x.shape[1])] for b in range(len(x))])


def test_least_squares_is_that_of_numpy_the_minimum_norm_included():
    x, y = prompts()
    x[0, 1] = x[0, 0]  # a repeated input: singular
    expected = one_by_one(x, y, lambda X, Y, q: q @ np.linalg.lstsq(X, Y, rcond=None)[0] if len(X) else 0.0)
    np.testing.assert_allclose(predictors.least_squares(x, y), expected, atol=1e-9)


@pytest.mark.parametrize("lam", [0.01, 0.25, 30.0])
def test_ridge_equals_its_dual(lam):
    x, y = prompts()

    def dual(X, Y, q):
        return q @ X.T @ np.linalg.solve(X @ X.T + lam * np.eye(len(X)), Y)

    np.testing.assert_allclose(predictors.ridge(x, y, lam=lam), one_by_one(x, y, dual), atol=1e-12, rtol=1e-12)


def test_ridge_without_a_penalty_is_least_squares():
    x, y = prompts()
    torch.testing.assert_close(predictors.ridge(x, y, lam=0.0), predictors.least_squares(x, y), atol=0, rtol=0)
    torch.testing.assert_close(predictors.ridge(x, y, lam=1e-9), predictors.least_squares(x, y), atol=1e-5, rtol=1e-5)


def awkward(kind):
    """Prompts of more dimensions than most prefixes have examples, as they are or made singular or ill-scaled."""
    x, y = prompts(batch=3, n_points=8, d=5)
    if kind == "repeated":  # with another y, and once more times a number
        x[:, 1], x[:, 4] = x[:, 0], -2 * x[:, 2]
    if kind == "zero":
        x[:, 1] = x[:, 3] = 0
    if kind == "columns":
        x *= torch.logspace(-3, 3, 5)
    if kind == "rows":
        x[:, 2] *= 1e4
    return x.float(), y.float()


@pytest.mark.parametrize("kind", ["plain", "repeated", "zero", "columns", "rows"])
@pytest.mark.parametrize("lam", [0.0, 1e-20, 1e-12, 1e-8, 1e-5, 1e-4, 1.0])
def test_ridge_is_right_at_every_penalty_in_either_precision(kind, lam):
    """Against the dual form in 80 digits; without a penalty, against one of 1e-40."""
    x, y = awkward(kind)

    def dual(X, Y, q):
        X, Y, q = (mpmath.matrix(part.tolist()) for part in (X, Y, q))
        kernel = X * X.T + mpmath.mpf(lam or "1e-40") * mpmath.eye(X.rows)
        return float((q.T * X.T * mpmath.lu_solve(kernel, Y))[0]) if X.rows else 0.0

    with mpmath.workdps(80):
        expected = torch.from_numpy(one_by_one(x, y, lambda X, Y, q: dual(X, Y, q) if len(X) else 0.0))
    size = expected.abs().amax(0)
    assert ((predictors.ridge(x.double(), y.double(), lam=lam) - expected).abs() <= 1e-8 * size).all()
    found = predictors.ridge(x, y, lam=lam)
    assert found.dtype == torch.float32
    assert ((found - expected).abs() <= 1e-6 * size).all()


def test_a_penalty_may_be_a_tensor_and_has_a_gradient():
    x, y = prompts()
    expected = predictors.ridge(x, y, lam=0.3)
    double = torch.tensor([0.3], dtype=torch.float64)
    for lam in (double, double[0], np.float64(0.3), np.array(0.3)):
        torch.testing.assert_close(predictors.ridge(x, y, lam=lam), expected, atol=0, rtol=0)
    for value in (0.3, 1e-6):
        lam = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(predictors.ridge(x, y, lam=lam)[:, 2].sum(), lam)
        around = [float(predictors.ridge(x, y, lam=value * (1 + step))[:, 2].sum()) for step in (-1e-4, 1e-4)]
        assert float(slope) == pytest.approx((around[1] - around[0]) / (2e-4 * value), rel=1e-4)
    assert (predictors.ridge(x, y, lam=math.inf) == 0).all()


def test_one_penalty_may_be_ample_for_some_prompts_and_tiny_for_others():
    """Each prompt by itself, and each number of examples."""
    x, y = prompts()
    x[1] *= 1e3
    x[2, 4] *= 1e3
    together = predictors.ridge(x, y, lam=1e-3)
    alone = [predictors.ridge(x[i : i + 1, :n], y[i : i + 1, :n], lam=1e-3) for i in range(5) for n in (3, 9)]
    for i in range(5):
        assert torch.equal(alone[2 * i][0], together[i, :3]) and torch.equal(alone[2 * i + 1][0], together[i])


def test_the_gradient_by_examples_is_that_of_the_normal_equations_repeated_inputs_or_not():
    x, y = prompts()
    x[0, 1] = x[0, 0]

    def normal_equations(x):
        X, Y, q = x[:, :4], y[:, :4], x[:, 4]
        weights = torch.linalg.solve(X.mT @ X + 0.3 * torch.eye(3, dtype=x.dtype), X.mT @ Y[..., None])
        return (q * weights[..., 0]).sum()

    expected, found = (
        torch.autograd.functional.jacobian(f, x)
        for f in (normal_equations, lambda x: predictors.ridge(x, y, lam=0.3)[:, 4].sum())
    )
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", ["least_squares", "ridge", "newton"])
def test_the_gradient_by_the_query_is_the_weight_vector_singular_or_not(name):
    x, y = prompts()
    x[0, 1], x[1, 2] = x[0, 0], 0
    query = x[:, -1:].clone().requires_grad_()
    last = ALL[name](torch.cat([x[:, :-1], query], 1), y)[:, -1]
    (weights,) = torch.autograd.grad(last.sum(), query)
    torch.testing.assert_close((weights * x[:, -1:]).sum((1, 2)), last.detach(), atol=1e-12, rtol=1e-12)


def test_directions_made_by_rounding_alone_are_not_fitted():
    """Noisy values of inputs that lie in a plane but for rounding: least squares in that plane."""
    task = shifts.InSubspace(tasks.LinearRegression(6, noise=0.5), dimension=2)
    sample = task.sample(64, 12, generator=torch.Generator().manual_seed(4))
    plane = torch.linalg.svd(sample.x.double(), full_matrices=False).Vh[:, :2]
    expected = predictors.least_squares(sample.x.double() @ plane.mT, sample.y.double())
    found = predictors.least_squares(sample.x, sample.y)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(("eta", "steps", "weight_decay"), [(0.1, 1, 0.0), (0.3, 7, 0.2), (0.5, 0, 0.0)])
def test_gradient_descent_takes_the_steps(eta, steps, weight_decay):
    x, y = prompts()

    def descend(X, Y, q):
        w = np.zeros(3)
        for _ in range(steps):
            w = w - eta * (X.T @ (X @ w - Y) / max(len(X), 1) + weight_decay * w)
        return q @ w

    found = predictors.gradient_descent(x, y, eta=eta, steps=steps, weight_decay=weight_decay)
    np.testing.assert_allclose(found, one_by_one(x, y, descend), atol=1e-12)


def test_gradient_descent_with_decay_ends_at_ridge():
    x, y = prompts(n_points=7)
    found = predictors.gradient_descent(x, y, eta=0.3, steps=4000, weight_decay=0.5)[:, 6]
    torch.testing.assert_close(found, predictors.ridge(x, y, lam=0.5 * 6)[:, 6], atol=1e-8, rtol=1e-8)


def test_newton_squares_its_error_at_every_step_and_ends_at_least_squares():
    x, y = prompts()
    exact = predictors.least_squares(x, y)
    torch.testing.assert_close(predictors.newton(x, y, steps=40), exact, atol=1e-7, rtol=1e-7)
    one = one_by_one(x, y, lambda X, Y, q: _newton_step(X, Y, q) if len(X) else 0.0)
    np.testing.assert_allclose(predictors.newton(x, y, steps=1), one, atol=1e-10)


def _newton_step(X, Y, q):
    S = X.T @ X
    M = S / np.linalg.norm(S, 2) ** 2
    return q @ (2 * M - M @ S @ M) @ X.T @ Y


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [0, 5, 20, 60])
def test_newton_passes_each_singular_value_by_its_closed_form(steps, dtype):
    """``1 - (1 - (s / s_max)^4)^(2^steps)``: for fewer examples than dimensions, as many, and more."""
    x, y = prompts(n_points=9, d=4)
    x, y = x.to(dtype), y.to(dtype)
    x[0, 1] = x[0, 0]

    def closed_form(X, Y, q):
        if not len(X):
            return 0.0
        U, s, V = np.linalg.svd(X.astype(float), full_matrices=False)
        s = s[s > 1e-12]
        with np.errstate(divide="ignore"):
            passed = -np.expm1(2.0**steps * np.log1p(-((s / s[0]) ** 4)))
        return (passed / s * (V[: len(s)] @ q)) @ (U.T[: len(s)] @ Y)

    found = predictors.newton(x, y, steps=steps)
    np.testing.assert_allclose(found, one_by_one(x, y, closed_form), atol=1e-6 if dtype == torch.float32 else 1e-12)


def test_dmmse_is_the_posterior_mean_written_out():
    x, y = prompts()
    pool = POOL.numpy()

    def posterior(X, Y, q):
        log_weight = np.array([-((Y - X @ w) ** 2).sum() / (2 * 0.25) for w in pool])
        weight = np.exp(log_weight - log_weight.max())
        return q @ (weight @ pool) / weight.sum()

    found = predictors.dmmse(x, y, pool=POOL, noise_var=0.25)
    np.testing.assert_allclose(found, one_by_one(x, y, posterior), atol=1e-12)


@pytest.mark.parametrize("noise", [0.1, 0.01, 1e-3, 1e-5])
def test_dmmse_in_single_precision_at_small_noise(noise):
    """Tasks so near each other that the noise blurs them; every weight from its own sum, in double precision."""
    pool = POOL[:1] + 2 * noise * torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pool = pool.float()
    sample = tasks.LinearRegression(3, noise=noise, pool=pool).sample(8, 9, generator=torch.Generator().manual_seed(0))

    def posterior(X, Y, q):
        log_weight = -((Y.astype(float) - pool.double().numpy() @ X.T) ** 2).sum(1) / (2 * noise**2)
        weight = np.exp(log_weight - log_weight.max())
        return weight / weight.sum() @ (pool.double().numpy() @ q)

    found = predictors.dmmse(sample.x, sample.y, pool=pool, noise_var=noise**2)
    np.testing.assert_allclose(found, one_by_one(sample.x, sample.y, posterior), atol=1e-6)


def test_dmmse_in_its_limits(monkeypatch):
    x, y = prompts(noise=0.0)
    only = predictors.dmmse(x, y, pool=POOL[:1], noise_var=0.3)
    torch.testing.assert_close(only, x @ POOL[0], atol=1e-12, rtol=1e-12)
    whole = predictors.dmmse(x, y, pool=POOL, noise_var=0.3)
    torch.testing.assert_close(whole[:, 0], x[:, 0] @ POOL.mean(0), atol=1e-12, rtol=1e-12)
    assert torch.isfinite(predictors.dmmse(x.float(), y.float(), pool=POOL.float(), noise_var=1e-9)).all()
    monkeypatch.setattr(predictors, "POOL_CHUNK", 2 * y.numel())
    in_pieces = predictors.dmmse(x, y, pool=POOL, noise_var=0.3)
    torch.testing.assert_close(in_pieces, whole, atol=1e-12, rtol=1e-12)


def test_a_large_gaussian_pool_tends_to_ridge():
    x, y = prompts(batch=16, n_points=5, d=2, noise=0.5)
    pool = torch.randn(400_000, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gap = predictors.dmmse(x, y, pool=pool, noise_var=0.25) - predictors.ridge(x, y, lam=0.25)
    wrong = predictors.ridge(x, y, lam=0.3) - predictors.ridge(x, y, lam=0.25)
    assert gap.square().mean() < 0.2 * wrong.square().mean()  # over 20 draws .005 of it, .05 at most


@pytest.mark.parametrize("k", [1, 3, 8])
def test_knn_is_that_of_scikit_learn(k):
    x, y = prompts()

    def neighbours(X, Y, q):
        if not len(X):
            return 0.0
        return KNeighborsRegressor(min(k, len(X))).fit(X, Y).predict(q[None])[0]

    np.testing.assert_allclose(predictors.knn(x, y, k=k), one_by_one(x, y, neighbours), atol=1e-12)


def every_choice(X, Y, q, k):
    """The mean over all ways to take ``k`` nearest examples, by integers."""
    squares = [int(value) for value in ((X - q) ** 2).sum(1)]
    means, least = [], math.inf
    for chosen in itertools.combinations(range(len(X)), min(k, len(X))):
        total = sum(squares[i] for i in chosen)
        if total < least:
            means, least = [], total
        if total == least:
            means.append(np.mean([Y[i] for i in chosen]))
    return float(np.mean(means))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_neighbours_that_tie_share_the_places_that_are_left(k, dtype):
    """On a grid of three by three integers most points stand twice, and others at equal distances."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-1, 2, (6, 10, 2), generator=generator).to(dtype)
    y = torch.randn(6, 10, generator=generator).to(dtype)
    found = predictors.knn(x, y, k=k)
    expected = one_by_one(x, y, lambda X, Y, q: every_choice(X, Y, q, k) if len(X) else 0.0)
    np.testing.assert_allclose(found, expected, atol=1e-6 if dtype == torch.float32 else 1e-12)


def test_the_order_of_examples_never_matters_to_neighbours():
    """Distances that are equal but for the order in which their squares are summed, and equal inputs."""
    x = torch.tensor([[1.1, 2.3, 0.7], [2.3, 0.7, 1.1], [0.7, 1.1, 2.3], [1.1, 2.3, 0.7], [0.3, 0.3, 0.3]]).double()
    y = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]).double()
    x[4] = 0
    found = [
        float(predictors.knn(x[[*order, 4]][None], y[[*order, 4]][None], k=2)[0, -1])
        for order in itertools.permutations(range(4))
    ]
    assert found == pytest.approx([2.5] * 24)


def test_far_neighbours_are_still_neighbours():
    x = torch.tensor([[[0.0], [1e25], [3e25]]])
    assert predictors.knn(x, torch.tensor([[1.0, 2.0, 0.0]]), k=1)[0, 2] == 2.0


def test_averaging_is_the_mean_of_products():
    x, y = prompts()
    expected = one_by_one(x, y, lambda X, Y, q: q @ (X * Y[:, None]).mean(0) if len(X) else 0.0)
    np.testing.assert_allclose(predictors.averaging(x, y), expected, atol=1e-12)


def test_mlp_gd_trains_each_prefix_as_a_network_of_its_own():
    x, y = prompts(batch=2, n_points=5)
    found = predictors.mlp_gd(x, y, hidden=4, steps=15, lr=0.05, seed=2)
    start = predictors.initial_network(3, 4, torch.Generator().manual_seed(2))
    for b in range(2):
        for k in range(1, 5):
            net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).double()
            with torch.no_grad():
                net[0].weight.copy_(start[0].T)
                net[0].bias.copy_(start[1])
                net[2].weight.copy_(start[2][None])
                net[2].bias.copy_(start[3])
            optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
            for _ in range(15):
                optimiser.zero_grad()
                (net(x[b, :k])[:, 0] - y[b, :k]).square().mean().backward()
                optimiser.step()
            assert found[b, k].item() == pytest.approx(net(x[b, k])[0].item(), abs=1e-9)
    assert (found[:, 0] == 0).all()


def test_mlp_gd_at_some_points_is_that_at_all():
    x, y = prompts()
    settings = {"hidden": 4, "steps": 15, "lr": 0.05}
    some = predictors.mlp_gd(x, y, at=[0, 7, 3], **settings)
    torch.testing.assert_close(some, predictors.mlp_gd(x, y, **settings)[:, [0, 7, 3]])


@pytest.mark.parametrize("name", ALL)
def test_every_predictor_is_causal(name):
    x, y = prompts()
    before = ALL[name](x, y)
    for k in (0, 3, 8):
        later = torch.arange(9) >= k
        changed_y = torch.where(later, -3.0 * y + 1.0, y)
        torch.testing.assert_close(ALL[name](x, changed_y)[:, : k + 1], before[:, : k + 1], atol=1e-10, rtol=1e-10)
        changed_x = torch.where((later & (torch.arange(9) > k))[:, None], x + 2.0, x)
        torch.testing.assert_close(ALL[name](changed_x, y)[:, : k + 1], before[:, : k + 1], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_what_comes_later_does_not_move_a_prediction_by_a_bit_however_large(name):
    x, y = (part.float() for part in prompts())
    before = ALL[name](x, y)
    for k, factor in itertools.product((0, 3, 8), (1e4, 1e30)):
        later = torch.arange(9) >= k
        far_y = torch.where(later, factor * y, y)
        far_x = torch.where((later & (torch.arange(9) > k))[:, None], factor * x, x)
        assert torch.equal(ALL[name](far_x, far_y)[:, : k + 1], before[:, : k + 1])


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"mlp_gd"}))
def test_large_examples_are_summed_as_in_double_precision(name):
    """One example, or its value alone, is ten thousand times the others."""
    x, y = (part.float() for part in prompts())
    far_x, far_y = x.clone(), y.clone()
    far_x[:, 2] *= 1e4
    far_y[:, 2] *= 1e4
    for inputs, values in ((far_x, y), (x, far_y)):
        expected = ALL[name](inputs.double(), values.double())
        found = ALL[name](inputs, values)
        assert ((found - expected).abs() <= 1e-5 * expected.abs().amax(0)).all()


@pytest.mark.parametrize("name", ALL)
def test_a_singular_gram_matrix_has_a_finite_answer(name):
    x, y = prompts()
    x[0], x[1, :, 0] = 0.0, 0.0
    assert torch.isfinite(ALL[name](x, y)).all()
    assert (ALL[name](torch.zeros_like(x), y)[:, 1:].isfinite()).all()


@pytest.mark.parametrize("name", ALL)
def test_what_is_no_batch_of_prompts_is_refused(name):
    x, y = prompts()
    with pytest.raises(ValueError, match=r"\(5, 9, 3\) and \(5, 8\)"):
        ALL[name](x, y[:, :-1])
    with pytest.raises(ValueError, match="y holds 1 values that are NaN"):
        ALL[name](x, torch.where(torch.arange(45).view(5, 9) == 7, math.nan, y))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: predictors.ridge(x, y, lam=-1.0), "at least 0, got -1.0"),
        (lambda x, y: predictors.ridge(x, y, lam=math.nan), "at least 0, got nan"),
        (lambda x, y: predictors.ridge(x, y, lam=torch.ones(2)), r"one number, at least 0, got tensor\(\[1., 1.\]\)"),
        (lambda x, y: predictors.knn(x, y, k=9), "1 to 8 in prompts of 9 points, got 9"),
        (lambda x, y: predictors.knn(x, y, k=0), "got 0"),
        (lambda x, y: predictors.gradient_descent(x, y, eta=0.1, steps=-1), "at least 0, got -1"),
        (lambda x, y: predictors.gradient_descent(x, y, eta=math.inf, steps=1), "eta=inf"),
        (lambda x, y: predictors.newton(x, y, steps=-2), "got -2"),
        (lambda x, y: predictors.dmmse(x, y, pool=POOL[:, :2], noise_var=1.0), r"\[n_tasks, 3\], got \(7, 2\)"),
        (lambda x, y: predictors.dmmse(x, y, pool=POOL[:0], noise_var=1.0), r"got \(0, 3\)"),
        (lambda x, y: predictors.dmmse(x, y, pool=POOL, noise_var=-0.5), "variance above 0, got -0.5"),
        (lambda x, y: predictors.mlp_gd(x, y, hidden=0), "hidden=0"),
        (lambda x, y: predictors.mlp_gd(x, y, lr=0.0), "lr=0.0"),
        (lambda x, y: predictors.mlp_gd(x, y, at=[2, 9]), r"0 to 8, got \[2, 9\]"),
        (lambda x, y: predictors.mlp_gd(x, y, at=[]), r"got \[\]"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(*prompts())
