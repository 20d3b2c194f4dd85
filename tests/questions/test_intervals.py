"""The interval of refutations, against SciPy's."""

import numpy as np
import pytest
import torch
from scipy.stats import norm, sem

from mechlib.questions.intervals import with_interval


def test_it_is_the_normal_interval_of_the_mean():
    values = np.random.default_rng(0).exponential(size=7)
    for z, level in ((1.96, 0.95), (1.6448536, 0.9)):
        low, high = norm.interval(level, values.mean(), sem(values))
        found = with_interval(torch.from_numpy(values), z)
        assert [float(part) for part in found] == pytest.approx([values.mean(), low, high], rel=1e-4)
    assert with_interval(torch.from_numpy(values)) == with_interval(torch.from_numpy(values), 1.96)
