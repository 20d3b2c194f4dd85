"""A function of tensors as the operations that it comes to, with nothing between them.

A small model spends more time on the way to its operations than in them: in modules, in ``vmap``, in autograd. Once
calls of the same shapes keep coming, the operations of one call are recorded, those that change nothing are left out,
some are put in another way (:mod:`mechlib.llc.substitutes`), and only these are run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx

from mechlib.llc.substitutes import substitute

__all__ = ["RECORD_AT", "Batch", "Recorded"]

Batch = Tensor | tuple[Tensor, ...] | None

RECORD_AT = 3
"""The call with the same shapes at which the operations are recorded."""

VIEWS = {"_unsafe_view", "detach", "expand", "permute", "squeeze", "t", "transpose", "unsqueeze", "view"}
"""Operations that show their first argument in another way, or in the same."""
CONSTANTS = {"full_like", "ones_like", "scalar_tensor", "zeros_like"}
"""Operations whose result has nothing to do with the numbers in their argument."""
METHODS = {
    "add", "bmm", "copy_", "div", "exp", "expand", "mean", "mm", "mul", "neg", "permute", "pow", "relu", "sigmoid",
    "split_with_sizes", "sub", "sum", "t", "tanh", "transpose", "unsqueeze", "view",
}  # fmt: skip
"""Operations that a method of ``Tensor`` does with the same arguments, at half the cost of a call."""


class Recorded:
    """A function ``(batch, *tensors)`` that runs as recorded tensor operations once the same shapes keep coming.

    Recording fixes whatever is no tensor operation, so a recording is kept only if it gives what the function gives on
    other numbers: a loss that draws its own data or throws coins is run as it is written.
    """

    def __init__(self, function: Callable[..., Tensor]):
        self._function = function
        self._seen: Counter = Counter()
        self._recordings: dict[tuple, Callable[..., Tensor]] = {}

    def __call__(self, batch: Batch, *tensors: Tensor) -> Tensor:
        parts = (batch,) if isinstance(batch, Tensor) else batch or ()
        key = (type(batch), *((t.shape, t.dtype) for t in (*tensors, *parts)))
        recording = self._recordings.get(key)
        if recording is not None:
            return recording(*tensors, *parts)
        self._seen[key] += 1
        if self._seen[key] == RECORD_AT:
            self._recordings[key] = self._record(batch, tensors, parts)
        return self._function(batch, *tensors)

    def _record(self, batch: Batch, tensors: tuple[Tensor, ...], parts: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        def flat(*everything: Tensor) -> Tensor:
            rest = everything[len(tensors) :]
            given = rest[0] if isinstance(batch, Tensor) else (rest or None)
            return self._function(given, *everything[: len(tensors)])

        these = [t.clone() for t in (*tensors, *parts)]
        others = [_other(t) for t in (*tensors, *parts)]
        try:
            with torch.no_grad():
                recording = shortened(make_fx(flat)(*these), these)
                same = _agree(flat, recording, others)
        except Exception:  # whatever cannot be recorded is run as written
            same = False
        return recording if same else flat


def shortened(recording: GraphModule, tensors: list[Tensor]) -> GraphModule:
    """The recording without what another node shows already and what is the same at every call."""
    run = Interpreter(recording, garbage_collect_values=False)
    run.run(*tensors)
    spare = [node for node in recording.graph.nodes if _name(node) in VIEWS]
    for node in recording.graph.nodes:
        earlier = _shown_before(node, run.env)
        if earlier is not None:
            node.replace_all_uses_with(earlier)
            spare.append(node)
    spare += _fold(recording, run.env)
    for node in reversed(recording.graph.nodes):
        if not node.users and node in spare:
            recording.graph.erase_node(node)
    substitute(recording.graph, run.env, _name)
    for node in recording.graph.nodes:
        if _name(node) in METHODS:
            node.target = getattr(Tensor, _name(node))
    recording.recompile()
    return recording


def _shown_before(node: Node, values: dict[Node, Any]) -> Node | None:
    """The first of the nodes that this is a view of, directly or not, that is the same piece of memory in its shape."""
    source: Any = node
    if _name(node) in ("mul", "pow") and isinstance(node.args[1], int) and node.args[1] == 1:
        return source.args[0]
    found = None
    while _name(source) in VIEWS:
        source = source.args[0]
        if _place(values[source]) == _place(values[node]):
            found = source
    return found


def _fold(recording: GraphModule, values: dict[Node, Any]) -> list[Node]:
    """Have what is the same at every call read from a buffer; the nodes that computed it."""
    constant: list[Node] = []
    for node in recording.graph.nodes:
        pure = _name(node) in VIEWS | {"div", "mul"} and all(source in constant for source in node.all_input_nodes)
        if (pure or _name(node) in CONSTANTS) and not any(map(_writes, node.users)):
            constant.append(node)
    for number, node in enumerate(constant):
        if any(user not in constant for user in node.users):
            recording.register_buffer(f"constant_{number}", values[node])
            with recording.graph.inserting_before(node):
                node.replace_all_uses_with(
                    recording.graph.get_attr(f"constant_{number}"), delete_user_cb=lambda user: user not in constant
                )
    return constant


def _writes(node: Node) -> bool:
    """Whether the operation may write into an argument."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _place(tensor: Tensor) -> tuple:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _name(node: Node) -> str:
    """The operation of torch's that the node is, without its overload; empty for everything else."""
    target = node.target
    return target._opname if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten" else ""


def _other(tensor: Tensor) -> Tensor:
    """Other numbers of the same shape: moved weights; the first sample in place of all."""
    if tensor.is_floating_point():
        return 1.01 * tensor + 0.01
    return tensor[:1].expand_as(tensor).contiguous()


def _agree(function: Callable[..., Tensor], recording: Callable[..., Tensor], tensors: list[Tensor]) -> bool:
    """Whether both return the same and leave the same in their arguments, up to rounding."""
    theirs = [t.clone() for t in tensors]
    mine = [t.clone() for t in tensors]
    pairs = zip((function(*theirs), *theirs), (recording(*mine), *mine), strict=True)
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-5 * float(a.abs().max()), equal_nan=True) for a, b in pairs)
