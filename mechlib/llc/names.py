"""What the names in a function's code stand for, and which code goes by name and version."""

from __future__ import annotations

import builtins
import dis
import functools
import importlib
import inspect
import platform
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

__all__ = ["MISSING", "content", "installed", "named"]

MISSING = inspect.Parameter.empty
"""The value of a name that has none."""
LOADS = {
    "LOAD_CLASSDEREF", "LOAD_DEREF", "LOAD_FROM_DICT_OR_DEREF", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_GLOBAL", "LOAD_NAME",
}  # fmt: skip
"""Instructions that look up a name outside of the function."""
ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
FILLERS = {"CACHE", "EXTENDED_ARG", "NOP", "PUSH_NULL"}


@functools.cache
def installed(module: str | None) -> str | None:
    """The version of the installed package, or of the Python, that a module belongs to; None if it may be edited.

    A package that is installed in place, from a checkout, may be edited; and so may one that names no version.
    """
    top = str(module).partition(".")[0]
    try:
        spec = None if top == "__main__" else find_spec(top)
    except (ImportError, ValueError):  # made while running, without a file
        spec = None
    if spec is None:
        return None
    place = Path(spec.origin or next(iter(spec.submodule_search_locations or ()), ""))
    if {"site-packages", "dist-packages"} & set(place.parts):
        return _version(top)
    standard = Path(sysconfig.get_path("stdlib"))
    inside = str(place) in ("built-in", "frozen") or place.resolve().is_relative_to(standard.resolve())
    return platform.python_version() if inside and top in sys.stdlib_module_names else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        names = sorted(set(metadata.packages_distributions().get(package, ())))
        return ", ".join(f"{name} {metadata.version(name)}" for name in names) or None


def content(cell: CellType) -> Any:
    """What a function encloses in a cell."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def named(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The dotted names that a function, or one in it, looks up outside of itself, with the values they have now.

    Through a module a name is followed as far as the code says: of ``physics.constants.G`` the number is the value. A
    module that the code uses in another way is a value itself.
    """
    cells = dict(zip(function.__code__.co_freevars, map(content, function.__closure__ or ()), strict=True))
    for name, *attributes in sorted(set(_lookups(function.__code__))):
        if name in cells:
            if isinstance(cells[name], ModuleType):
                yield _followed(name, cells[name], attributes)
        elif name in function.__globals__:
            yield _followed(name, function.__globals__[name], attributes)
        elif not hasattr(builtins, name):
            yield name, MISSING
    yield from _imports(function)


def _followed(path: str, value: Any, attributes: list[str]) -> tuple[str, Any]:
    while isinstance(value, ModuleType) and attributes:
        attribute, *attributes = attributes
        path = f"{path}.{attribute}"
        try:
            value = getattr(value, attribute)
        except Exception:  # whatever a module that loads its parts on demand raises
            value = MISSING
    return path, value


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code, and that of all functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _steps(code: CodeType) -> list[dis.Instruction]:
    return [step for step in dis.get_instructions(code) if step.opname not in FILLERS]


def _lookups(whole: CodeType) -> Iterator[tuple[str, ...]]:
    """Names looked up outside the code, each with the attributes that are at once taken of it."""
    for code in _codes(whole):
        path: tuple[str, ...] = ()
        for step in _steps(code):
            if path and step.opname in ATTRIBUTES:
                path = (*path, step.argval)
                continue
            if path:
                yield path
            path = (step.argval,) if step.opname in LOADS else ()


def _imports(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """What the function imports when it is called."""
    package = function.__globals__.get("__package__")
    for code in _codes(function.__code__):
        steps = _steps(code)
        for level, members, step in zip(steps, steps[1:], steps[2:], strict=False):
            if step.opname != "IMPORT_NAME":
                continue
            try:
                name = resolve_name("." * level.argval + step.argval, package)
                module: Any = installed(name) or importlib.import_module(name)
            except ImportError:
                name, module = step.argval, MISSING
            if members.argval and isinstance(module, ModuleType):
                yield from (_followed(f"import {name}", module, [member]) for member in members.argval)
            else:
                yield f"import {name}", module
