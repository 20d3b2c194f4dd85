"""A room of mechlib imports only rooms of lower floors, by their names in the code, and only ``bridge`` imports
TransformerLens."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import mechlib
from mechlib.authoring.reach import ANY, called, stated

PACKAGE = Path(mechlib.__file__).parent

FLOORS = (
    ("__init__", "files"),
    ("training",),
    ("bridge", "text", "english", "stats", "distances", "patterns", "places", "icl", "llc"),
    ("zoo",),
    ("stream", "figures", "argmax", "forks"),
    ("heads", "probes", "causal"),
    ("repair",),
    ("widgets", "claims", "guesses"),
    ("checks",),
    ("questions",),
    ("grading", "authoring"),
    ("course",),
    ("cli",),
)
"""Every room, from the ground up: a folder or a module directly under mechlib. ``__init__`` is the package itself."""

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

BY_NAME = {"checks/registry.py": "mechlib.questions.*"}
"""The one module that imports by a name put together when it runs, and what is known of that name: the questions of a
chapter, which the engine finds by the chapter in their ids."""

ANY_NAME = {"course/drawn.py", "grading/worker/cells.py", "grading/worker/server.py", "llc/names.py"}
"""Modules that import what they are told: what a cell of a submission or a solution says, the libraries that a grader
loads before it forks, and what the function of a user imports when it is called."""


def imported(path: Path, package: Path) -> Iterator[str]:
    """The dotted names that a module imports by statements, relative ones made absolute."""
    return stated(_tree(path), ("mechlib", *path.relative_to(package).parts[:-1]))


def written_out(path: Path, package: Path) -> Iterator[str]:
    """The modules of the package whose dotted names are strings of a module, to be imported later."""
    modules = {".".join(("mechlib", *p.relative_to(package).with_suffix("").parts)) for p in package.rglob("*.py")}
    modules |= {name.removesuffix(".__init__") for name in modules}
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in modules - {"mechlib"}:
            yield node.value


def put_together(path: Path) -> Iterator[str]:
    """What a module imports by a name, if that may be a room: ``*`` stands for what is not known before it runs."""
    return (name for name in called(_tree(path)) if name.partition(".")[0] in (ANY, "mechlib"))


def room(parts: tuple[str, ...]) -> str:
    """The module or folder directly under mechlib; ``__init__`` for the package itself."""
    return parts[0].removesuffix(".py") if parts else "__init__"


def rooms(package: Path) -> set[str]:
    return {path.relative_to(package).with_suffix("").parts[0] for path in package.rglob("*.py")}


def violations(package: Path) -> list[str]:
    """One sentence for every room without a floor and every import that goes up, sideways or by a name not written."""
    there = rooms(package)
    found = [f"{name} has no floor" for name in sorted(there - set(FLOOR))]
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package)
        here = room(where.parts)
        if here not in FLOOR:
            continue
        for name in (*imported(path, package), *written_out(path, package)):
            top, *rest = name.split(".")
            if top == "transformer_lens" and here != "bridge":
                found.append(f"{where} imports {name}: only bridge may")
            other = rest[0] if rest and rest[0] in there else "__init__"
            if top == "mechlib" and other != here and FLOOR.get(other, len(FLOORS)) >= FLOOR[here]:
                found.append(f"{where} (floor {FLOOR[here]}) imports mechlib.{other}")
        if where.as_posix() not in ANY_NAME:
            allowed = BY_NAME.get(where.as_posix())
            found += [f"{where} imports {name!r} by name" for name in put_together(path) if name != allowed]
    return found


def circle(package: Path) -> list[str]:
    """Modules that import each other in a circle, those that only a type needs included; empty where there is none."""
    modules = {".".join(("mechlib", *p.relative_to(package).with_suffix("").parts)): p for p in package.rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    imports = {name: set[str]() for name in modules}
    for name, path in modules.items():
        for other in imported(path, package):
            found = other if other in modules else other.rpartition(".")[0]
            imports[name] |= {found} & set(modules) - {name}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other():
    assert circle(PACKAGE) == []


def test_a_planted_circle_is_found(tmp_path):
    _plant(tmp_path / "zoo/cards.py", "from mechlib.zoo import files\nfrom mechlib.zoo.kinds import KINDS\n")
    _plant(tmp_path / "zoo/kinds/__init__.py", "from mechlib.zoo.kinds.folder import Folder\n")
    _plant(tmp_path / "zoo/files.py", "import torch\n")
    _plant(tmp_path / "zoo/kinds/folder.py", "from mechlib.zoo import files\n")
    assert circle(tmp_path) == []
    _plant(tmp_path / "zoo/kinds/folder.py", "if TYPE_CHECKING:\n    from mechlib.zoo.cards import Card\n")
    assert set(circle(tmp_path)) == {"mechlib.zoo.cards", "mechlib.zoo.kinds", "mechlib.zoo.kinds.folder"}


def test_every_import_goes_down():
    assert violations(PACKAGE) == []


def test_the_floors_are_those_of_the_rooms():
    assert len(FLOOR) == sum(map(len, FLOORS)) and set(FLOOR) == rooms(PACKAGE)


def test_every_import_by_name_is_still_there():
    assert all(set(put_together(PACKAGE / where)) == {name} for where, name in BY_NAME.items())
    assert all(ANY in put_together(PACKAGE / where) for where in ANY_NAME)


@pytest.mark.parametrize(
    ("importer", "line", "accused"),
    [
        ("text.py", "import mechlib.zoo", "mechlib.zoo"),
        ("text.py", "from . import bridge", "mechlib.bridge"),
        ("zoo/cards.py", "def f():\n    from mechlib import stream", "mechlib.stream"),
        ("zoo/cards.py", "from ..checks import engine", "mechlib.checks"),
        ("stream/lens.py", "from mechlib.figures.plots import style", "mechlib.figures"),
        ("widgets/explorer.py", "import mechlib.claims as claims", "mechlib.claims"),
        ("checks/engine.py", "from mechlib import cli", "mechlib.cli"),
        ("checks/engine.py", "from mechlib.questions import ch01", "mechlib.questions"),
        ("llc/chains.py", "from mechlib import zoo", "mechlib.zoo"),
        ("llc/chains.py", "from mechlib import bridge", "mechlib.bridge"),
        ("stream/lens.py", "from transformer_lens import TransformerBridge", "transformer_lens"),
        ("zoo/cards.py", "import transformer_lens.config", "transformer_lens"),
        ("grading/worker/server.py", "LATER = ['mechlib.cli']", "mechlib.cli"),
        ("zoo/cards.py", "import importlib\nimportlib.import_module('mechlib.text')", "'mechlib.text' by name"),
        ("checks/engine.py", "import importlib\nimportlib.import_module(f'mechlib.{x}')", "'mechlib.*' by name"),
        ("checks/registry.py", "import_module(f'mechlib.zoo.{x}')", "'mechlib.zoo.*' by name"),
        ("checks/engine.py", "f = lambda name: __import__(name)", "'*' by name"),
        ("sparse/train.py", "import torch", "sparse has no floor"),
        ("sparse.py", "from mechlib import cli", "sparse has no floor"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, importer, line, accused):
    for name in (
        "bridge/native.py",
        "text.py",
        "zoo/cards.py",
        "stream/lens.py",
        "llc/chains.py",
        "figures/plots.py",
        "claims.py",
    ):
        _plant(tmp_path / name, "import torch\n")
    for name in ("widgets/explorer.py", "checks/engine.py", "checks/registry.py", "cli.py"):
        _plant(tmp_path / name, "from mechlib import stream, zoo\nfrom mechlib.text import rows\n")
    _plant(
        tmp_path / "checks/registry.py", "import_module('google.colab'), import_module(f'mechlib.questions.{chapter}')"
    )
    _plant(tmp_path / "questions/ch01.py", "from mechlib.checks import engine")
    _plant(tmp_path / "grading/worker/server.py", "SOON = ['mechlib.checks.engine']\nimport_module(name)\n")
    assert violations(tmp_path) == []
    _plant(tmp_path / importer, line)
    (sentence,) = violations(tmp_path)
    assert sentence.startswith((importer, "sparse")) and accused in sentence


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _plant(path: Path, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
