import pytest
import torch
from sklearn.linear_model import LinearRegression

from mechlib.probes import fit_linear_part, fit_ridge, fit_softmax


def data(n=500, d=7, width=4, classes=15):
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(classes, width, generator=generator) + 2
    labels = torch.randint(classes, (n,), generator=generator)
    x = codes[labels] @ torch.randn(width, d, generator=generator) + torch.randn(n, d, generator=generator)
    return x, labels, codes


def covariance(x, y):
    return (x - x.mean(0)).double().T @ (y - y.mean(0)).double() / len(x)


def test_what_is_left_has_no_covariance_with_the_codes_and_the_same_mean():
    x, labels, codes = data()
    left = x - fit_linear_part(x, codes[labels])(codes[labels])
    assert covariance(x, codes[labels]).abs().max() > 0.5
    assert covariance(left, codes[labels]).abs().max() < 1e-5
    torch.testing.assert_close(left.mean(0), x.mean(0))


def test_it_is_the_prediction_of_least_squares():
    x, labels, codes = data()
    part = fit_linear_part(x, codes[labels])(codes[labels])
    other = LinearRegression().fit(codes[labels].numpy(), x.numpy()).predict(codes[labels].numpy())
    torch.testing.assert_close(part + x.mean(0), torch.from_numpy(other), rtol=1e-4, atol=1e-4)


def test_a_probe_reads_nothing_of_what_is_left():
    x, labels, codes = data(n=4000)
    left = x - fit_linear_part(x, codes[labels])(codes[labels])
    assert fit_ridge(left, labels, codes, ridge=0).weight.abs().max() < 1e-4
    often = labels.bincount().max() / len(labels)
    before, after = ((fit_softmax(h, labels, codes).named(h) == labels).float().mean() for h in (x, left))
    assert before > 0.4
    assert after < often + 0.08


def test_no_other_change_that_does_so_is_smaller():
    x, labels, codes = data()
    y = codes[labels].double()
    part = fit_linear_part(x.double(), y)(y)
    extra = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    basis = torch.linalg.qr(torch.cat([y, torch.ones(len(y), 1).double()], 1)).Q
    extra = extra - basis @ (basis.T @ extra)  # nothing that the codes tell
    assert covariance(x - part - extra, y).abs().max() < 1e-9
    assert (part + extra).square().sum() > part.square().sum()


def test_axes_in_front_do_not_matter_and_codes_that_do_not_fit_are_refused():
    x, labels, codes = data()
    y = codes[labels]
    together = fit_linear_part(x.view(50, 10, -1), y.view(50, 10, -1))
    torch.testing.assert_close(together.weight, fit_linear_part(x, y).weight)
    assert together(y.view(50, 10, -1)).shape == (50, 10, 7)
    with pytest.raises(ValueError, match=r"codes \(499, 4\) do not match activations \(500, 7\)"):
        fit_linear_part(x, y[:-1])
