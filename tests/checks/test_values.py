"""Reading what was returned and comparing it."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch

from mechlib.checks.question import Field
from mechlib.checks.values import Reading, Unreadable, agree, compare, read, read_fields

PAIR = (Field("low"), Field("high", "file"))


@dataclass
class Interval:
    low: float
    high: list


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        *((number, []) for number in (3, 3.0, True, Fraction(1, 2), np.float16(1))),
        *((empty, [len(empty), 0] if empty else [0]) for empty in ([], [[], []])),
        (np.zeros((2, 1)), [2, 1]),
        ([torch.ones(2), np.ones(2), (1, 2)], [3, 2]),
        (torch.ones(2, 3).bool(), [2, 3]),
    ],
)
def test_shapes_are_kept(value, shape):
    reading = read(value)
    assert list(reading.values.shape) == shape and reading.values.dtype == torch.float64


@pytest.mark.parametrize("value", [None, "x", object(), np.array(["x"]), np.array([None]), [1, [2]], 1j, np.array(1j)])
def test_what_holds_no_numbers_is_refused(value):
    with pytest.raises(Unreadable):
        read(value)


@pytest.mark.parametrize(
    "value",
    [(1.0, [2.0, 3.0]), [np.float64(1), np.array([2, 3])], {"high": [2, 3], "low": 1}, Interval(1.0, [2.0, 3.0])],
)
def test_several_fields_come_in_several_ways(value):
    low, high = read_fields(value, PAIR)
    assert low.values == 1 and high.values.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((1, 2, 3), "3 values"),
        ((1,), "1 value;"),
        ({"low": 1}, "without high"),
        (5.0, "one number; asked for are 2 values"),
        (torch.tensor(1.0), "one number;"),
        (np.array(1.0), "one number;"),
        (torch.ones(5, 2), r"one tensor of shape \[5, 2\]; asked for are 2 values"),
        (np.ones((5, 2)), r"one array of shape \[5, 2\];"),
        ("text", "a str, which is not a number"),
    ],
)
def test_missing_fields_are_named(value, words):
    with pytest.raises(Unreadable, match=words) as error:
        read_fields(value, PAIR)
    assert "low, high" in str(error.value)


def test_a_stack_holds_several_fields():
    assert [r.values.item() for r in read_fields(torch.tensor([1.0, 2.0]), (Field("a"), Field("b")))] == [1, 2]


def test_one_number_may_come_with_an_axis_of_length_one():
    assert agree(read([2.0]), read(2.0), Field("x"))
    assert not agree(read(2.0), read([2.0]), Field("x"))
    assert not agree(read([2.0, 2.0]), read(2.0), Field("x"))


def test_the_largest_gap_is_shown():
    want = torch.arange(6.0).reshape(2, 3)
    got = want + torch.tensor([[0, 0.5, 0], [0, 0, -2.0]])
    difference = compare(read(got), read(want), Field("x", "row column"))
    assert (difference.n_off, difference.index, difference.got, difference.want) == (2, (1, 2), 3.0, 5.0)
    assert str(difference) == "x: 2 of 6 values off, most: yours 3, right 5 at [1, 2] (gap 2)"


def test_the_gap_of_one_number():
    assert str(compare(read(-3.36), read(-1.43), Field("low"))) == "low: yours -3.36, right -1.43 (gap 1.93)"
    assert str(compare(read(float("nan")), read(-1.43), Field("low"))) == "low: yours nan, right -1.43"


def test_nan_and_infinity():
    want, nan, inf = read([1.0, 2.0]), read([1.0, float("nan")]), read([1.0, float("inf")])
    assert compare(nan, want, Field("x")).n_nan == 1
    assert compare(inf, want, Field("x")).index == (1,)
    assert agree(nan, nan, Field("x")) and agree(inf, inf, Field("x"))


def test_half_precision_widens_the_tolerance_by_its_rounding_only():
    want = torch.linspace(-30, -1, 50)
    for dtype in (torch.float16, torch.bfloat16):
        assert agree(read(want.to(dtype)), read(want), Field("x"))
        assert not agree(read((1.02 * want - 0.05).half()), read(want), Field("x"))
    assert not agree(read(want.half()), Reading(want.double() + 0.01), Field("x", atol=0, rtol=0))
    assert not agree(read(torch.zeros(3).bfloat16()), read([0.01, -0.01, 0.0]), Field("x"))


def test_exact_fields_allow_nothing():
    assert not agree(read(2.0005), read(2), Field("rank", atol=0.0, rtol=0.0))
    assert agree(read(2.0), read(2), Field("rank", atol=0.0, rtol=0.0))


def test_what_is_coarser_than_half_precision_widens_nothing():
    want = torch.tensor([1.0, 2.0, 4.0])
    rounded = read((1.1 * want).to(torch.float8_e5m2))
    assert rounded.precision == 0
    assert not agree(rounded, read(1.1 * want), Field("x"))


def test_what_was_read_elsewhere_is_taken_as_it_is():
    reading = Reading(torch.tensor([1.0, 2.0]).double(), 2.0**-10)
    assert read_fields(reading, [Field("x")]) == (reading,)
    assert read_fields((reading, reading), [Field("x"), Field("y")]) == (reading, reading)
    with pytest.raises(Unreadable, match="a str, which is not a number"):
        read_fields(Unreadable("a str, which is not a number"), [Field("x")])
