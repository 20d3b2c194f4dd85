"""A rehearsal for a GPU on a machine without one: a run on the ``meta`` device, whose tensors have no numbers.

What a host waits for, a number that decides what comes next, the places of a mask, a tensor to be copied to it, is
recorded in a run on the CPU and handed out in the run on ``meta`` at the same line, in the same order; so the second
run goes where the first one went. Every other operation that mixes the devices fails there as it would on a GPU, or
nearly: a matrix product and an index by a tensor of the CPU are let through. Each wait is counted at the innermost
function of ``mechlib``.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import mechlib

PACKAGE = Path(mechlib.__file__).parent
META = torch.device("meta")
AWAITED = {
    "aten::_local_scalar_dense",
    "aten::_unique2",
    "aten::equal",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave.Tensor",
    "aten::unique_consecutive",
    "aten::unique_dim",
}
"""Operations whose result, or its shape, has to be known on the host."""
INDEXED = {"aten::index.Tensor", "aten::index_put_", "aten::index_put"}
"""Those that have to be waited for where an index is a mask."""
READ = ("cpu", "numpy", "tolist", "to")
"""Methods that bring a tensor to the host, or may; on the CPU they are no operations."""


@dataclass(frozen=True)
class Place:
    """The innermost line of the package that led to an operation."""

    function: str
    line: int


def place() -> Place:
    """From where in the package this was called."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(PACKAGE):
            owner = frame.f_code.co_qualname.replace("<locals>.", "").partition(".<")[0]
            return Place(f"{file.relative_to(PACKAGE).as_posix()}: {owner}", frame.f_lineno)
        frame = frame.f_back
    return Place("elsewhere", 0)


def _without_numbers(value: Any) -> Any:
    return torch.empty_like(value, device=META) if isinstance(value, Tensor) else value


def on_meta(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_meta


Answers = defaultdict[tuple[str, Place], deque[Any]]
"""What was waited for, by operation and place."""


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


class _Host(TorchDispatchMode):
    """Records what is waited for, or, with ``answers``, hands it out and counts where that was."""

    def __init__(self, answers: Answers | None = None):
        super().__init__()
        self.answers, self.recorded, self.waits = answers, Answers(deque), Counter[str]()

    def awaited(self, name: str, waits: bool, run: Callable[[], Any]) -> Any:
        here = place()
        if self.answers is None:
            result = run()
            self.recorded[name, here].append(tree_map(_copied, result))
            return result
        told = self.answers[name, here].popleft()
        if not waits:
            return run()
        self.waits[here.function] += 1
        return told

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name, tensors = function.name(), [value for value in args if isinstance(value, Tensor)]
        if kwargs.get("generator") is not None and (kwargs.get("device") == META or any(map(on_meta, tensors))):
            kwargs["generator"] = None  # there is none for meta
        masks = [m for m in args[1] if isinstance(m, Tensor) and m.dtype == torch.bool] if name in INDEXED else []
        if name not in AWAITED and not masks:
            return function(*args, **kwargs)
        waits = any(map(on_meta, [*tensors, *masks]))
        if name.startswith("aten::index_put") and waits:
            self.awaited(name, True, lambda: None)
            return args[0]
        result = self.awaited(name, waits, lambda: function(*args, **kwargs))
        return tree_map(_without_numbers, result) if waits else result


def _reading(host: _Host, method: str) -> Callable[..., Any]:
    original = getattr(Tensor, method)

    def read(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        if torch._C._functorch.is_functorch_wrapped_tensor(self):
            return original(self, *args, **kwargs)
        device = next((d for d in (kwargs.get("device"), *args[:1]) if isinstance(d, str | torch.device)), None)
        if method == "to" and device is None:
            return original(self, *args, **kwargs)
        leaves = self.is_meta and (method != "to" or torch.device(device).type == "cpu")
        return host.awaited(method, leaves, lambda: original(self, *args, **kwargs))

    return read


def _generator(device: Any = "cpu") -> torch.Generator:
    return _GENERATOR("cpu")


_GENERATOR = torch.Generator


def _run(call: Callable[[torch.device], object], device: torch.device, host: _Host) -> None:
    patches = [mock.patch.object(Tensor, method, _reading(host, method)) for method in READ]
    patches.append(mock.patch.object(torch, "Generator", _generator))
    for patch in patches:
        patch.start()
    try:
        with host:
            call(device)
    finally:
        for patch in patches:
            patch.stop()


def rehearse(call: Callable[[torch.device], object]) -> Counter[str]:
    """How often ``call(device)`` waits for a device, by place; it makes its tensors on the device it is given.

    Raises:
        RuntimeError: if it mixes tensors of the device with such of the CPU, or does something else that ``meta``
            cannot.
    """
    cpu = _Host()
    _run(call, torch.device("cpu"), cpu)
    meta = _Host(cpu.recorded)
    _run(call, META, meta)
    return meta.waits
