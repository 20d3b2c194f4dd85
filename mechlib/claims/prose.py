"""Numbers and statements of the prose, compared with what the notebook measures."""

from __future__ import annotations

import inspect
import os
import platform
import sys
import warnings
from types import FrameType

WRITTEN_FOR = (3, 11)
"""The version of Python with which the numbers in the prose were measured."""


class ProseWarning(UserWarning):
    """What the prose says is not what this run gives."""


def quoted(measured: float, in_text: float, *, within: float) -> None:
    """Compare a number quoted in the prose with what the notebook measures.

    Args:
        measured: the number just computed (a float, or a tensor of one element).
        in_text: the number as the prose prints it.
        within: the largest difference that leaves the prose true.

    Where they differ by more, or the measured number is NaN, it warns (``ProseWarning``) with both numbers and both
    versions of Python, and the notebook goes on.

    Raises:
        AssertionError: instead of the warning, in the tests of the book (where ``MECHLIB_STRICT`` is set) on the Python
            that it was written for.
    """
    found = float(getattr(measured, "detach", lambda: measured)())
    if not abs(found - in_text) <= within:
        differ(f"the text says {in_text:g} (within {within:g}), this run gives {found:.6g}")


def stated(holds: bool) -> None:
    """See that something said in the prose is still so: the argument of the call, as ``stated(gap.max() < 0.01)``.

    Warns or raises like ``quoted``, with the text of the call.
    """
    if not holds:
        differ(f"the text rests on {_call(sys._getframe(1))}, and in this run that is not so")


def at_home() -> bool:
    """Whether this is the Python on whose standard library, which is the text that the models read, the book was
    measured: ``WRITTEN_FOR``."""
    return sys.version_info[:2] == WRITTEN_FOR


def differ(sentence: str) -> None:
    """Say that the prose is not what this run gives; ``quoted`` and ``stated`` do, and warn or raise alike.

    Args:
        sentence: what the text says and what was found, without a full stop.

    Raises:
        AssertionError: instead of the warning, where ``quoted`` does.
    """
    if at_home() and os.environ.get("MECHLIB_STRICT"):
        raise AssertionError(sentence)
    written = ".".join(map(str, WRITTEN_FOR))
    here = f"the book was measured with Python {written}, this is Python {platform.python_version()}"
    warnings.warn(f"{sentence}; {here}", ProseWarning, stacklevel=3)


def _call(frame: FrameType) -> str:
    """The source of the call that a frame is in, on one line."""
    lines, first = inspect.getsourcelines(frame)
    at = inspect.getframeinfo(frame).positions
    first, end = max(first, 1), (at and at.end_lineno) or frame.f_lineno  # none if Python keeps no ranges of code
    text = " ".join(line.strip() for line in lines[frame.f_lineno - first : end - first + 1])
    return text.removeprefix("stated")
