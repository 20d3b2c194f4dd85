"""The interval for skewed values: Student's, widened by the solution of Hall's cubic."""

import numpy as np
import pytest
from scipy import stats as reference
from scipy.optimize import brentq

from mechlib import stats


def student(values, level=0.95):
    return reference.ttest_1samp(values, 0).confidence_interval(level)


def hall(values, level, share):
    """Ends of Hall's interval, by a search for the mean at which his cubic takes Student's quantile."""
    n, mean, spread = len(values), values.mean(), values.std(ddof=1)
    g = share(reference.skew(values), reference.skew(values, bias=False))

    def beyond(mu, sign):
        t = (mean - mu) / spread
        cubic = t + g * t**2 / 3 + g**2 * t**3 / 27 + g / (6 * n)
        return np.sqrt(n) * cubic - sign * reference.t.ppf((1 + level) / 2, n - 1)

    return [brentq(beyond, mean - 99 * spread, mean + 99 * spread, args=(sign,)) for sign in (1, -1)]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.9875])
@pytest.mark.parametrize("n", [5, 11, 12, 40])
@pytest.mark.parametrize("sign", [1, -1])
def test_each_end_is_the_wider_one_of_student_and_hall(n, level, sign):
    values = sign * np.random.default_rng(n).exponential(size=n)
    skew = hall(values, level, (lambda sample, _: sample) if n < 12 else (lambda _, unbiased: 1.5 * unbiased))
    plain = student(values, level)
    low, high = stats.skewed_interval(values, level=level)
    assert (low, high) == pytest.approx((min(plain.low, skew[0]), max(plain.high, skew[1])))


def test_it_is_students_where_the_sample_is_symmetric():
    values = np.arange(-10.0, 11.0) + 3
    assert stats.skewed_interval(values) == pytest.approx(tuple(student(values)))


def test_sets_are_taken_one_by_one_and_turn_with_their_sign():
    values = np.random.default_rng(0).exponential(size=(3, 4, 20))
    low, high = stats.skewed_interval(values)
    assert low.shape == high.shape == (3, 4)
    assert (low[1, 2], high[1, 2]) == pytest.approx(stats.skewed_interval(values[1, 2]))
    mirrored = stats.skewed_interval(-values)
    assert np.allclose(mirrored[0], -high) and np.allclose(mirrored[1], -low)


def test_equal_values_leave_no_width():
    assert stats.skewed_interval(np.full(6, 0.3)) == (pytest.approx(0.3), pytest.approx(0.3))


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan], [1.0, np.inf, 2.0]])
def test_what_gives_no_interval_is_refused(values):
    with pytest.raises(ValueError, match=f"two finite values, got {len(values)}"):
        stats.skewed_interval(np.array(values))
