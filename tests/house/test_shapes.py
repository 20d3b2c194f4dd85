"""Shapes in annotations can be read: the pages of the reference evaluate them, and nothing else does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

from mechlib.authoring import checkout

ROOT = checkout.root()
KINDS = {name for name, kind in vars(jaxtyping).items() if hasattr(kind, "dtypes")}


def unreadable(path: Path) -> Iterator[str]:
    """The annotations of tensors in a module that jaxtyping refuses, each with the reason."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Subscript(ast.Name(kind), ast.Tuple([_, ast.BinOp() | ast.Name() as shape])) if kind in KINDS:
                yield f"line {node.lineno}: {kind}[..., {ast.unparse(shape)}]: a shape is a text; begin it with a space"
            case ast.Subscript(ast.Name(kind), ast.Tuple([_, ast.Constant(str(shape))])) if kind in KINDS:
                try:
                    getattr(jaxtyping, kind)[torch.Tensor, shape]
                except (ValueError, SyntaxError) as error:
                    yield f'line {node.lineno}: {kind}[..., "{shape}"]: {error}'


@pytest.mark.parametrize(
    "path", sorted((ROOT / "mechlib").rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_shape_can_be_read(path):
    assert list(unreadable(path)) == []


def test_a_planted_fault_is_found(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text('def f(a: Float[Tensor, "*batch d"], b: Int[Tensor, "*one *two"]) -> Bool[Tensor, "n"]: ...\n')
    (found,) = unreadable(planted)
    assert found.startswith('line 1: Int[..., "*one *two"]')


def test_a_shape_that_lost_its_quotes_is_found(tmp_path):
    """A linter takes them from an annotation that Python can read, such as a product."""
    planted = tmp_path / "planted.py"
    planted.write_text('def f(a: Float[Tensor, one * two], b: Float[Tensor, " one *two"]) -> Float[Tensor, ...]: ...\n')
    (found,) = unreadable(planted)
    assert found.startswith("line 1: Float[..., one * two]")
