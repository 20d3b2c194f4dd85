"""Training text as token streams, and batches that depend on the seed and the step alone."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib import text
from mechlib.files import written_whole
from mechlib.zoo.recipe import Recipe

PACKAGES = (
    "torch", "sympy", "pandas", "scipy", "sklearn", "numpy", "matplotlib", "networkx", "fontTools",
    "sphinx", "docutils", "IPython", "tornado", "rich", "PIL", "joblib", "jedi",
)  # fmt: skip
"""Packages of the pinned environment whose Python source is training text beside the standard library."""


LONG_LINE = 30
NEAR_COPY = 0.2


@dataclass(frozen=True)
class Rows:
    """What one batch is made of: numbers of rows of ``n_ctx + 1`` tokens."""

    stdlib: int
    """Passages of the training split of the standard library, CPython's tests included."""
    packages: int = 0
    """Passages of ``PACKAGES``, near copies of held-out files removed."""
    repeated: int = 0
    """Random tokens repeated with a random period: what makes induction heads form early in so small a model."""

    @property
    def total(self) -> int:
        return self.stdlib + self.packages + self.repeated


def package_files(names: Iterable[str] = PACKAGES) -> tuple[text.SourceFile, ...]:
    """The Python sources of installed packages that are no near copy of a held-out file.

    A file is a near copy when more than 20 % of its lines of 30 characters or more stand in the held-out split.

    Raises:
        ModuleNotFoundError: if a package is not installed.
    """
    held_out = {line for document in text.files("held_out", tests=True) for line in _long_lines(document.text)}
    found = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"the package {name!r} is part of the training text and is not installed")
        for document in text.read_tree(Path(spec.submodule_search_locations[0])):
            lines = _long_lines(document.text)
            if sum(line in held_out for line in lines) <= NEAR_COPY * len(lines):
                found.append(text.SourceFile(f"{name}/{document.path}", document.text))
    return tuple(found)


def _long_lines(source: str) -> list[str]:
    return [line for raw in source.splitlines() if len(line := raw.strip()) >= LONG_LINE]


@dataclass(frozen=True)
class Batches:
    """The batches of a recipe on text, whose ``data`` are :class:`Rows`. ``cache`` is a folder for encoded streams."""

    recipe: Recipe
    cache: Path

    @cached_property
    def stdlib(self) -> Int[Tensor, " pos"]:
        return self._encoded("stdlib", text.files("train", tests=True))

    @cached_property
    def packages(self) -> Int[Tensor, " pos"]:
        return self._encoded("packages", package_files())

    def _encoded(self, label: str, documents: tuple[text.SourceFile, ...]) -> Int[Tensor, " pos"]:
        key = hashlib.sha256((text.fingerprint(documents) + text.tokenizer().to_str()).encode()).hexdigest()[:16]
        file = self.cache / f"{label}-{key}.pt"
        if not file.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            with written_whole(file) as stream:
                torch.save(text.stream(documents).to(torch.int16), stream)
        return torch.load(file)

    def __getitem__(self, step: int) -> Int[Tensor, "row pos"]:
        """The batch of update number ``step``: rows of ``n_ctx + 1`` tokens, the same at every call."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        rows, length = self.recipe.data, self.recipe.shape.n_ctx + 1
        parts = [_passages(self.stdlib, rows.stdlib, length, generator)]
        if rows.packages:
            parts.append(_passages(self.packages, rows.packages, length, generator))
        if rows.repeated:
            parts.append(_repeated(rows.repeated, length, self.recipe.shape.d_vocab, generator))
        return torch.cat(parts)


def _passages(stream: Tensor, n: int, length: int, generator: torch.Generator) -> Int[Tensor, "row pos"]:
    starts = torch.randint(len(stream) - length, (n,), generator=generator)
    return stream[starts[:, None] + torch.arange(length)].long()


def _repeated(n: int, length: int, d_vocab: int, generator: torch.Generator) -> Int[Tensor, "row pos"]:
    periods = torch.randint(10, length // 2, (n, 1), generator=generator)
    block = torch.randint(1, d_vocab, (n, length), generator=generator)
    return block.gather(1, torch.arange(length) % periods)
