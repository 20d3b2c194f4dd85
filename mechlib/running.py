"""Running a model without changing it: what is put in, where hooks go, and how the model is left.

The names of the hooks stand here and nowhere else, for all the reference implementations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mechlib.bridge import TransformerBridge, require_bridge

Hook = Callable[..., Tensor | None]

TOKENS_AT_ONCE = 512
"""Tokens of one forward pass: whole sequences, at least one."""


OF_LIBRARIES = ("transformer_lens", "transformers")
"""Where the hooks are from that a model sets on itself when it runs."""


def hook_name(model: TransformerBridge, entry: int) -> str:
    """The hook at residual-stream entry ``entry``: 0 is the embedding, ``e`` the output of layer ``e - 1``.

    Raises:
        ValueError: if the model has no such entry.
    """
    require_bridge(model)
    n_layers = model.cfg.n_layers
    if not 0 <= entry <= n_layers:
        raise ValueError(f"entry {entry} is out of range: a model of {n_layers} layers has entries 0 to {n_layers}")
    return "blocks.0.hook_resid_pre" if entry == 0 else f"blocks.{entry - 1}.hook_resid_post"


def pattern_hooks(model: TransformerBridge) -> list[str]:
    """The hooks at the attention patterns ``[batch, head, query, key]``, one for every layer.

    Raises:
        ValueError: if a layer of the model computes no attention pattern that could be read.
    """
    return _every_layer(model, "attn.hook_pattern", "no attention pattern to read")


def head_output_hooks(model: TransformerBridge) -> list[str]:
    """The hooks at the outputs of the heads before ``W_O``, ``[batch, pos, head, d_head]``, one for every layer.

    Raises:
        ValueError: if a layer of the model has no attention heads.
    """
    return _every_layer(model, "attn.hook_z", "no attention heads")


def _every_layer(model: TransformerBridge, point: str, what: str) -> list[str]:
    names = [f"blocks.{layer}.{point}" for layer in range(model.cfg.n_layers)]
    there = model.hook_dict
    if without := [layer for layer, name in enumerate(names) if name not in there]:
        raise ValueError(f"the model has {what} in layers {without}: there is no hook {names[without[0]]}")
    return names


def require_head(layer: int, head: int, *, n_layers: int, n_heads: int) -> None:
    """Refuse a head that a model of these sizes does not have.

    Raises:
        ValueError: with the heads that there are.
    """
    if not (0 <= layer < n_layers and 0 <= head < n_heads):
        raise ValueError(
            f"there is no head {head} in layer {layer}: layers are 0 to {n_layers - 1}, heads 0 to {n_heads - 1}"
        )


def hooked_points(model: TransformerBridge, *parts: str) -> list[str]:
    """Every name of the hook points and modules at which a caller's forward hooks act, in the model or its ``parts``.

    What computes a pass by hand, from the weights, has no such points and asks here before it starts. The hooks that
    TransformerLens and transformers set for themselves are no caller's.
    """
    require_bridge(model)
    named = chain.from_iterable(getattr(model, part).named_modules(prefix=part) for part in parts)
    modules = named if parts else model.named_modules()
    hooked = {module: name.replace("._original_component", "") for name, module in modules if _hooked(module)}
    if not hooked:
        return []
    points = model.hook_dict
    own_names = [name for module, name in hooked.items() if module not in points.values()]
    return sorted([*own_names, *(name for name, point in points.items() if point in hooked)])


def _hooked(module: nn.Module) -> bool:
    if (handles := vars(module).get("fwd_hooks")) is not None:
        hooks = [handle.user_hook for handle in handles]
    else:
        hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return any(str(getattr(hook, "__module__", "")).partition(".")[0] not in OF_LIBRARIES for hook in hooks)


@contextmanager
def at_rest(model: TransformerBridge) -> Iterator[None]:
    """Eval mode without gradients; afterwards every module has its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def run(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    hooks: Iterable[tuple[str, Hook]],
    mask: Bool[Tensor, "batch pos"] | None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """One forward pass with hooks, in which no token sees a pad and positions are counted from each row's first token.

    The stream at pads is 0 after every layer. A pad before the first token sees nothing, which many models compute as
    NaN, and a later layer would hand that on to tokens as 0 times NaN. Logits at pads mean nothing.
    """
    if mask is None:
        return model.run_with_hooks(tokens, fwd_hooks=list(hooks))

    def clear(residual: Tensor, hook: object) -> Tensor:
        return residual.masked_fill(~mask[..., None], 0.0)

    cleared = [(hook_name(model, entry), clear) for entry in range(1, model.cfg.n_layers + 1)]
    return model.run_with_hooks(tokens, fwd_hooks=[*cleared, *hooks, *cleared], attention_mask=mask.long())


def run_reading(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    hooks: Iterable[tuple[str, Hook]],
    mask: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "1 1 d_vocab"]:
    """One forward pass for what the hooks see on the way.

    Only the first token of the first row is unembedded (:func:`first_token`); its logits are returned.
    """
    position = first_token(mask)

    def one_position(residual: Tensor, hook: object) -> Tensor:
        return residual[:1, position : position + 1]

    return run(model, tokens, [*hooks, ("unembed.hook_in", one_position)], mask)


def first_token(mask: Bool[Tensor, "batch pos"] | None) -> int:
    """The position of the first row's first token that is no pad."""
    return 0 if mask is None else int(mask[0].long().argmax())


def few_sequences(tokens: Int[Tensor, "batch pos"], at_once: int | None = None) -> Iterator[slice]:
    """Slices of the batch that a forward pass takes: ``at_once`` tokens (``TOKENS_AT_ONCE``), at least one sequence."""
    return slices(len(tokens), max(1, (at_once or TOKENS_AT_ONCE) // tokens.shape[1]))


def slices(n: int, step: int) -> Iterator[slice]:
    """``range(n)`` in pieces of ``step``; the last may be shorter."""
    return (slice(start, start + step) for start in range(0, n, step))


def checked_tokens(model: TransformerBridge, tokens: Int[Tensor | np.ndarray, "*axes"]) -> Int[Tensor, "batch pos"]:
    """``tokens`` as ``[batch, pos]`` of long integers on the model's device; ``[pos]`` is a batch of one.

    Raises:
        TypeError: if they are no integers in a tensor or an array.
        ValueError: if they are empty, of another number of axes, longer than the context or outside the vocabulary.
    """
    require_bridge(model)
    ids = checked_ids("tokens", tokens, model.cfg.d_vocab)
    shape = tuple(ids.shape)
    if len(shape) not in (1, 2):
        raise ValueError(f"tokens have the axes [batch, pos], or [pos] alone; their shape is {shape}")
    if shape[-1] > model.cfg.n_ctx:
        raise ValueError(f"tokens of shape {shape} are longer than the model's context of {model.cfg.n_ctx}")
    return torch.atleast_2d(ids).to(model.W_U.device)


def checked_mask(
    attention_mask: Bool[Tensor | np.ndarray, "*axes"] | Int[Tensor | np.ndarray, "*axes"] | None,
    tokens: Int[Tensor, "batch pos"],
) -> Bool[Tensor, "batch pos"] | None:
    """True where ``tokens``, as :func:`checked_tokens` gives them, are no pads; ``None`` if none of them is one.

    Raises:
        ValueError: if the mask is of another shape than the tokens, holds something else than 0 and 1 or true and
            false, if a row is nothing but pads, or has pads between its tokens.
    """
    if attention_mask is None:
        return None
    given = torch.as_tensor(attention_mask)
    if torch.atleast_2d(given).shape != tokens.shape:
        raise ValueError(
            f"attention_mask says of every token whether it is one: its shape is that of the tokens, "
            f"{tuple(tokens.shape)}, not {tuple(given.shape)}"
        )
    if not ((given == 0) | (given == 1)).all():
        raise ValueError("attention_mask is 1 or true at tokens and 0 or false at pads, and nothing else")
    mask = torch.atleast_2d(given).to(tokens.device, torch.bool)
    if mask.all():
        return None
    beginnings = (mask & ~torch.nn.functional.pad(mask[:, :-1], (1, 0))).sum(1)
    if len(wrong := (beginnings != 1).nonzero()):
        row = int(wrong[0])
        problem = "has no token" if beginnings[row] == 0 else "has pads between its tokens"
        raise ValueError(
            f"row {row} of attention_mask {problem}: pads stand before the tokens of a row, or behind them"
        )
    return mask


def checked_ids(name: str, ids: Int[Tensor | np.ndarray, "*axes"], d_vocab: int) -> Int[Tensor, "*axes"]:
    """``ids``, integers of any size in a tensor or an array of NumPy, as long integers from 0 to ``d_vocab - 1``.

    Raises:
        TypeError: if they are something else.
        ValueError: if they are empty or outside the vocabulary.
    """
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        ids = torch.from_numpy(ids.astype(np.int64))
    if not isinstance(ids, Tensor | np.ndarray):
        raise TypeError(f"{name} are a tensor of token ids, not {type(ids).__name__}: {ids!r}")
    if isinstance(ids, np.ndarray) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"{name} are integers; these, of shape {tuple(ids.shape)}, are {ids.dtype}")
    if ids.numel() == 0:
        raise ValueError(f"{name} of shape {tuple(ids.shape)} are empty")
    ids = ids.long()  # d_vocab may be more than a narrow type can hold
    outside = ((ids < 0) | (ids >= d_vocab)).nonzero()
    if len(outside):
        where = outside[0].tolist()
        raise ValueError(f"{name} hold {int(ids[tuple(where)])} at {where}; token ids are from 0 to {d_vocab - 1}")
    return ids
