import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch.nn.functional import cross_entropy

from mechlib.probes import fit_ridge, fit_softmax
from mechlib.probes.regression import regress

FITS = [fit_ridge, fit_softmax]


def data(n=400, d=9, classes=12, width=5, noise=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(classes, width, generator=generator) * torch.arange(1, classes + 1)[:, None] ** 0.3
    labels = torch.randint(classes, (n,), generator=generator)
    mix = torch.randn(width, d, generator=generator)
    x = codes[labels] @ mix + noise * torch.randn(n, d, generator=generator) * torch.arange(1, d + 1) + 3
    return x, labels, codes


def test_regression_is_scikit_learns():
    x, labels, codes = data()
    y = codes[labels]
    weight, bias = regress(x, y, 0.2)
    strength = 0.2 * float(((x - x.mean(0)).double() ** 2).sum(0).mean())
    other = Ridge(alpha=strength).fit(x.double().numpy(), y.double().numpy())
    np.testing.assert_allclose(x @ weight + bias, other.predict(x.double().numpy()), rtol=1e-4, atol=1e-4)


def test_without_a_penalty_dependent_features_get_the_shortest_map():
    x, labels, codes = data()
    x = x.double()
    x = torch.cat([x, x[:, :1] - 2 * x[:, 1:2], torch.full((len(x), 1), 7.0)], 1)
    y = codes[labels].double()
    weight, _ = regress(x, y, 0.0)
    shortest = np.linalg.pinv((x - x.mean(0)).numpy(), rcond=1e-9) @ (y - y.mean(0)).numpy()
    np.testing.assert_allclose(weight, shortest, atol=1e-9)


def test_ridge_names_the_class_with_the_nearest_code():
    x, labels, codes = data()
    probe = fit_ridge(x, labels, codes, ridge=0.01)
    weight, bias = regress(x, codes[labels], 0.01)
    nearest = torch.cdist(x @ weight + bias, codes).argmin(-1)
    assert torch.equal(probe.named(x), nearest)
    assert torch.equal(probe.named(x.view(20, 20, -1), batch=7), nearest.view(20, 20))


def test_softmax_comes_to_the_optimum_of_logistic_regression():
    """With codes that span the classes, the model is that of multinomial logistic regression."""
    x, labels, _ = data(n=600, classes=4, noise=1.5)
    codes = torch.eye(4)
    probe = fit_softmax(x, labels, codes, steps=1500, rate=0.3)
    best = LogisticRegression(C=1e6, max_iter=5000).fit(x.numpy(), labels.numpy())
    ours = float(cross_entropy(probe(x), labels))
    theirs = -np.log(best.predict_proba(x.numpy())[np.arange(600), labels]).mean()
    assert theirs - 1e-4 < ours < theirs + 0.005
    assert (probe.named(x).numpy() == best.predict(x.numpy())).mean() > 0.98


def test_softmax_names_more_than_ridge_where_codes_crowd():
    x, labels, codes = data(n=3000, d=6, classes=40, width=6, noise=0.35)
    right = [(fit(x[::2], labels[::2], codes).named(x[1::2]) == labels[1::2]).float().mean() for fit in FITS]
    assert right[1] > right[0] + 0.02


@pytest.mark.parametrize("fit", FITS)
def test_a_class_that_was_never_seen_is_named_by_its_code(fit):
    x, labels, codes = data(n=2000, noise=0.02)
    seen = labels != 3
    assert (fit(x[seen], labels[seen], codes).named(x[~seen]) == 3).float().mean() > 0.95


@pytest.mark.parametrize("fit", FITS)
def test_shuffled_labels_leave_nothing_to_name(fit):
    x, labels, codes = data(n=2000)
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(1))
    assert (fit(x[::2], labels[order][::2], codes).named(x[1::2]) == labels[1::2]).float().mean() < 0.2


@pytest.mark.parametrize("fit", FITS)
def test_what_does_not_fit_is_refused(fit):
    x, labels, codes = data()
    for wrong, message in (
        ((x, labels[:-1], codes), r"labels \(399,\) do not match activations \(400, 9\)"),
        ((x, labels + 12, codes), r"labels must lie in 0..11"),
        ((x[:1], labels[:1], codes), "two rows of each or more"),
        ((x.index_fill(0, torch.tensor([4]), torch.nan), labels, codes), r"the value at \[4, 0\] is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(*wrong)
    with pytest.raises(ValueError, match="ridge is at least 0, not -1"):
        fit(x, labels, codes, ridge=-1)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps is 0"):
        fit_softmax(*data(), steps=0)


def test_the_same_seed_fits_the_same():
    one, other = (fit_softmax(*data(), steps=5, seed=3) for _ in range(2))
    assert torch.equal(one.weight, other.weight)
    assert not torch.equal(one.weight, fit_softmax(*data(), steps=5, seed=4).weight)
