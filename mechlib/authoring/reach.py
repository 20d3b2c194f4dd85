"""What a notebook of the book reaches beside its own text, found in the sources without running them.

From the imports in the cells on, every import of every module so reached is followed, those inside functions too. What
a name that is put together can be counts as reached: ``import_module(f"mechlib.questions.{chapter}")`` reaches every
chapter's questions, ``exec`` the whole library, and a notebook that loads models by names that stand in no cell all
weights. With a module come the data files of its package. ``mechlib.authoring.witness`` sees what this misses.
"""

from __future__ import annotations

import ast
import hashlib
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

__all__ = ["ANY", "Library", "Module", "called", "imported", "stated", "syntax"]

PACKAGE = "mechlib"
WEIGHTS = "mechlib/zoo/weights"
"""The folder with one folder of weights for every model."""
PINS = "constraints.txt"
ANY = "*"
"""Stands in a name for what is not known before the code runs."""

IMPORTERS = {"import_module", "__import__", "run_module"}
"""Functions that import what their first argument names."""
OPAQUE = {"exec", "eval"}
"""Functions whose argument is code."""
FOLLOWERS = {"mechlib.llc.names"}
"""Modules that import by name what the code of a function they are given imports: there it is seen too."""


def imported(tree: ast.AST, package: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted names that a module imports, at its top or inside a function: ``stated``, then ``called``."""
    yield from stated(tree, package)
    yield from called(tree)


def stated(tree: ast.AST, package: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted names in a module's statements of import; a star stays one.

    Args:
        tree: the module.
        package: the parts of the name of the package that it stands in, from which relative imports count.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module, names, level):
                base = package[: len(package) - level + 1] if level else ()
                origin = ".".join([*base, *([module] if module else [])])
                yield from (f"{origin}.{alias.name}" for alias in names)


def called(tree: ast.AST) -> Iterator[str]:
    """The dotted names that a module gives to functions that import, with ``*`` for every part that is not known.

    Code that is given as a text can import anything, and so can a line for IPython in a cell, with ``%`` or ``!``;
    ``%pip`` alone imports nothing.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Name(function) | ast.Attribute(attr=function), arguments) if function in IMPORTERS:
                name = _text(arguments[0]) if arguments else ANY
                yield ANY if name.startswith(".") else name
            case ast.Call(ast.Name(function)) if function in OPAQUE:
                yield ANY
            case ast.Call(ast.Attribute(ast.Call(ast.Name("get_ipython")), function), arguments):
                if function != "run_line_magic" or _text(arguments[0]) != "pip":
                    yield ANY


def _text(node: ast.expr) -> str:
    """The text that an expression is, with ``*`` for every part that is not known."""
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(parts):
            return "".join(map(_text, parts))
        case ast.BinOp(left, ast.Add(), right):
            return _text(left) + _text(right)
        case ast.BinOp(ast.Constant(str(text)), ast.Mod()):
            return re.sub(r"%[-+ #0-9.]*\w", ANY, text)
        case ast.Call(ast.Attribute(ast.Constant(str(text)), "format")):
            return re.sub(r"\{.*?\}", ANY, text)
    return ANY


def _matching(pattern: str, names: Iterable[str]) -> Iterator[str]:
    expression = re.compile(re.escape(pattern).replace(re.escape(ANY), ".*"))
    return filter(expression.fullmatch, names)


@dataclass(frozen=True)
class Module:
    """One module, or the code of a notebook."""

    imports: frozenset[str]
    """As ``imported`` has them."""
    digest: str
    """Of what it says to Python: the same for another comment or line break."""

    @classmethod
    def of(cls, tree: ast.AST, package: tuple[str, ...] = ()) -> Module:
        """The module with this syntax tree in this package."""
        digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
        return cls(frozenset(imported(tree, package)), digest)


class Library:
    """The package of a checkout as its sources describe it, read once.

    Args:
        folder: the checkout.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._read: dict[str, Module] = {}

    @cached_property
    def modules(self) -> Mapping[str, Path]:
        """The file of every module, by dotted name; a package has that of its ``__init__``."""
        found = {}
        for path in sorted((self.folder / PACKAGE).rglob("*.py")):
            parts = path.relative_to(self.folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    @cached_property
    def _data(self) -> Mapping[str, list[Path]]:
        """The files beside the modules of every package, weights not among them."""
        found: dict[str, list[Path]] = {}
        for path in sorted((self.folder / PACKAGE).rglob("*")):
            where = path.relative_to(self.folder)
            if path.suffix in (".py", ".pyc") or path.name.startswith(".") or not path.is_file():
                continue
            if not where.is_relative_to(WEIGHTS):
                owner = next(".".join(p.parts) for p in where.parents if ".".join(p.parts) in (*self.modules, ""))
                found.setdefault(owner, []).append(path)
        return found

    def reached(self, notebook: Mapping[str, Any]) -> set[str]:
        """The modules that the code of a notebook reaches, by dotted name.

        Raises:
            SyntaxError: if a module or a cell is no Python.
        """
        todo, reached = [*_code(notebook).imports], set()
        while todo:
            for name in self._modules_of(todo.pop()):
                if name not in reached:
                    reached.add(name)
                    todo += self._module(name).imports
        return reached

    def _modules_of(self, name: str) -> Iterator[str]:
        """The modules that the import of a name runs: those that it names, and the packages that they stand in."""
        fixed, any_, _ = name.partition(ANY)
        names = [fixed, *_matching(name, self.modules)] if any_ else [name]
        for parts in (each.split(".") for each in names):
            prefixes = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
            yield from (each for each in prefixes if each in self.modules)

    def _module(self, name: str) -> Module:
        if name not in self._read:
            path = self.modules[name]
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            module = Module.of(ast.parse(path.read_bytes(), str(path)), tuple(package.split(".")))
            if name in FOLLOWERS:
                module = Module(frozenset(each for each in module.imports if ANY not in each), module.digest)
            self._read[name] = module
        return self._read[name]

    def models(self, notebook: Mapping[str, Any]) -> set[str]:
        """The models of the zoo whose names the strings in a notebook's code are or can become.

        All of them if none is named and the cells import from the zoo.
        """
        known = [folder.name for folder in sorted((self.folder / WEIGHTS).glob("*/"))]
        tree = syntax(notebook)
        texts = {_text(node) for node in ast.walk(tree) if isinstance(node, ast.expr)}
        named = {name for text in texts if re.search(r"\w", text) for name in _matching(text, known)}
        from_zoo = any(name.startswith(f"{PACKAGE}.zoo") or ANY in name for name in imported(tree))
        return named or set(known if from_zoo else ())

    def made_with(self, notebook: Mapping[str, Any]) -> dict[str, str]:
        """All that decides a notebook's outputs beside its own text, each with its digest.

        The version of Python, and by their paths in the checkout: the modules that are reached, the data beside them,
        the weights, the pinned versions. Errors as ``reached``.
        """
        modules = self.reached(notebook)
        packages = {name for name in modules if self.modules[name].name == "__init__.py"}
        files = [file for package in sorted(packages) for file in self._data.get(package, ())]
        for model in sorted(self.models(notebook)):
            files += sorted(file for file in (self.folder / WEIGHTS / model).rglob("*") if file.is_file())
        files += [file for file in [self.folder / PINS] if file.is_file()]
        found = {"Python": platform.python_version()}
        found |= {self._name(self.modules[name]): self._module(name).digest for name in sorted(modules)}
        return found | {self._name(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _code(notebook: Mapping[str, Any]) -> Module:
    return Module.of(syntax(notebook))


def syntax(notebook: Mapping[str, Any]) -> ast.Module:
    """The syntax tree of all code cells of a notebook, lines for IPython made Python."""
    cells = ("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    python = TransformerManager()
    return ast.Module([line for cell in cells for line in ast.parse(python.transform_cell(cell)).body], [])
