"""Matching on families whose errors are known, and filters of algorithms that are filters."""

import pytest
import torch

from mechlib.icl import LinearRegression, gradient_descent, implicit_weight, least_squares, newton, ridge
from mechlib.icl.matching import at_error, measured_filter, mistake_cosine
from mechlib.icl.prompts import Prompts

K = 6


def prompts(batch=400, d=3, seed=0):
    drawn = LinearRegression(d).sample(batch, K + 1, generator=torch.Generator().manual_seed(seed))
    return Prompts(drawn.x.double(), drawn.y.double(), drawn.task.double())


def test_the_member_of_a_given_error_is_found():
    w = torch.randn(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    length = float(w.square().sum(1).mean())
    found = at_error(lambda c: c * w, [0.0, 0.4, 1.0], w, 0.09 * length)
    assert found.setting == pytest.approx(0.7, abs=1e-6) and found.error == pytest.approx(0.09 * length)
    torch.testing.assert_close(found.weights, 0.7 * w)


def test_the_first_of_two_members_is_taken_and_the_nearest_where_there_is_none():
    w = torch.ones(4, 2, dtype=torch.float64)

    def family(c):
        return (1 + c) * w

    assert at_error(family, [-1.0, 0.0, 1.0], w, 0.5).setting == pytest.approx(-0.5, abs=1e-6)
    assert at_error(family, [1.0, 0.0, -1.0], w, 0.5).setting == pytest.approx(0.5, abs=1e-6)
    assert at_error(family, [3.0, 2.0], w, 0.5).setting == 2.0


def test_mistakes_are_compared_and_not_answers():
    w = torch.randn(300, 3, generator=torch.Generator().manual_seed(1))
    mistake, other = torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(2))
    assert mistake_cosine(w + mistake, w + 2 * mistake, w) == pytest.approx(1)
    assert mistake_cosine(w + mistake, w - mistake, w) == pytest.approx(-1)
    assert abs(mistake_cosine(w + 1e-3 * mistake, w + 1e-3 * other, w)) < 4.5 / 900**0.5


def test_the_distance_at_equal_error_is_what_the_cosine_says():
    sample = prompts()
    w = sample.task
    ours = implicit_weight(lambda x, y: ridge(x, y, lam=1.0), sample, K)
    error = float((ours - w).square().sum(1).mean())
    found = at_error(lambda c: c * implicit_weight(least_squares, sample, K), [0.0, 1.0], w, error)
    assert found.error == pytest.approx(error)
    apart = float((found.weights - ours).square().sum(1).mean())
    assert apart == pytest.approx(2 * error * (1 - mistake_cosine(ours, found.weights, w)))


@pytest.mark.parametrize(
    ("predictor", "phi"),
    [
        (lambda x, y: gradient_descent(x, y, eta=0.3, steps=4), lambda s, _: 1 - (1 - 0.3 * s) ** 4),
        (lambda x, y: ridge(x, y, lam=2.0), lambda s, _: s / (s + 2.0 / K)),
        (lambda x, y: newton(x, y, steps=2), lambda s, top: 1 - (1 - (s / top) ** 2) ** 4),
        (least_squares, lambda s, _: torch.ones_like(s)),
    ],
)
def test_algorithms_are_the_filters_that_they_are_said_to_be(predictor, phi):
    """Prompts whose inputs have the same three eigenvalues, one in each bin."""
    sample = prompts(batch=50)
    s = torch.tensor([0.2, 1.0, 2.5], dtype=torch.float64)
    q, _ = torch.linalg.qr(sample.x[:, :K])
    turn, _ = torch.linalg.qr(sample.x[:, :3])
    x = torch.cat([q * (K * s).sqrt() @ turn, sample.x[:, K:]], 1)
    given = Prompts(x, torch.einsum("bnd,bd->bn", x, sample.task), sample.task)
    edges = torch.tensor([0.0, 0.5, 2.0, 4.0], dtype=torch.float64)
    found = measured_filter(implicit_weight(predictor, given, K), given, K, edges)
    torch.testing.assert_close(found.passed, phi(s, s[-1]))
    assert found.unexplained == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_directions_that_no_example_spans_have_the_eigenvalue_zero(dtype):
    """Two examples in four dimensions; rounding has no say in whether a direction is below the first edge."""
    sample = prompts(batch=200, d=4)
    sample = Prompts(sample.x.to(dtype), sample.y.to(dtype), sample.task.to(dtype))
    found = measured_filter(sample.task, sample, 2, torch.tensor([0.0, 1e-9, 100.0], dtype=dtype))
    torch.testing.assert_close(found.passed, torch.ones(2, dtype=dtype))
    assert found.unexplained < 1e-12
    fitted = implicit_weight(least_squares, sample, 2)
    found = measured_filter(fitted, sample, 2, torch.tensor([0.0, 1e-9, 100.0], dtype=dtype))
    torch.testing.assert_close(found.passed, torch.tensor([0.0, 1.0], dtype=dtype), atol=1e-5, rtol=0)


def test_what_is_no_filter_is_left_unexplained():
    """The share passed has a standard error of 4800**-.5, .014, and what is unexplained one of half as much."""
    sample = prompts(batch=1600)
    noise = torch.randn(1600, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = measured_filter(sample.task + noise, sample, K, torch.tensor([0.0, 100.0], dtype=torch.float64))
    assert float(found.passed) == pytest.approx(1, abs=0.1)
    assert found.unexplained == pytest.approx(0.5, abs=0.05)
    other = measured_filter(sample.task.roll(1, 0), sample, K, torch.tensor([0.0, 100.0], dtype=torch.float64))
    assert abs(float(other.passed)) < 0.1 and other.unexplained > 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: at_error(lambda c: torch.ones(2, 2), [], torch.ones(2, 2), 1.0), "at least one setting"),
        (lambda: at_error(lambda c: torch.ones(2, 2), [1.0], torch.ones(2, 2), 0.0), "got 1 and 0.0"),
        (lambda: measured_filter(prompts().task, prompts(), K, torch.ones(1)), "got 1 and k=6"),
        (lambda: measured_filter(prompts().task, prompts(), 9, torch.arange(3.0)), "1 to 7 examples .*k=9"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
