"""Which of a model's weights belong to a head or a component: the free weights of a restricted coefficient."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.places import Head, require_head
from mechlib.stream.running import at_rest

OUTPUTS = {"Linear": 0, "Conv1D": 1}
"""The axis of a weight along which outputs lie, by kind of linear map: torch's, and GPT-2's of ``transformers``."""

Place = Head | tuple[int, str] | str
"""A head ``(layer, head)``, a component of a layer ``(layer, "mlp")``, or one of the model, ``"embed"``."""


def weights(model: TransformerBridge, *places: Place) -> dict[str, Bool[Tensor, "*shape"]]:
    """The weights of heads and components as masks by name, as ``params`` of ``llc.estimate_llc`` takes them.

    - ``(layer, head)``: the parts of query, key and value that make the head's own, with their biases, and the part of
      out that reads what it found. In grouped-query attention key and value are the group's, which its other heads
      share. The bias of out, and norms, are no head's.
    - ``(layer, name)``: what a component of a layer computes with: ``"attn"``, ``"mlp"``, ``"ln1"``.
    - ``name``: the same of a component of the model: ``"embed"``, ``"unembed"``.

    A weight that several places share, or that has several names because it is tied, is in one mask, once.

    Raises:
        ValueError: if no place is given; if there is no such head or component (those that there are stand in the
            message), a component has no weights, or heads have no weights of their own in models of this kind.
    """
    require_bridge(model)
    if not places:
        raise ValueError("give at least one place: a head (layer, head), a component (layer, 'mlp') or 'embed'")
    every = model.named_parameters(remove_duplicate=False)
    names = {id(parameter): name for name, parameter in reversed(list(every))}
    found: dict[str, Tensor] = {}
    for place in places:
        for parameter, mask in _at(model, place):
            name = names[id(parameter)]
            found[name] = found[name] | mask if name in found else mask
    return found


Masked = list[tuple[Tensor, Bool[Tensor, "*shape"]]]
"""Parameters, each with a mask of its shape."""


def _at(model: TransformerBridge, place: Place) -> Masked:
    if isinstance(place, str):
        return _component(model, model, place)
    layer, which = place
    if not isinstance(which, str):
        require_head(layer, which, n_layers=model.cfg.n_layers, n_heads=model.cfg.n_heads)
        return _head(model, layer, which)
    if not 0 <= layer < model.cfg.n_layers:
        raise ValueError(f"there is no layer {layer}: layers are 0 to {model.cfg.n_layers - 1}")
    return _component(model, model.blocks[layer], which)


def _head(model: TransformerBridge, layer: int, head: int) -> Masked:
    (query, of_query), *rest = _linear_maps(model, layer)
    n_heads, out = model.cfg.n_heads, rest[-1][0]
    width = query.weight.shape[of_query] // n_heads
    masked = []
    for linear, output in ((query, of_query), *rest):
        axis = 1 - output if linear is out else output
        own = torch.zeros(linear.weight.shape[axis], dtype=torch.bool, device=linear.weight.device)
        groups = own.view(-1, width)
        groups[head * len(groups) // n_heads] = True
        masked.append((linear.weight, own.unsqueeze(1 - axis).expand_as(linear.weight).clone()))
        if linear.bias is not None and linear is not out:
            masked.append((linear.bias, own))
    return masked


def _linear_maps(model: TransformerBridge, layer: int) -> list[tuple[Any, int]]:
    """Query, key, value and out of a layer, each with the axis of its weight along which its outputs lie."""
    parts = (getattr(model.blocks[layer].attn, name, None) for name in ("q", "k", "v", "o"))
    maps = [getattr(part, "original_component", None) for part in parts]
    if not all(type(linear).__name__ in OUTPUTS for linear in maps):
        raise ValueError(
            f"heads of {model.cfg.model_name!r} have no weights of their own: its attention is not made of four linear "
            f"maps, but of {', '.join(type(linear).__name__ for linear in maps)}"
        )
    return [(linear, OUTPUTS[type(linear).__name__]) for linear in maps]


def _component(model: TransformerBridge, owner: nn.Module, name: str) -> Masked:
    children = ((key, child) for key, child in owner.named_children() if not key.startswith("_"))
    there = {key: child for key, child in children if any(True for _ in child.parameters())}
    if name not in there:
        raise ValueError(f"there is no component {name!r} with weights: there are {', '.join(map(repr, there))}")
    parameters = list(there[name].parameters())
    return [(p, torch.ones_like(p, dtype=torch.bool)) for p in _used(model, parameters)]


def _used(model: TransformerBridge, parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    """Those that the logits are computed with: of a joint map and the parts that it was taken apart into, the parts."""
    flags = [parameter.requires_grad for parameter in parameters]
    tokens = torch.zeros((1, 2), dtype=torch.long, device=parameters[0].device)
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        with at_rest(model), torch.enable_grad():
            gradients = torch.autograd.grad(model(tokens).sum(), parameters, allow_unused=True)
    finally:
        for parameter, flag in zip(parameters, flags, strict=True):
            parameter.requires_grad_(flag)
        with at_rest(model):
            model(tokens)  # what modules keep of a run has no graph then
    return [p for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None]
