"""The points of a model at which hooks act. Their names stand here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Literal

from torch import Tensor, nn

from mechlib.bridge import TransformerBridge, require_bridge

Hook = Callable[..., Tensor | None]

InputKind = Literal["q", "k", "v"]

OF_LIBRARIES = ("transformer_lens", "transformers")
"""Where the hooks are from that a model sets on itself when it runs."""

Sublayer = Literal["attn", "mlp"]
NORM_BEHIND: dict[Sublayer, str] = {"attn": "ln1_post", "mlp": "ln2_post"}
"""The norms of what attention and MLP put out, where a kind of model has them."""


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


def mlp_output_hooks(model: TransformerBridge, *, every: bool = True) -> list[str]:
    """The hooks at what the MLPs put out, ``[batch, pos, d_model]``, one for every layer.

    Raises:
        ValueError: if a layer of the model has no MLP; with ``every=False`` it has no hook then.
    """
    if every:
        return _every_layer(model, "hook_mlp_out", "no MLP")
    there = model.hook_dict
    return [name for name in _names(model, "hook_mlp_out") if name in there]


def head_input_hooks(model: TransformerBridge, kind: InputKind) -> list[str]:
    """The hooks at queries, or at keys or values, which heads may share: ``[batch, pos, head or group, d_head]``.

    Raises:
        ValueError: if a layer of the model has no such hook.
    """
    return _every_layer(model, f"attn.hook_{kind}", f"no {kind} of single heads")


def position_hook(model: TransformerBridge) -> str | None:
    """The hook at what learned positions add to the stream, ``[batch, pos, d_model]``; ``None`` if there are none."""
    return "hook_pos_embed" if "pos_embed" in dict(model.named_children()) else None


def output_hooks(model: TransformerBridge, sublayer: Sublayer) -> list[list[str]]:
    """The hooks at what attention or MLP adds to the stream, ``[batch, pos, d_model]``, of every layer.

    One; where a norm stands behind it two, at what goes into the norm first; none where the layer has no such part.
    """
    there, points = model.hook_dict, (f"{NORM_BEHIND[sublayer]}.hook_in", f"hook_{sublayer}_out")
    layers = ([f"blocks.{layer}.{point}" for point in points] for layer in range(model.cfg.n_layers))
    return [[name for name in names if name in there] for names in layers]


def _every_layer(model: TransformerBridge, point: str, what: str) -> list[str]:
    names = _names(model, point)
    there = model.hook_dict
    if without := [layer for layer, name in enumerate(names) if name not in there]:
        raise ValueError(f"the model has {what} in layers {without}: there is no hook {names[without[0]]}")
    return names


def _names(model: TransformerBridge, point: str) -> list[str]:
    return [f"blocks.{layer}.{point}" for layer in range(model.cfg.n_layers)]


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
