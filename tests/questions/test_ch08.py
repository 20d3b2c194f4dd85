"""The references of chapter 08 against closed forms and second implementations."""

import pytest
import torch
from scipy.stats import ttest_rel

from mechlib.checks.registry import find

GAP = find("ch08.gap").reference


def test_the_gap_over_its_error_is_the_paired_t():
    generator = torch.Generator().manual_seed(1)
    measured, control = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    gap, low = GAP(measured, control)
    assert float(1.96 * gap / (gap - low)) == pytest.approx(ttest_rel(measured, control).statistic)
