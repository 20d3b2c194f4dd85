"""How far asserted numbers stay from their bounds: a pytest plugin, and the first cell of a chapter.

The plugin: ``pytest -p tests.benchmarks.margins -o enable_assertion_pass_hook=true --record FILE --seed-offset 3``.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import seeds

COMPARED = re.compile(r"(?P<left>.+?) (?P<sign><=|<|>=|>|==) (?P<right>[^<>=]+)")
WRAPPED = re.compile(r"\b(?:tensor|np\.float64|np\.float32)\((-?[\d.e+-]+)(?:, dtype=[\w.]+)?\)")
OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
PARTS = re.compile(r"\b(?:and|or)\b")


def number(text: str) -> float:
    """The value of sums, differences, products and quotients of numbers.

    Raises:
        ValueError: if there is anything else in it.
    """

    def value(node: ast.expr) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return float(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
            return OPERATIONS[type(node.op)](value(node.left), value(node.right))
        raise ValueError(f"no number: {text!r}")

    try:
        return value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ZeroDivisionError) as error:
        raise ValueError(f"no number: {text!r}") from error


def compared(explanation: str) -> Iterator[tuple[float, str, float, float]]:
    """Left side, sign, right side and tolerance of every comparison of two numbers that pytest explains."""
    first = WRAPPED.sub(r"\1", explanation.splitlines()[0]).removeprefix("assert ")
    for part in PARTS.split(first):
        part = part.strip()
        part = part[max(0, part.count("(") - part.count(")")) :]  # of a condition of several parts
        part = part[: len(part) - max(0, part.count(")") - part.count("("))]
        if not (found := COMPARED.fullmatch(part)):
            continue
        right, _, within = found["right"].partition("±")
        try:
            sides = number(found["left"]), number(right)
            tolerance = number(within) if within else 0.0
        except ValueError:
            continue
        if all(map(math.isfinite, sides)):
            yield sides[0], found["sign"], sides[1], tolerance


class Recorder:
    """Writes outcome, time and compared numbers of every test into one file."""

    def __init__(self, file: Path):
        self.file, self.tests = file, defaultdict(lambda: {"outcome": "passed", "seconds": 0.0, "compared": []})

    def pytest_assertion_pass(self, item, lineno: int, orig: str, expl: str) -> None:
        for numbers in compared(expl):
            self.tests[item.nodeid]["compared"].append((lineno, orig, *numbers))

    def pytest_runtest_logreport(self, report) -> None:
        test = self.tests[report.nodeid]
        test["seconds"] += report.duration
        if report.outcome != "passed" and test["outcome"] != "failed":
            test["outcome"] = report.outcome
            crash = getattr(report.longrepr, "reprcrash", None)
            test["message"] = crash.message if crash else str(report.longrepr)

    def pytest_sessionfinish(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.tests, indent=1, default=str))


def pytest_addoption(parser) -> None:
    parser.addoption("--record", type=Path, required=True)
    parser.addoption("--seed-offset", type=int, default=0)


def pytest_configure(config) -> None:
    config.pluginmanager.register(Recorder(config.getoption("--record")))


def pytest_load_initial_conftests(early_config) -> None:
    seeds.shift(early_config.known_args_namespace.seed_offset)


def of_chapter(file: str, offset: int) -> None:
    """Called in a chapter's first cell: moves its seeds; quoted numbers, and what the prose has wrong, go to a file."""
    seeds.shift(offset)
    from mechlib import claims
    from mechlib.claims import prose

    def note(found: object) -> None:
        with Path(file).open("a") as lines:
            lines.write(json.dumps(found) + "\n")

    def quoted(measured: float, in_text: float, *, within: float) -> None:
        note([float(measured), float(in_text), float(within)])
        compare(measured, in_text, within=within)

    compare, claims.quoted, prose.differ = claims.quoted, quoted, note
