"""Other operations with the same results for those of a recording that take long on a CPU.

- A transposed product, as the gradient of a linear layer's weights is, is computed the other way round:
  (A B)' = B' A'. What is written then lies as the weights do. A large one is written where it belongs, not copied.
- ``log_softmax`` over a few classes: torch goes row by row, whole tensors are faster.
- ``masked_fill``: ``where`` is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.fx import Graph, Node

__all__ = ["log_softmax", "log_softmax_backward", "substitute"]

LARGE = 8192
"""Entries of a matrix from which on a product is written to its place; smaller ones are faster copied."""
FEW = 32
"""Classes up to which ``log_softmax`` is faster in whole tensors."""

FLIPS = {"bmm": ("transpose", (1, 2)), "mm": ("t", ())}
"""By product, how its result is transposed."""
PRODUCTS = {"bmm": torch.bmm, "mm": torch.mm}


def substitute(graph: Graph, values: dict[Node, Any], name: Callable[[Node], str]) -> None:
    """Put faster operations into the graph of a recording.

    Args:
        graph: operations of torch's as ``make_fx`` writes them, changed in place.
        values: what each of its nodes came to in one run; those of new nodes are added.
        name: the operation that a node is, empty for what is none.
    """
    for node in list(graph.nodes):
        if name(node) in ("transpose", "t"):
            _flip(graph, node, values, name)
        elif name(node) == "copy_":
            _write_at_once(graph, node, values, name)
        elif name(node) == "masked_fill" and isinstance(node.args[2], (int, float)):
            node.target = masked_fill
        elif name(node) in SOFTMAX and _few(values[node], node.args[-2]):
            node.target = SOFTMAX[name(node)]


def log_softmax(scores: Float[Tensor, "*row few"], dim: int, _half: bool = False) -> Float[Tensor, "*row few"]:
    """``scores - log sum exp scores`` along ``dim``, as ``aten::_log_softmax`` of the same arguments."""
    shifted = scores - scores.amax(dim, keepdim=True)
    return shifted.sub_(shifted.exp().sum(dim, keepdim=True).log_())


def log_softmax_backward(
    gradient: Float[Tensor, "*row few"], output: Float[Tensor, "*row few"], dim: int, _dtype: torch.dtype | None = None
) -> Float[Tensor, "*row few"]:
    """``g - exp(y) sum g`` along ``dim``, as ``aten::_log_softmax_backward_data`` of the same arguments."""
    return torch.addcmul(gradient, output.exp(), gradient.sum(dim, keepdim=True), value=-1)


SOFTMAX = {"_log_softmax": log_softmax, "_log_softmax_backward_data": log_softmax_backward}


def masked_fill(tensor: Tensor, mask: Tensor, value: float) -> Tensor:
    """``value`` where ``mask`` is true, whatever stands there, and ``tensor`` elsewhere."""
    return torch.where(mask, value, tensor)


def _few(result: Tensor, dim: int) -> bool:
    """Whether the softmax runs over a few numbers that lie side by side in the memory of a CPU."""
    return result.device.type == "cpu" and dim % result.ndim == result.ndim - 1 and result.shape[dim] <= FEW


def _flip(graph: Graph, node: Node, values: dict[Node, Any], name: Callable[[Node], str]) -> None:
    """For (A B)', where nothing else needs A B, B' A'."""
    product: Any = node.args[0]
    if FLIPS.get(name(product)) != (name(node), tuple(node.args[1:])) or len(product.users) > 1:
        return

    def transposed(factor: Any) -> Any:
        if (name(factor), tuple(factor.args[1:])) == FLIPS[name(product)]:
            return factor.args[0]
        how, dims = FLIPS[name(product)]
        return graph.call_function(getattr(Tensor, how), (factor, *dims))

    left, right = product.args
    with graph.inserting_before(product):
        flipped = graph.call_function(product.target, (transposed(right), transposed(left)))
    values[flipped] = values[node]
    node.replace_all_uses_with(flipped)
    for spare in (node, product, *dict.fromkeys((left, right))):
        if not spare.users and name(spare) in (name(node), name(product)):
            graph.erase_node(spare)


def _write_at_once(graph: Graph, node: Node, values: dict[Node, Any], name: Callable[[Node], str]) -> None:
    """For a large product and its copy to a place, the product written there."""
    operands: Sequence[Any] = node.args[:2]
    place, product = operands
    if not isinstance(product, Node) or name(product) not in PRODUCTS or len(product.users) > 1 or node.users:
        return
    there, made = values[place], values[product]
    if (there.shape, there.dtype) == (made.shape, made.dtype) and made.shape[-2:].numel() >= LARGE:
        with graph.inserting_before(node):
            graph.call_function(PRODUCTS[name(product)], product.args, {"out": place})
        for spare in (node, product):
            graph.erase_node(spare)
