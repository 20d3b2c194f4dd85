"""Editing the residual stream while a model runs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.running import hook_name

Edit = Callable[[Float[Tensor, "batch pos d_model"]], Float[Tensor, "batch pos d_model"]]


@torch.no_grad()
def run_with_edit(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], entry: int, edit: Edit, *, batch: int = 64
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits when residual-stream entry ``entry`` is replaced by ``edit`` of itself; later layers run on that.

    ``edit`` sees at most ``batch`` rows at a time, in order; pass ``batch=len(tokens)`` to see all at once.
    No hook is left behind, also after an exception.
    """

    def hook(residual: Tensor, hook: object) -> Tensor:
        return edit(residual)

    name = hook_name(model, entry)
    return torch.cat([model.run_with_hooks(chunk, fwd_hooks=[(name, hook)]) for chunk in tokens.split(batch)])
