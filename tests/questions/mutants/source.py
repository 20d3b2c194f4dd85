"""Mutants by what is written: the reference and its helpers in the bank with one expression changed."""

from __future__ import annotations

import ast
import copy
import inspect
import statistics
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

import torch

from mechlib.checks.question import Answer

__all__ = ["source"]

BANK = "mechlib.questions"

TURNED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
LARGEST = ("argmax", "argmin", "max", "amax", "topk")
MEANS = ("mean", "fmean")
SPREADS = ("var", "std", "var_mean", "std_mean")
SCALED = (ast.Mult, ast.Div, ast.Pow)
FACTORS = (0.9, 1.1)

Site = tuple[ast.AST, Callable[[ast.AST], ast.AST]]
"""A node, and what makes of its copy what is put in its place."""


def source(reference: Answer, package: str = BANK) -> Iterator[tuple[str, Answer]]:
    """Names and answers; the name says in which function what is put for what.

    Args:
        package: where the functions are that are changed.
    """
    functions = _reached(reference, package)
    for function in functions:
        tree = _parsed(function)
        for node, other in _sites(tree):
            before = ast.unparse(node)
            changed, after = _replaced(tree, node, other)
            yield f"{function.__name__}: {before} -> {after}", _built(reference, functions, {function: changed})
    for name, value, other in _constants(functions):
        yield f"{name}: {value:g} -> {other:g}", _built(reference, functions, {}, {name: other})


def _reached(reference: Answer, package: str) -> list[FunctionType]:
    """The reference and the functions of the package that it calls, directly or not, in the order of their text."""
    found: dict[str, FunctionType] = {}
    todo = [inspect.unwrap(reference)]
    while todo:
        function = todo.pop()
        here = isinstance(function, FunctionType) and function.__module__.startswith(package)
        if not here or found.get(function.__qualname__) is function:
            continue
        found[function.__qualname__] = function
        todo += [function.__globals__[name] for name in _globals(function.__code__) if name in function.__globals__]
        todo += (function.__kwdefaults__ or {}).values()
    own = inspect.unwrap(reference).__module__
    named = [function for name, function in found.items() if name == function.__name__ != "<lambda>"]
    return sorted(named, key=lambda f: (f.__module__ == own, f.__module__, f.__code__.co_firstlineno))


def _globals(code: CodeType) -> set[str]:
    """What a function and those inside it look up outside."""
    return set(code.co_names).union(*(_globals(part) for part in code.co_consts if isinstance(part, CodeType)))


def _parsed(function: FunctionType) -> ast.FunctionDef:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef), function
    return tree


def _sites(tree: ast.FunctionDef) -> Iterator[Site]:
    """Every place where an operator applies."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in TURNED:
            yield node, lambda n: ast.Compare(n.left, [TURNED[type(n.ops[0])]()], n.comparators)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _of_call(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, SCALED):
            yield from _of_operand(node)
        elif isinstance(node, ast.Slice):
            yield from _of_slice(node)
        elif isinstance(node, ast.Constant) and type(node.value) is float and node.value:
            yield from _scaled(node)


def _of_call(node: ast.Call) -> Iterator[Site]:
    assert isinstance(node.func, ast.Attribute)
    if node.func.attr in LARGEST and not _of_module(node) and not ast.unparse(node.func.value).endswith(".abs()"):
        yield node, _of_sizes
    if node.func.attr in MEANS:
        yield node, _middle
    if node.func.attr in SPREADS:
        yield node, _other_correction
    if node.func.attr in ("stdev", "variance") and _of_module(node):
        yield node, lambda n: ast.Call(ast.Attribute(n.func.value, f"p{n.func.attr}", ast.Load()), n.args, n.keywords)


def _of_module(node: ast.Call) -> bool:
    """Whether a function of a module is called, not a method."""
    return isinstance(node.func.value, ast.Name) and node.func.value.id in ("torch", "statistics")


def _middle(node: ast.Call) -> ast.Call:
    values = [] if _of_module(node) else [node.func.value]
    return ast.Call(ast.Name("_median", ast.Load()), [*values, *node.args], node.keywords)


def _of_sizes(node: ast.Call) -> ast.Call:
    size = ast.Call(ast.Name("abs", ast.Load()), [node.func.value], [])
    return ast.Call(ast.Attribute(size, node.func.attr, ast.Load()), node.args, node.keywords)


def _other_correction(node: ast.Call) -> ast.Call:
    """Divided by n where it is by n - 1, and the other way round."""
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    given["correction"] = ast.BinOp(ast.Constant(1), ast.Sub(), given.get("correction", ast.Constant(1)))
    return ast.Call(node.func, node.args, [ast.keyword(name, value) for name, value in given.items()])


def _of_operand(node: ast.BinOp) -> Iterator[Site]:
    """Whole numbers that multiply, divide or raise; real ones are found wherever they stand."""
    for operand in (node.left, node.right):
        if isinstance(operand, ast.Constant) and type(operand.value) is int and operand.value:
            yield from _scaled(operand)


def _scaled(node: ast.Constant) -> Iterator[Site]:
    for factor in FACTORS:
        yield node, lambda n, factor=factor: ast.Constant(float(f"{n.value * factor:.6g}"))


def _of_slice(node: ast.Slice) -> Iterator[Site]:
    """Bounds that are one off."""
    for bound in filter(None, (node.lower, node.upper)):
        for step in (1, -1):
            yield bound, lambda n, step=step: ast.BinOp(n, ast.Add(), ast.Constant(step))


def _replaced(tree: ast.FunctionDef, node: ast.AST, other: Callable[[ast.AST], ast.AST]) -> tuple[ast.FunctionDef, str]:
    """The function with the node exchanged, and the text of what stands there now."""
    number = next(number for number, each in enumerate(ast.walk(tree)) if each is node)
    changed = copy.deepcopy(tree)
    target = next(each for index, each in enumerate(ast.walk(changed)) if index == number)
    new = other(target)
    text = ast.unparse(new)

    class Exchange(ast.NodeTransformer):
        def visit(self, each: ast.AST) -> ast.AST:
            return new if each is target else self.generic_visit(each)

    return ast.fix_missing_locations(Exchange().visit(changed)), text


def _constants(functions: list[FunctionType]) -> Iterator[tuple[str, float, float]]:
    """Named constants of the modules that the functions use, and other values for them."""
    seen = {}
    for function in functions:
        names = {name for name in _globals(function.__code__) if name in function.__globals__}
        seen |= {name: function.__globals__[name] for name in names}
    for name, value in sorted(seen.items()):
        if type(value) is float:
            yield from ((name, value, factor * value) for factor in FACTORS)
        elif type(value) is int:
            yield from ((name, value, value + step) for step in (-1, 1))


def _built(
    reference: Answer,
    functions: list[FunctionType],
    changed: dict[FunctionType, ast.FunctionDef],
    constants: dict[str, float] | None = None,
) -> Answer:
    """The reference anew from the text of its functions, some of them changed."""
    space: dict[str, Any] = {}
    for function in functions:
        space |= function.__globals__
    space |= {"_median": _median, **(constants or {})}
    for function in functions:
        module = ast.fix_missing_locations(ast.Module([changed.get(function) or _parsed(function)], []))
        exec(compile(module, f"<mutant of {function.__name__}>", "exec", flags=annotations.compiler_flag), space)
    return space[inspect.unwrap(reference).__name__]


def _median(values: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Put for a mean: the middle, or the mean of the two."""
    if not isinstance(values, torch.Tensor):
        return statistics.median(values)
    gone = range(values.ndim) if dim is None else [d % values.ndim for d in (dim if isinstance(dim, tuple) else (dim,))]
    left = [axis for axis in range(values.ndim) if axis not in gone]
    middle = values.permute(*left, *gone).flatten(len(left)).double().quantile(0.5, -1).to(values.dtype)
    return middle.reshape([n if axis in left else 1 for axis, n in enumerate(values.shape)]) if keepdim else middle
