"""A floor of mechlib imports only the floors below it, and only ``bridge`` imports TransformerLens."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mechlib

PACKAGE = Path(mechlib.__file__).parent

FLOORS = {
    "__init__": -1,
    "originals": -1,
    "bridge": 0,
    "text": 0,
    "icl": 0,
    "zoo": 1,
    "running": 1,
    "stats": 0,
    "widgets": 3,
    "plots": 3,
    "claims": 3,
    "checks": 5,
    "questions": 6,
    "authoring": 7,
    "grading": 7,
    "course": 8,
    "cli": 9,
}
REFERENCE = 2
"""The floor of every room not named above: the reference implementations."""

SIBLINGS = {
    ("columns", "lens"),
    ("generation", "lens"),
    ("prompts", "lens"),
    ("toy", "heads"),
    ("tuned_lens", "lens"),
}
"""(importer, imported) on one floor: the only ones that are meant."""

BY_NAME = {("checks/registry.py", "mechlib.questions.")}
"""(importer, beginning of the name): the only imports of mechlib's own modules by a name that is put together."""

NEVER = {("llc", "zoo"), ("llc", "bridge"), ("icl", "zoo"), ("icl", "bridge")}
"""(importer, imported): rooms that take any module or callable and know no model of the book."""


def imported(path: Path, package: Path) -> Iterator[str]:
    """The dotted names that a module imports, at its top or inside a function, relative ones made absolute."""
    parents = ("mechlib", *path.relative_to(package).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def named(path: Path) -> Iterator[str]:
    """How the names begin that a module hands to ``import_module`` as text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            text = next(iter(node.args[0].values)) if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(text, ast.Constant):
                yield text.value


def room(parts: tuple[str, ...]) -> str:
    """The module or folder directly under mechlib; ``__init__`` for the package itself."""
    return parts[0].removesuffix(".py") if parts else "__init__"


def violations(package: Path) -> list[str]:
    """One sentence for every import that goes up, or sideways where it may not."""
    rooms = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    found = []
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package)
        here = room(where.parts)
        for name in imported(path, package):
            top, *rest = name.split(".")
            if top == "transformer_lens" and here != "bridge":
                found.append(f"{where} imports {name}: only bridge.py may")
            if top != "mechlib":
                continue
            there = rest[0] if rest and rest[0] in rooms else "__init__"
            above = FLOORS.get(there, REFERENCE) >= FLOORS.get(here, REFERENCE)
            if (here, there) in NEVER or (above and here != there and (here, there) not in SIBLINGS):
                found.append(f"{where} (floor {FLOORS.get(here, REFERENCE)}) imports mechlib.{there}")
        for name in named(path):
            if name.startswith("mechlib") and (where.as_posix(), name) not in BY_NAME:
                found.append(f"{where} imports {name} by name")
    return found


def test_every_import_goes_down():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("importer", "line", "accused"),
    [
        ("text.py", "import mechlib.zoo", "mechlib.zoo"),
        ("text.py", "from . import bridge", "mechlib.bridge"),
        ("zoo/cards.py", "def f():\n    from mechlib import lens", "mechlib.lens"),
        ("zoo/cards.py", "from ..checks import engine", "mechlib.checks"),
        ("lens.py", "from mechlib.plots import style", "mechlib.plots"),
        ("widgets/explorer.py", "import mechlib.plots as plots", "mechlib.plots"),
        ("checks/engine.py", "from mechlib import cli", "mechlib.cli"),
        ("checks/engine.py", "from mechlib.questions import ch01", "mechlib.questions"),
        ("checks/engine.py", "import importlib\nimportlib.import_module('mechlib.questions.ch01')", "by name"),
        ("llc/chains.py", "from mechlib import zoo", "mechlib.zoo"),
        ("lens.py", "from transformer_lens import TransformerBridge", "transformer_lens"),
        ("zoo/cards.py", "import transformer_lens.config", "transformer_lens"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, importer, line, accused):
    for name in ("bridge.py", "text.py", "zoo/cards.py", "lens.py", "llc/chains.py", "plots.py", "widgets/explorer.py"):
        _plant(tmp_path / name, "import torch\n")
    by_name = "import importlib\nimportlib.import_module(f'mechlib.questions.{chapter}')"
    _plant(tmp_path / "checks/registry.py", by_name)
    _plant(tmp_path / "questions/ch01.py", "from mechlib.checks import question")
    for name in ("checks/engine.py", "cli.py"):
        _plant(tmp_path / name, "from mechlib import lens, zoo\nfrom mechlib.text import rows\n")
    assert violations(tmp_path) == []
    _plant(tmp_path / importer, line)
    (sentence,) = violations(tmp_path)
    assert sentence.startswith(importer) and accused in sentence


def _plant(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
