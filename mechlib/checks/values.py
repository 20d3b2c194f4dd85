"""Reading what an answer returned, and comparing it with what is right.

Any container of numbers that a reasonable answer would return is accepted: tensors of any device and dtype, arrays,
numbers, nested lists. Everything is compared in double precision on the CPU.
"""

from __future__ import annotations

import numbers
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, is_dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from mechlib.checks.question import Field

__all__ = ["Difference", "Reading", "Unreadable", "agree", "as_tensor", "compare", "read", "read_fields"]


HALF = {torch.finfo(dtype).eps: dtype for dtype in (torch.float16, torch.bfloat16)}
"""The dtypes whose rounding is allowed for, by their relative rounding error."""

MOST_SLACK = 30
"""An entry may be off for single precision by at most so many times its tolerance, also where its rounding is worse."""


class Unreadable(ValueError):
    """The value holds no numbers that could be compared; the message completes "your function returned ..."."""


@dataclass(frozen=True)
class Reading:
    """The numbers of one returned quantity."""

    values: Float64[Tensor, "*shape"]
    """On the CPU, in the shape in which they came."""
    precision: float = 0.0
    """Relative rounding error of the dtype in which they came, where that is half precision; coarser is no excuse.
    Of numbers that came in several dtypes, the largest."""
    slack: Float64[Tensor, "*shape"] | None = None
    """Of what is right: how far single precision may move each entry, beside the tolerance of the field."""


@dataclass(frozen=True)
class Difference:
    """How one returned quantity differs from the right one; ``index`` is where it does so most."""

    field: Field
    got_shape: tuple[int, ...]
    want_shape: tuple[int, ...]
    n_off: int = 0
    """Number of entries off by more than the tolerance; 0 if the shapes differ."""
    n_nan: int = 0
    """Number of entries that are NaN and should not be."""
    index: tuple[int, ...] = ()
    got: float = 0.0
    want: float = 0.0

    @property
    def kind(self) -> str:
        """What kind of difference it is, without any number of the right answer."""
        if self.got_shape != self.want_shape:
            asked = f"one over {', '.join(self.field.axes.split())}" if self.field.axes else "that of a single number"
            return f"{self.field.name}: the shape is {list(self.got_shape)}, asked for is {asked}"
        return f"{self.field.name} is {'NaN where it should be a number' if self.n_nan else 'off'}"

    def __str__(self) -> str:
        if self.got_shape != self.want_shape:
            axes = f" ({', '.join(self.field.axes.split())})" if self.field.axes else " (a single number)"
            return f"{self.field.name}: the shape is {list(self.got_shape)}, asked for is {list(self.want_shape)}{axes}"
        both = f"yours {self.got + 0.0:.6g}, right {self.want + 0.0:.6g}"  # the sum turns -0 into 0
        gap = f"(gap {abs(self.got - self.want):.3g})"
        if not self.want_shape:
            return f"{self.field.name}: {both}" if self.n_nan else f"{self.field.name}: {both} {gap}"
        count = f"{self.n_off} of {int(np.prod(self.want_shape))} values off"
        if self.n_nan:
            return f"{self.field.name}: {count}, {self.n_nan} of them NaN"
        return f"{self.field.name}: {count}, most: {both} at {list(self.index)} {gap}"


def read_fields(value: object, fields: Sequence[Field]) -> tuple[Reading, ...]:
    """The numbers of every field. Several fields may come as a tuple, a list, a dict, a dataclass or a stack.

    What was read in another process comes as a ``Reading`` for every field, or as the ``Unreadable`` of that reading.

    Raises:
        Unreadable: if a field is missing or holds no numbers, or if reading it raises anything.
    """
    if isinstance(value, Unreadable):
        raise value
    try:
        return (read(value),) if len(fields) == 1 else _read_several(value, fields)
    except Unreadable:
        raise
    except Exception as error:
        kind = type(value).__name__
        raise Unreadable(f"{_a(kind)} that cannot be read ({type(error).__name__}: {error})") from error


def as_tensor(value: object) -> Float64[Tensor, "*shape"]:
    """The numbers of one value as ``check`` compares them: in double precision, on the CPU. Errors as in ``read``."""
    return read(value).values


def _read_several(value: object, fields: Sequence[Field]) -> tuple[Reading, ...]:
    names = ", ".join(field.name for field in fields)
    if is_dataclass(value) and not isinstance(value, type):
        value = vars(value)
    if isinstance(value, Mapping):
        if missing := [field.name for field in fields if field.name not in value]:
            raise Unreadable(f"a dict without {', '.join(missing)}; asked for are {names}")
        return tuple(read(value[field.name]) for field in fields)
    one = not isinstance(value, (Tensor, np.ndarray, list, tuple)) or getattr(value, "ndim", 1) == 0
    if one or not isinstance(value, Collection) or len(value) != len(fields):
        raise Unreadable(f"{_count(value)}; asked for are {len(fields)} values: {names}")
    return tuple(read(part) for part in value)


def _count(value: object) -> str:
    """How many values came where several were asked for."""
    if isinstance(value, numbers.Real) or getattr(value, "shape", None) == ():
        return "one number"
    if isinstance(value, (Tensor, np.ndarray)):
        return f"one {'tensor' if isinstance(value, Tensor) else 'array'} of shape {list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"{len(value)} value{'s' * (len(value) != 1)}"
    return _describe(value)


def read(value: object) -> Reading:
    """The numbers of one value.

    Raises:
        Unreadable: if it holds none: text, ``None``, objects, a tensor of the meta device, ragged lists.
    """
    if isinstance(value, Reading):
        return value
    if isinstance(value, Tensor):
        return _read_tensor(value)
    if isinstance(value, (list, tuple)):
        return _read_list(value)
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            precision = float(np.finfo(array.dtype).eps) if array.dtype == np.float16 else 0.0
            return Reading(torch.from_numpy(np.array(array, dtype=np.float64)), precision)
    if isinstance(value, numbers.Real):
        return Reading(torch.tensor(float(value), dtype=torch.float64, device="cpu"))
    raise Unreadable(_describe(value))


def _read_tensor(value: Tensor) -> Reading:
    if value.is_meta:
        raise Unreadable(f"a tensor of shape {list(value.shape)} on the meta device, which holds no values")
    if value.is_complex():
        raise Unreadable(f"a tensor of complex numbers ({value.dtype})")
    dense = value.detach().to_dense() if value.layout != torch.strided else value.detach()
    coarse = value.is_floating_point() and torch.finfo(value.dtype).bits == 16
    return Reading(dense.to("cpu", torch.float64), float(torch.finfo(value.dtype).eps) if coarse else 0.0)


def _read_list(value: Sequence[object]) -> Reading:
    parts = [read(part) for part in value]
    if not parts:
        return Reading(torch.empty(0, dtype=torch.float64, device="cpu"))
    if len(shapes := {part.values.shape for part in parts}) > 1:
        raise Unreadable(f"a list whose parts differ in shape: {', '.join(str(list(s)) for s in sorted(shapes))}")
    return Reading(torch.stack([part.values for part in parts]), max(part.precision for part in parts))


def _describe(value: object) -> str:
    return "None" if value is None else f"{_a(type(value).__name__)}, which is not a number"


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def compare(got: Reading, want: Reading, field: Field) -> Difference | None:
    """``None`` where ``got`` agrees with ``want`` within the tolerance of ``field``, else how it differs.

    Shapes must be equal, except that one number may come as ``[1]`` or ``[]``. The tolerance is widened by the slack of
    what is right, and for an entry that came in half precision by what rounding changes at most at its own size, half a
    unit of its last place. NaN equals NaN.
    """
    values = _one_number(got.values, want.values)
    if (off := _off(got, want, field)) is None:
        return Difference(field, tuple(values.shape), tuple(want.values.shape))
    if not off.any():
        return None
    gap = torch.where(off, (values - want.values).abs().nan_to_num(nan=torch.inf, posinf=torch.inf), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(gap.argmax()), gap.shape))
    return Difference(
        field,
        tuple(values.shape),
        tuple(want.values.shape),
        n_off=int(off.sum()),
        n_nan=int((values.isnan() & ~want.values.isnan()).sum()),
        index=index,
        got=float(values[index]),
        want=float(want.values[index]),
    )


def agree(got: Reading, want: Reading, field: Field) -> bool:
    """Whether ``compare`` finds no difference."""
    off = _off(got, want, field)
    return off is not None and not off.any()


def _off(got: Reading, want: Reading, field: Field) -> Bool[Tensor, "*shape"] | None:
    """Where the two differ by more than the tolerance; ``None`` if their shapes do."""
    values = _one_number(got.values, want.values)
    if values.shape != want.values.shape:
        return None
    tolerance = field.atol + field.rtol * want.values.abs()
    if not field.exact and want.slack is not None:
        tolerance = tolerance + torch.minimum(want.slack, MOST_SLACK * tolerance)
    if not field.exact and got.precision in HALF:
        tolerance = tolerance + _rounding(values, HALF[got.precision])
    same = (values == want.values) | (values.isnan() & want.values.isnan())
    return ~(same | (want.values.isfinite() & ((values - want.values).abs() <= tolerance)))


def _rounding(values: Float64[Tensor, "*shape"], dtype: torch.dtype) -> Float64[Tensor, "*shape"]:
    """How far at most a number was from the entry that it became by rounding; 0 for an entry that ``dtype`` lacks."""
    about = torch.finfo(dtype)
    _, exponent = values.frexp()  # a number below 1, times 2 to this
    size = torch.full_like(values, 2.0).pow(exponent - 1).clamp(min=about.smallest_normal)
    is_one = values.isfinite() & (values.to(dtype).to(values.dtype) == values)
    return torch.where(is_one, size * about.eps / 2, 0.0)


def _one_number(got: Tensor, want: Tensor) -> Tensor:
    return got.reshape(()) if want.ndim == 0 and got.numel() == 1 else got
