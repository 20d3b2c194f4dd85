"""The controls with random weights: for any statistic of a model, and for a method that is applied to it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.component_setup import _wire_symbolic_hooks
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent
from transformer_lens.model_bridge.sources import boot_native
from transformers import AutoModelForCausalLM

from mechlib.bridge.pretrained import around
from mechlib.bridge.properties import kind_of, require_bridge


def shuffled(model: TransformerBridge, *, seed: int) -> TransformerBridge:
    """A copy of ``model`` in which the entries of every parameter stand in random order.

    Each parameter keeps its values, and so its norm and the scale of what it makes, and loses what was learned: the
    control with random weights for any statistic of a model. Shared parameters stay shared. ``model`` is left as it
    was; hooks on it are copied too, and the tokenizer is the same.
    """
    require_bridge(model)
    remembered = {  # of its last run; a tensor with a gradient's history refuses to be copied
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    control = copy.deepcopy(model, remembered | {id(model._tokenizer): model._tokenizer})
    for block in control.blocks:
        block._teardown_capture_hooks()  # they write into the modules of ``model``; the next run makes new ones
        _rewire(getattr(block, "mlp", None))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in control.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return control


def untrained(model: TransformerBridge, *, seed: int) -> TransformerBridge:
    """A model of the same sizes and options whose weights are as training starts with them: the control for a method.

    What a method finds in it comes from the architecture and the method. Weights are drawn by the model's own library,
    and are in the precision and on the device of ``model``, which is left as it was. Unlike :func:`shuffled` it keeps
    none of the values that were learned. Norms that were folded into other weights are there again.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        control = _fresh(model, seed)
    return control.to(model.W_U.device, model.W_U.dtype, print_details=False).eval()


def _fresh(model: TransformerBridge, seed: int) -> TransformerBridge:
    if kind_of(model) == "native":
        sizes = copy.deepcopy(model.cfg)
        sizes.init_weights, sizes.seed = True, seed
        return boot_native(sizes, model_name=model.cfg.model_name)
    config = copy.deepcopy(model.original_model.config)
    original = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    original.config.architectures = [type(original).__name__]
    return around(original, name=model.cfg.model_name, tokenizer=model.tokenizer)


def _rewire(mlp: nn.Module | None) -> None:
    """In a copy, the hook points of an MLP that is no module of its own (OPT) still belong to the model copied."""
    if not isinstance(mlp, GeneralizedComponent) or not getattr(mlp, "_placeholder_hooks_wired", False):
        return
    for point in (mlp.submodules["in"].hook_in, mlp.submodules["out"].hook_out):
        for handle in [handle for handle in point.fwd_hooks if handle.is_permanent]:
            handle.hook.remove()
            point.fwd_hooks.remove(handle)
    object.__setattr__(mlp, "_placeholder_hooks_wired", False)
    _wire_symbolic_hooks(mlp)
