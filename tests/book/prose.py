"""Reads the numbers in a notebook's text, and the numbers that its code holds them to.

A *measured* number in the text is a decimal (also ``.49``, ``-0.14`` and ``1.2e-3``), a percentage, or a count such as
``17 of 20``, outside code, formulas, addresses and versions of Python. It is *held* if its value is a literal

- in a statement that calls ``quoted`` or ``stated`` (the tolerance ``within`` aside), or
- in a code cell that the reader sees: then the text names what the code sets, such as a learning rate or a bound.

A percentage may be held as a share (``29 %`` by 0.29) or as a factor (by 1.29 or 0.71), a count by its two numbers.
What stands in a sentence with a citation, or in a column of a table whose head has one, is the cited work's.

The way back: what ``quoted`` says that the text says has to stand there, in digits or in words, at least rounded to two
digits.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mechlib.authoring import folding, markdown, sentences

CITATION = "⁋"
CODE = "⌷"
DECIMAL = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+"
NUMBER = re.compile(
    rf"(?<![\w.])(?P<number>{DECIMAL})(?P<power>e[-+]?\d+)?(?P<percent>\s?(?:%|per ?cent\b))?(?![\w]|\.\d)"
)
COUNT = re.compile(r"(?<![\w.,])(\d+) (?:out )?of (?:the )?(\d+)(?![\w%]|[.,]\d| ?per cent)")
PERCENT = ("%", "\\%", "per cent")
SCALES = {"thousand": 1e3, "million": 1e6}
DIGITS = re.compile(
    r"(?P<number>\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?|\d*\.\d+|\d+)(?P<power>e[-+]?\d+)?\s*(?P<unit>\\?%|per cent|\w+)?"
)
VERSION = re.compile(r"Python (?:than )?\d+\.\d+")

WORDS = {
    **dict.fromkeys(("zero", "none", "no", "not", "nothing", "never", "nobody"), 0.0),
    **dict.fromkeys(("one", "once", "all", "every", "each", "always", "same", "equal", "as", "whole"), 1.0),
    **dict.fromkeys(("two", "twice", "both", "double"), 2.0),
    **{"three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "seven": 7.0, "eight": 8.0, "nine": 9.0, "ten": 10.0},
    **{"half": 1 / 2, "third": 1 / 3, "thirds": 2 / 3, "quarter": 1 / 4, "fifth": 1 / 5, "tenth": 1 / 10},
    **{
        "eleven": 11.0,
        "twelve": 12.0,
        "hundredth": 1 / 100,
        "thousandth": 1 / 1000,
        "hundred": 100.0,
        "thousand": 1e3,
        "million": 1e6,
        "twenty": 20.0,
    },
}
"""Numbers that are written out, for the way back: from what ``quoted`` says to the text."""


@dataclass(frozen=True)
class Found:
    """A measured number in the text."""

    text: str
    sentence: str
    cited: bool
    values: tuple[float, ...]
    """Any of these as a literal holds it."""
    together: bool = False
    """All of these are needed instead."""


def measured(source: str) -> Iterator[Found]:
    """The measured numbers of a text, sentence by sentence."""
    for passage in markdown.passages(source):
        text = _plain(passage)
        in_column = passage.header is not None and CITATION in _plain(passage.header)
        for sentence in sentences.split(text):
            yield from _in_sentence(VERSION.sub("Python", sentence), cited=in_column or CITATION in sentence)


def _plain(passage: markdown.Passage) -> str:
    """A passage without its code, formulas and addresses, citations marked."""
    parts = []
    for token in passage.token.children or ():
        if token.type == "text":
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type == "myst_role":
            parts.append(CITATION if token.meta["name"].startswith("cite") else CODE)
        elif token.type in ("code_inline", "math_inline"):
            parts.append(CODE)
    return "".join(parts)


def _in_sentence(sentence: str, *, cited: bool) -> Iterator[Found]:
    for match in COUNT.finditer(sentence):
        yield Found(match[0], sentence, cited, tuple(map(float, match.groups())), together=True)
    for match in NUMBER.finditer(sentence):
        if "." in match["number"] or match["power"] or match["percent"]:
            value = float(match["number"].replace(",", "") + (match["power"] or ""))
            yield Found(match[0].strip(), sentence, cited, (value, *(_shares(value) if match["percent"] else ())))


def _shares(percent: float) -> tuple[float, float, float]:
    return percent / 100, 1 + percent / 100, 1 - percent / 100


def literals(cells: Iterable[dict[str, Any]]) -> set[float]:
    """The absolute values of the literals that hold a notebook's text."""
    found: set[float] = set()
    for cell in cells:
        tags = cell["metadata"].get("tags", ())
        if cell["cell_type"] != "code" or folding.SET_UP in tags:
            continue
        for statement in ast.parse(cell["source"]).body:
            if not folding.is_bookkeeping(tags) or _calls(statement):
                found.update(_values(statement))
    return found


def _calls(node: ast.AST) -> list[ast.Call]:
    """The calls of ``quoted`` and ``stated`` in a statement."""
    calls = (n for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name))
    return [call for call in calls if call.func.id in ("quoted", "stated")]


def _values(node: ast.AST) -> Iterator[float]:
    """The absolute values of constant expressions below a node, tolerances left out."""
    if isinstance(node, ast.keyword) and node.arg == "within":
        return
    if (value := constant(node)) is not None:
        yield abs(value)
    for child in ast.iter_child_nodes(node):
        yield from _values(child)


def constant(node: ast.AST) -> float | None:
    """The value of a number, or of a sum, difference, product, quotient or power of numbers; None for anything else."""
    if not isinstance(node, ast.Constant | ast.UnaryOp | ast.BinOp) or any(
        isinstance(n, ast.Constant) and (isinstance(n.value, bool) or not isinstance(n.value, int | float))
        for n in ast.walk(node)
    ):
        return None
    allowed = ast.Constant | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop
    if not all(isinstance(n, allowed) for n in ast.walk(node)):
        return None
    try:
        return float(eval(compile(ast.Expression(node), "<literal>", "eval"), {"__builtins__": {}}))
    except (ArithmeticError, TypeError):
        return None


def held(number: Found, by: set[float]) -> bool:
    """Whether these literals hold a number of the text."""
    among = [any(abs(value - literal) <= 1e-9 * max(1.0, value) for literal in by) for value in number.values]
    return all(among) if number.together else any(among)


def quotations(cells: Iterable[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """The literals that ``quoted`` compares with, also through a loop, each with the id of its cell."""
    for cell in cells:
        if cell["cell_type"] == "code" and folding.SET_UP not in cell["metadata"].get("tags", ()):
            yield from ((cell["id"], value) for value in _said(ast.parse(cell["source"]), {}))


def _said(node: ast.AST, bound: dict[str, list[ast.expr]]) -> Iterator[float]:
    """The literals that arrive in the second argument of ``quoted`` below a node, loop variables being ``bound``."""
    if isinstance(node, ast.For):
        bound = bound | _bindings(node.target, _items(node.iter, bound))
    elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
        for generator in node.generators:
            bound = bound | _bindings(generator.target, _items(generator.iter, bound))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "quoted":
        yield from (value for each in _resolved(node.args[1], bound) if (value := constant(each)) is not None)
    for child in ast.iter_child_nodes(node):
        yield from _said(child, bound)


def _resolved(node: ast.expr, bound: dict[str, list[ast.expr]]) -> list[ast.expr]:
    return bound.get(node.id, []) if isinstance(node, ast.Name) else [node]


def _items(node: ast.expr, bound: dict[str, list[ast.expr]]) -> list[ast.expr]:
    """What a loop over an expression runs through, as far as it is written out there."""
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    if isinstance(node, ast.Name):
        return [item for each in bound.get(node.id, []) for item in _items(each, bound)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip":
        columns = [_items(argument, bound) for argument in node.args]
        longest = max(map(len, columns), default=0)
        filled = [column + [ast.Constant(None)] * (longest - len(column)) for column in columns]
        return [ast.Tuple(list(row)) for row in zip(*filled, strict=True)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Dict):
        pairs = zip(node.func.value.keys, node.func.value.values, strict=True)
        return [ast.Tuple([key, value]) for key, value in pairs] if node.func.attr == "items" else []
    return []


def _bindings(target: ast.expr, items: list[ast.expr]) -> dict[str, list[ast.expr]]:
    """For every name of a loop's target, the expressions that it stands for in turn."""
    if isinstance(target, ast.Name):
        return {target.id: items}
    bindings: dict[str, list[ast.expr]] = {}
    if isinstance(target, ast.Tuple):
        for place, part in enumerate(target.elts):
            rows = [item.elts[place] for item in items if isinstance(item, ast.Tuple) and len(item.elts) > place]
            bindings |= _bindings(part, rows)
    return bindings


def spoken(sources: Iterable[str]) -> set[float]:
    """Every number of these texts, in whatever form: digits (also in code and formulas), percentages, words."""
    found: set[float] = set()
    for source in sources:
        for match in DIGITS.finditer(source):
            value = float(re.sub("[, ]", "", match["number"]) + (match["power"] or ""))
            found |= {value, value * SCALES.get(match["unit"], 1.0)}
            found |= set(_shares(value)) if match["unit"] in PERCENT else set()
        found |= {WORDS[word] for word in re.findall(r"[a-z]+", source.lower()) if word in WORDS}
    return found


def stands(value: float, among: set[float]) -> bool:
    """Whether a number of ``quoted`` stands in the text, as it is or rounded to two digits."""
    rounded = float(f"{abs(value):.1e}")
    return any(abs(number - form) <= 1e-9 * max(1.0, form) for form in (abs(value), rounded) for number in among)
