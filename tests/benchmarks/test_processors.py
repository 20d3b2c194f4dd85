"""What the bench of processors reads off pytest's explanations, and which seeds it moves."""

import math

import pytest

from tests.benchmarks import margins, seeds


@pytest.mark.parametrize(
    ("explanation", "found"),
    [
        ("3.404 < 3.395\n +  where 3.404 = run()", [(3.404, "<", 3.395, 0.0)]),
        ("assert 3.404 < 3.395", [(3.404, "<", 3.395, 0.0)]),
        ("tensor(0.0213, dtype=torch.float64) < 4", [(0.0213, "<", 4, 0.0)]),
        ("0.03 < (2 * 0.05)", [(0.03, "<", 0.1, 0.0)]),
        ("1.98 == 2.0 ± 4.0e-02\n  comparison failed", [(1.98, "==", 2.0, 0.04)]),
        ("(-1.5 >= 1e-3 and np.float64(2.5) <= 3)", [(-1.5, ">=", 1e-3, 0.0), (2.5, "<=", 3, 0.0)]),
        ("nan < 3", []),
        ("{'a'} == {'b'}", []),
        ("tensor(True)", []),
    ],
)
def test_numbers_are_read_off_an_explanation(explanation, found):
    assert [pytest.approx(numbers[0]) for numbers in found] == [left for left, *_ in margins.compared(explanation)]
    assert [numbers[1:2] + numbers[3:] for numbers in found] == [
        (sign, within) for _, sign, _, within in margins.compared(explanation)
    ]
    assert all(math.isclose(a[2], b[2]) for a, b in zip(found, margins.compared(explanation), strict=True))


def test_seeds_are_moved_and_nothing_else_is():
    assert seeds.moved(5, 2) == 5 + 2 * seeds.STRIDE and seeds.moved([1, 2], 1) == [1 + seeds.STRIDE, 2 + seeds.STRIDE]
    assert [seeds.moved(seed, 3) for seed in (None, True, "text")] == [None, True, "text"]
    assert seeds.moved(5, 0) == 5
