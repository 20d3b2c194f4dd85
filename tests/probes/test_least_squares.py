import pytest
import torch
from scipy.linalg import svd
from sklearn.linear_model import Ridge

from mechlib.probes import fit_least_squares


def data(n=300, d=7, classes=5):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator) * torch.arange(1, d + 1) + 2
    y = torch.randint(classes, (n,), generator=generator)
    return x, y


def test_it_is_ridge_regression_on_standardised_activations():
    x, y = data()
    probe = fit_least_squares(x, y, n_classes=5, ridge=0.03)
    standard = ((x - x.mean(0)) / x.std(0)).double().numpy()
    other = Ridge(alpha=0.03 * len(x)).fit(standard, torch.nn.functional.one_hot(y, 5).double().numpy())
    torch.testing.assert_close(probe(x).double(), torch.from_numpy(other.predict(standard)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ridge", [0.0, 1e-14, 1e-8, 1e-3])
@pytest.mark.parametrize("n", [5, 300])
def test_it_is_right_at_every_penalty_for_dependent_constant_and_tiny_features(n, ridge):
    """Against SciPy's singular values on standardised features, those that are constant left out."""
    x, y = data(n=n)
    x = torch.cat(
        [x, x[:, :1] - 2 * x[:, 1:2], 1e-12 * x[:, 2:3], torch.full((n, 1), 1e4), torch.zeros(n, 1)], 1
    ).double()
    probe = fit_least_squares(x, y, n_classes=5, ridge=ridge)
    some = x[:, :-2].numpy()
    standard = (some - some.mean(0)) / some.std(0, ddof=1)
    targets = torch.nn.functional.one_hot(y, 5).double().numpy()
    U, s, V = svd(standard, full_matrices=False)
    s = s[s > 1e-6]
    gain = s / (s**2 + ridge * n)
    W = V[: len(s)].T @ (gain[:, None] * (U.T[: len(s)] @ (targets - targets.mean(0))))
    expected = torch.from_numpy(standard @ W + targets.mean(0))
    torch.testing.assert_close(probe(x), expected, rtol=0, atol=1e-6)
    assert (probe.weight[-2:] == 0).all()


def test_linearly_coded_labels_are_read_and_shuffled_ones_are_not():
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(20, (4, 200), generator=generator)
    x = torch.randn(20, 32, generator=generator)[y] + 0.1 * torch.randn(4, 200, 32, generator=generator)
    assert fit_least_squares(x, y, n_classes=20).accuracy(x, y).mean() > 0.99
    shuffled = y.flatten()[torch.randperm(y.numel(), generator=generator)].view_as(y)
    # Each of the 20 classes is given the right name with a chance of 1/20, so eight of them in 3 runs of a million.
    assert fit_least_squares(x, shuffled, n_classes=20).accuracy(x, y).mean() < 0.4


def test_accuracy_has_the_shape_of_the_labels():
    x, y = data()
    probe = fit_least_squares(x, y, n_classes=5)
    assert probe.accuracy(x.view(30, 10, 7), y.view(30, 10)).shape == (30, 10)
    assert torch.equal(probe.accuracy(x, y, batch=7), probe.accuracy(x, y))


@pytest.mark.parametrize(
    ("labels", "message"), [(torch.zeros(3, dtype=torch.long), "do not match"), (torch.full((300,), 5), r"0..4")]
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        fit_least_squares(data()[0], labels, n_classes=5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_no_class_is_read_from_what_is_no_number(value):
    x, y = data()
    probe = fit_least_squares(x, y, n_classes=5)
    x[3, 2] = value
    for read in (lambda: fit_least_squares(x, y, n_classes=5), lambda: probe.accuracy(x, y)):
        with pytest.raises(ValueError, match=rf"the activation at \[3, 2\] is {value}"):
            read()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_labels_of_any_integer_type(dtype):
    x, y = data()
    assert torch.equal(fit_least_squares(x, y.to(dtype), n_classes=5)(x), fit_least_squares(x, y, n_classes=5)(x))


def test_too_few_rows_and_negative_penalties_are_refused():
    x, y = data()
    with pytest.raises(ValueError, match=r"at least two rows .* got 1 and 0.01"):
        fit_least_squares(x[:1], y[:1], n_classes=5)
    with pytest.raises(ValueError, match=r"got 300 and -0.1"):
        fit_least_squares(x, y, n_classes=5, ridge=-0.1)
