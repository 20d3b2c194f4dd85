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


def test_the_worst_entry_is_the_one_without_a_number():
    want = read([1.0, 2.0, 3.0])
    difference = compare(read([9.0, float("nan"), 3.0]), want, Field("x", "row"))
    assert (difference.index, difference.n_off, difference.n_nan) == ((1,), 2, 1)
    assert str(difference) == "x: 2 of 3 values off, 1 of them NaN"
    assert compare(read([1.0, 9.0, float("inf")]), want, Field("x")).index == (2,)
    given = read([float("nan"), float("nan")])
    assert compare(given, read([float("nan"), 2.0]), Field("x")).n_nan == 1


def test_no_number_is_shown_as_minus_nothing():
    assert str(compare(read(-0.0), read(1.0), Field("x"))) == "x: yours 0, right 1 (gap 1)"


def test_sparse_tensors_and_those_with_a_gradient_are_read():
    want = torch.tensor([[0.0, 2.0], [1.0, 0.0]], requires_grad=True)
    for given in (want, want.detach().to_sparse(), want.to_sparse()):
        reading = read(given)
        assert torch.equal(reading.values, want.detach().double()) and not reading.values.requires_grad


HALF = torch.tensor(2049.0).half()


@pytest.mark.parametrize(
    "rounded",
    [
        torch.stack([HALF, HALF]),
        np.array([2049.0, 2049.0], dtype=np.float16),
        [HALF, 2049.0],
        [2049.0, HALF],
        [torch.tensor(2049.0), np.array(2049.0, dtype=np.float16)],
        [np.float16(2049.0), 2049.0],
    ],
)
def test_half_precision_is_known_in_whatever_it_comes(rounded):
    """2049 is no number of half precision and comes as 2048, 1 off: more than the tolerance of .2."""
    assert agree(read(rounded), read([2049.0, 2049.0]), Field("x"))
    assert not agree(read(read(rounded).values), read([2049.0, 2049.0]), Field("x"))


def test_half_precision_widens_the_tolerance_by_its_rounding_only():
    want = torch.linspace(-30, -1, 50)
    for dtype in (torch.float16, torch.bfloat16):
        assert agree(read(want.to(dtype)), read(want), Field("x"))
        assert not agree(read((1.02 * want - 0.05).half()), read(want), Field("x"))
    assert not agree(read(want.half()), Reading(want.double() + 0.01), Field("x", atol=0, rtol=0))
    assert not agree(read(torch.zeros(3).bfloat16()), read([0.01, -0.01, 0.0]), Field("x"))


HALF = [torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_an_entry_in_half_precision_may_be_off_by_half_its_own_unit(dtype):
    """The unit from the next number of the dtype, whose bits are those of an integer one larger; subnormal ones too."""
    bits = torch.arange(1, 0x7800, 37, dtype=torch.int16)
    here, above = bits.view(dtype).double(), (bits + 1).view(dtype).double()
    here, above = here[(finite := here.isfinite() & above.isfinite())], above[finite]
    field = Field("x", "entry", atol=0, rtol=1e-12)
    for sign in (1, -1):
        for far, right in ((0.499, True), (0.501, False)):
            want = read(sign * (here + far * (above - here)))
            got = read((sign * here).to(dtype))
            assert difference_count(got, want, field) == (0 if right else len(here))


def difference_count(got, want, field):
    difference = compare(got, want, field)
    return difference.n_off if difference else 0


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_what_was_rounded_agrees_at_every_size(dtype):
    want = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    want *= 10.0 ** torch.linspace(-6, 4, 2000, dtype=torch.float64)
    assert agree(read(want.to(dtype)), read(want), Field("x", "entry", atol=0, rtol=1e-9))


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_one_per_cent_is_no_rounding(dtype):
    """Also of a small entry beside a large one."""
    want = torch.linspace(0.5, 30, 50).double()
    wrong = compare(read((1.012 * want).to(dtype)), read(want), Field("x", "entry"))
    assert wrong.n_off == 50
    want = torch.tensor([1000.0, 0.5, 0.01]).double()
    got = want + torch.tensor([0.0, 0.006, 0.002])
    assert compare(read(got.to(dtype)), read(want), Field("x", "entry")).n_off == 2


def test_rounding_excuses_only_what_is_a_number_of_the_dtype():
    """A list has one precision; a worker of the grader may claim any."""
    mixed = [torch.tensor(1.003), torch.tensor(1.0, dtype=torch.bfloat16)]
    assert compare(read(mixed), read([1.0, 1.0]), Field("x", "entry")).index == (0,)
    claimed = Reading(torch.tensor([1.0035, 1.0]).double(), 2.0**-7)
    assert not agree(claimed, read([1.0, 1.0]), Field("x", "entry"))
    assert not agree(Reading(torch.tensor([1.0, torch.inf]).double(), 2.0**-7), read([1.0, 1.0]), Field("x", "entry"))


@pytest.mark.parametrize("default", [torch.float16, torch.float64], ids=str)
def test_the_default_dtype_changes_no_tolerance(default):
    torch.set_default_dtype(default)
    try:
        want = torch.tensor([1e4, 1.0], dtype=torch.float64)
        assert agree(read(want.bfloat16()), read(want * 1.001), Field("x", "entry"))
        assert not agree(read(want.bfloat16()), read(want * 1.012), Field("x", "entry"))
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_kind_of_a_difference_holds_no_number_of_the_right_answer():
    field = Field("x", "row column")
    assert compare(read(torch.ones(3)), read(torch.ones(5, 2)), field).kind == (
        "x: the shape is [3], asked for is one over row, column"
    )
    assert compare(read(torch.ones(3)), read(1.0), Field("y")).kind == (
        "y: the shape is [3], asked for is that of a single number"
    )
    assert compare(read([1.0, 2.0]), read([1.0, 3.0]), field).kind == "x is off"
    assert compare(read([1.0, float("nan")]), read([1.0, 3.0]), field).kind == "x is NaN where it should be a number"


def test_exact_fields_allow_nothing():
    assert not agree(read(2.0005), read(2), Field("rank", atol=0.0, rtol=0.0))
    assert agree(read(2.0), read(2), Field("rank", atol=0.0, rtol=0.0))


def test_half_precision_is_no_excuse_where_nothing_is_allowed():
    """2049 is no number of half precision: it comes as 2048, and is not what was asked for."""
    count, rounded = Field("rank", atol=0.0, rtol=0.0), read(torch.tensor(2049.0).half())
    assert rounded.precision > 0 and count.exact
    assert not agree(rounded, read(2049), count) and agree(rounded, read(2048), count)
    for tolerant in (Field("x", atol=0.0), Field("x", rtol=0.0)):
        assert agree(rounded, read(2049), tolerant) and not tolerant.exact


def test_each_tolerance_counts_for_itself():
    """``atol`` is the largest gap beside 0, ``rtol`` the largest share of what is right."""
    for field in (Field("x"), Field("x", atol=1e-3, rtol=1e-4)):
        assert agree(read(0.0009), read(0.0), field) and not agree(read(0.0011), read(0.0), field)
        assert agree(read(1000.09), read(1000.0), field) and not agree(read(1000.11), read(1000.0), field)
    coarse, strict = Field("x", atol=0.5, rtol=0.0), Field("x", atol=0.0, rtol=0.01)
    assert agree(read(1e6 + 0.4), read(1e6), coarse) and not agree(read(0.6), read(0.0), coarse)
    assert agree(read(1.009e6), read(1e6), strict) and not agree(read(1e-9), read(0.0), strict)


def test_the_right_value_sets_the_scale():
    assert agree(read(0.0), read(1.0), Field("x", atol=0.0, rtol=1.0))
    assert not agree(read(1.0), read(0.0), Field("x", atol=0.0, rtol=1.0))


def test_shapes_are_told_with_the_names_of_their_axes():
    difference = compare(read([1.0, 2.0]), read([1.0, 2.0, 3.0]), Field("score", "layer"))
    assert str(difference) == "score: the shape is [2], asked for is [3] (layer)"
    single = compare(read([1.0, 2.0]), read(1.0), Field("score"))
    assert str(single) == "score: the shape is [2], asked for is [] (a single number)"


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
