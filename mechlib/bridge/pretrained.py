"""Models of the ``transformers`` library, brought to compute what that library computes."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components import (
    ALiBiJointQKVAttentionBridge,
    JointQKVAttentionBridge,
    NormalizationBridge,
)
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
from transformer_lens.tools.model_registry.registry_io import resolve_model_alias
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from mechlib.bridge import originals
from mechlib.bridge.properties import kind_of, resolve_device


def from_transformers(
    name_or_folder: str | Path, *, device: str | torch.device = "auto", dtype: torch.dtype = torch.float32
) -> TransformerBridge:
    """A model of the ``transformers`` library: a local folder, or a name on the Hugging Face hub.

    On a few tokens its logits are compared with those of ``transformers`` itself, which costs one more forward pass
    and no second copy of the weights. Text becomes the tokens that the model's own tokenizer makes of it: a
    beginning-of-text token stands before them only if that puts one there, or ``prepend_bos=True`` asks for it. A
    folder without a tokenizer gives a model without one.

    Args:
        dtype: of the weights in memory, whatever they are stored in.

    Raises:
        OSError: if the name is not to be had (no network, no such model); the message is that of ``transformers``.
        ValueError: if the bridge does not compute what ``transformers`` does; the message names the option that it
            does not honour, where there is a single one.
    """
    source = resolve_model_alias(str(name_or_folder)) or str(name_or_folder)
    load = functools.partial(originals.load, source, device=resolve_device(device), dtype=dtype)
    original = load()
    config = copy.deepcopy(original.config)
    found = _bridged(original, source)
    if isinstance(found, TransformerBridge):
        return found
    problem = found
    del original
    options = originals.options(config)
    for name, (value, default) in options.items():
        if _helps(load, source, name, default):
            raise ValueError(
                f"{source} is a {config.model_type} with {name}={value!r}, an option that is not honoured here: "
                f"{problem}, but not with {name}={default!r}"
            )
    others = ", ".join(f"{name}={value!r}" for name, (value, _) in options.items()) or "none"
    raise ValueError(
        f"{source} is a {config.model_type} that is not computed here as transformers does: {problem}. Its options "
        f"off their defaults: {others}"
    )


def _bridged(original: PreTrainedModel, source: str) -> TransformerBridge | str:
    """The bridge around ``original``, whose modules it takes over, or what would be wrong with it."""
    tokens = originals.few_tokens(original)
    expected = originals.logits(original, tokens)
    try:
        model = _around(original, source).eval()
        with torch.no_grad():
            own = model(tokens)
    except torch.OutOfMemoryError:
        raise
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError) as error:
        reason = (str(error).strip().splitlines() or ["without a message"])[0]
        return f"TransformerLens fails ({type(error).__name__}: {reason})"
    gap = originals.beyond_rounding(own, expected)
    return model if gap is None else f"its logits are up to {gap:.2g} off those of transformers"


def _helps(load: Callable[..., PreTrainedModel], source: str, name: str, default: object) -> bool:
    """Whether the bridge computes the same as ``transformers`` when one option has its default."""
    try:
        other = load(changed={name: default})
    except (RuntimeError, TypeError, ValueError):
        return False  # weights of another shape, or a configuration that contradicts itself
    return isinstance(_bridged(other, source), TransformerBridge)


def around(
    original: PreTrainedModel, *, name: str, tokenizer: PreTrainedTokenizerBase | None = None
) -> TransformerBridge:
    """A bridge in eval mode around a model of ``transformers`` that is in memory, whose modules it takes over.

    Unlike :func:`from_transformers` it compares no logits.
    """
    config = copy.deepcopy(original.config)
    architecture = determine_architecture_from_hf_config(config)
    model = build_bridge_from_module(original, architecture, hf_config=config, tokenizer=tokenizer, model_name=name)
    return _as_computed(model, original).eval()


def _around(original: PreTrainedModel, source: str) -> TransformerBridge:
    if not originals.has_tokenizer(source):
        return around(original, name=source)
    model = TransformerBridge.boot_transformers(source, hf_model=original, device=original.device, dtype=original.dtype)
    _set_own_tokenizer(model, source)
    return _as_computed(model, original)


def _set_own_tokenizer(model: TransformerBridge, source: str) -> None:
    """The tokenizer as it is stored: that of TransformerLens begins every text with a token that it may not know."""
    own = AutoTokenizer.from_pretrained(source)
    own.padding_side = model.tokenizer.padding_side
    for mark in ("bos_token", "eos_token", "pad_token"):
        if getattr(own, mark) is None:
            setattr(own, mark, getattr(model.tokenizer, mark))
    begins = own.encode("a")[:1] == [own.bos_token_id]
    model.cfg.tokenizer_prepends_bos = model.cfg.default_prepend_bos = begins
    object.__setattr__(model, "_tokenizer", own)  # whose setter would take the other one again


def _as_computed(model: TransformerBridge, original: PreTrainedModel) -> TransformerBridge:
    """The bridge that TransformerLens builds, brought to what ``transformers`` computes where it departs from that."""
    model.cfg.d_mlp = getattr(original.config, "ffn_dim", model.cfg.d_mlp)  # OPT's is taken for 4 d_model
    _complete_final_norm(model)
    for module in model.modules():
        if type(module) is NormalizationBridge:
            module.use_native_layernorm_autograd = True  # with the precision and epsilon of the model's own norm
        if isinstance(module, JointQKVAttentionBridge):
            _set_softmax_precision(module)
    return model


def _complete_final_norm(model: TransformerBridge) -> None:
    """Give an OPT the final norm that is overlooked beside projections, and one that does nothing where it has none."""
    norm = getattr(model, "ln_final", None)
    if norm is None and kind_of(model) == "opt":
        decoder = model.original_model.get_submodule("model.decoder")
        norm = NormalizationBridge("model.decoder.final_layer_norm", model.cfg)
        norm.set_original_component(getattr(decoder, "final_layer_norm", None) or nn.Identity())
        model.ln_final = decoder.final_layer_norm = norm
    elif norm is not None and norm.original_component is None:
        norm.set_original_component(nn.Identity())


_SINGLE_PRECISION_SOFTMAX = {"GPTBigCodeAttention", "GPTNeoXAttention", "Phi3Attention"}
"""Attention whose softmax ``transformers`` takes in single precision, and TransformerLens in the model's own."""


def _set_softmax_precision(attention: JointQKVAttentionBridge) -> None:
    name, kept = "_softmax_dropout_pattern", attention._softmax_dropout_pattern
    if type(attention.original_component).__name__ in _SINGLE_PRECISION_SOFTMAX:
        object.__setattr__(attention, name, functools.partial(_softmax_in_single, kept))
    elif isinstance(attention, ALiBiJointQKVAttentionBridge):  # Falcon: the other way round
        object.__setattr__(attention, name, functools.partial(_softmax_as_scored, kept))


def _softmax_in_single(softmax: Callable[..., Tensor], scores: Tensor, **given: object) -> Tensor:
    return softmax(scores, upcast_to_fp32=True, target_dtype=scores.dtype)


def _softmax_as_scored(softmax: Callable[..., Tensor], scores: Tensor, **given: object) -> Tensor:
    return softmax(scores, target_dtype=given["target_dtype"])
