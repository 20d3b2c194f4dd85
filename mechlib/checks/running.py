"""Calling an answer on one case, with fresh copies of the inputs, and catching whatever happens."""

from __future__ import annotations

import ast
import copy
import inspect
import linecache
import sys
import sysconfig
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from types import CodeType, TracebackType

import torch
from torch import Tensor

from mechlib.checks.question import Answer, Case, Model, Value

__all__ = ["Raised", "Returned", "run"]

LIBRARIES = tuple(
    {str(Path(p)) for p in (*sysconfig.get_paths().values(), str(Path(__file__).parents[1])) if p != sys.prefix}
)
"""Where code lives that the reader did not write: the standard library, installed packages, mechlib."""


@dataclass(frozen=True)
class Returned:
    """The answer returned."""

    value: object
    changed: tuple[str, ...] = ()
    """Names of the inputs that the answer changed in place."""


@dataclass(frozen=True)
class Raised:
    """The answer raised."""

    kind: str
    """Name of the exception's type."""
    message: str
    line: str = ""
    """The reader's line that raised or called what raised; empty if it is not known."""
    number: int = 0
    """Its number in the reader's cell or file; 0 if it is not known."""
    unfilled: bool = False
    """Whether it is only the ``raise NotImplementedError`` that stands where the answer goes."""
    leftover: bool = False
    """Whether that line stands in a function that does something else too."""


def run(answer: Answer, case: Case) -> Returned | Raised:
    """What ``answer`` does on ``case``. Only ``KeyboardInterrupt`` passes, so that an endless answer can be stopped."""
    inputs = {name: _fresh(value) for name, value in case.inputs.items()}
    try:
        value = answer(*inputs.values())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an answer may raise anything, SystemExit included
        return _raised(error)
    return Returned(value, _changed(case.inputs, inputs))


def _fresh(value: Value) -> object:
    """A copy of an input, or the model that it names. Where tensors are made in double precision by default, so that an
    answer's own are, single-precision numbers come in it."""
    if isinstance(value, Model):
        from mechlib import zoo  # takes seconds, and few questions need it

        return zoo.load(value.name, step=value.step, device="cpu")
    if isinstance(value, Tensor) and value.dtype == torch.float32 and torch.get_default_dtype() == torch.float64:
        return value.double()
    return copy.deepcopy(value)


def _changed(before: Mapping[str, Value], after: Mapping[str, object]) -> tuple[str, ...]:
    plain = (name for name, value in before.items() if not isinstance(value, Model))
    return tuple(name for name in plain if not _same(before[name], after[name]))


def _same(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
    return a == b


def _raised(error: BaseException) -> Raised:
    file, number = _readers_place(error.__traceback__)
    line = linecache.getline(file, number).strip()
    innermost = list(walk_tb(error.__traceback__))[-1]
    source = linecache.getline(innermost[0].f_code.co_filename, innermost[1]).strip()
    message = _message(error)
    bare = source.startswith("raise NotImplementedError") or not (source or message)
    unfilled = isinstance(error, NotImplementedError) and bare
    leftover = unfilled and _does_more(innermost[0].f_code)
    return Raised(type(error).__name__, message, line, number, unfilled, leftover)


def _does_more(code: CodeType) -> bool:
    """Whether a function holds statements beside its text and a ``raise``; false if its source is not known."""
    try:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(code))).body
    except (OSError, SyntaxError, ValueError):
        return False

    def idle(statement: ast.stmt) -> bool:
        constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        return constant or isinstance(statement, (ast.Raise, ast.Pass))

    return isinstance(function, ast.FunctionDef) and not all(map(idle, function.body))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as another:
        return f"(its message cannot be shown: {type(another).__name__})"


def _readers_place(traceback: TracebackType | None) -> tuple[str, int]:
    places = [(frame.f_code.co_filename, number) for frame, number in walk_tb(traceback)]
    own = [(file, number) for file, number in places if not file.startswith(LIBRARIES)]
    return own[-1] if own else ("", 0)
