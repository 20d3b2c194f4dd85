"""The one door to TransformerLens: nothing else in the book imports it.

TransformerLens changes its interface at every major version, so what the book needs of it stands here, under names of
our own: small models built from sizes, and pretrained models by name or from a local folder. Everything returned is a
``TransformerBridge`` in eval mode; its methods (``run_with_cache``, ``hooks``, ``W_U`` ...) are used directly. Every
function of the library that reads such a model raises ``TypeError`` when it is given another object in its place.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformer_lens import FactoredMatrix
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.component_setup import _wire_symbolic_hooks
from transformer_lens.model_bridge.generalized_components import (
    ALiBiJointQKVAttentionBridge,
    JointQKVAttentionBridge,
    NormalizationBridge,
)
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
from transformer_lens.tools.model_registry.registry_io import resolve_model_alias
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mechlib import originals

__all__ = [
    "FactoredMatrix",
    "NativeBridge",
    "Shape",
    "TransformerBridge",
    "attention_scales",
    "from_transformers",
    "kind_of",
    "native",
    "require_bridge",
    "resolve_device",
    "shuffled",
]


@dataclass(frozen=True)
class Shape:
    """The sizes of a small decoder-only transformer."""

    n_layers: int
    d_model: int
    n_heads: int
    d_head: int
    d_mlp: int
    """Width of the MLPs; 0 for a model of attention only."""
    n_ctx: int
    """The longest sequence that the model takes."""
    d_vocab: int
    tied: bool = True
    """Whether the unembedding is the embedding's copy, or has weights of its own."""

    @property
    def parameters(self) -> int:
        """How many numbers training sets; a tied embedding counts once, and the unembedding has no bias."""
        width = self.n_heads * self.d_head
        attention = 3 * (self.d_model + 1) * width + (width + 1) * self.d_model
        mlp = (self.d_model + 1) * self.d_mlp + (self.d_mlp + 1) * self.d_model if self.d_mlp else 0
        norms = 2 * self.d_model * (2 if self.d_mlp else 1)
        tables = (1 if self.tied else 2) * self.d_vocab + self.n_ctx
        return tables * self.d_model + self.n_layers * (attention + mlp + norms) + 2 * self.d_model


def resolve_device(device: str | torch.device) -> torch.device:
    """``"auto"`` is CUDA where there is one, else the CPU; anything else is itself."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


class NativeBridge(TransformerBridge):
    """A small model: it has the tokenizer of its text, made when it is first asked for, or reads token ids alone."""

    make_tokenizer: Callable[[], PreTrainedTokenizerBase] | None = None

    @TransformerBridge.tokenizer.getter
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The model's own tokenizer, so that a setting such as its padding side is no other model's."""
        if self._tokenizer is None and self.make_tokenizer is not None:
            self._tokenizer = self.make_tokenizer()
        return self._tokenizer

    def to_tokens(self, *args: object, **kwargs: object) -> Tensor:
        self._require_text()
        return super().to_tokens(*args, **kwargs)

    def to_string(self, *args: object, **kwargs: object) -> str | list[str]:
        self._require_text()
        return super().to_string(*args, **kwargs)

    def to_str_tokens(self, *args: object, **kwargs: object) -> list[str] | list[list[str]]:
        self._require_text()
        return super().to_str_tokens(*args, **kwargs)

    def _require_text(self) -> None:
        if self.tokenizer is None:
            raise ValueError(
                f"the {self.cfg.d_vocab} tokens of {self.cfg.model_name!r} stand for no text, so it has no tokenizer: "
                f"give token ids, a tensor of integers from 0 to {self.cfg.d_vocab - 1}"
            )


def native(
    shape: Shape,
    weights: Mapping[str, Tensor],
    *,
    name: str = "native",
    device: str | torch.device = "auto",
    tokenizer: Callable[[], PreTrainedTokenizerBase] | None = None,
) -> NativeBridge:
    """A pre-LayerNorm decoder with exact GELU and learned positions, holding ``weights``.

    Args:
        weights: one tensor for every parameter, under the names of TransformerLens's native model
            (``tok_embed.weight``, ``layers.0.attn.q.weight``, ...). ``head.weight`` may be missing from those of a tied
            shape: the unembedding is then the embedding's copy.
        tokenizer: makes the tokenizer of the model's text, one that puts the beginning-of-text token first itself;
            ``None`` where tokens stand for no text.

    Raises:
        ValueError: if a parameter is missing, unknown or of another shape; nothing is built then.
    """
    tied = {"head.weight": weights["tok_embed.weight"]} if shape.tied and "tok_embed.weight" in weights else {}
    complete = tied | dict(weights)
    config = TransformerBridgeConfig(
        n_layers=shape.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        d_head=shape.d_head,
        d_mlp=shape.d_mlp or None,
        n_ctx=shape.n_ctx,
        d_vocab=shape.d_vocab,
        attn_only=shape.d_mlp == 0,
        act_fn="gelu",
        normalization_type="LN",
        init_weights=False,
        tokenizer_prepends_bos=tokenizer is not None,
    )
    with torch.random.fork_rng(devices=[]):
        bridge = TransformerBridge.boot_native(config, device=resolve_device(device), model_name=name).eval()
    bridge.__class__ = NativeBridge  # boot_native makes no other class than its own
    bridge.make_tokenizer = tokenizer
    own = _native_parameters(bridge)
    problems = [f"missing {key}" for key in own.keys() - complete.keys()]
    problems += [f"unknown {key}" for key in complete.keys() - own.keys()]
    problems += [
        f"{key} has shape {tuple(complete[key].shape)}, not {tuple(own[key].shape)}"
        for key in own.keys() & complete.keys()
        if own[key].shape != complete[key].shape
    ]
    if problems:
        raise ValueError(f"the weights do not fit {shape}: " + "; ".join(sorted(problems)))
    with torch.no_grad():
        for key, parameter in own.items():
            parameter.copy_(complete[key])
    return bridge


def _native_parameters(bridge: TransformerBridge) -> dict[str, Tensor]:
    return {name.replace("._original_component", ""): p for name, p in bridge.named_parameters()}


def from_transformers(
    name_or_folder: str | Path, *, device: str | torch.device = "auto", dtype: torch.dtype = torch.float32
) -> TransformerBridge:
    """A model of the ``transformers`` library: a local folder, or a name on the Hugging Face hub.

    On a few tokens its logits are compared with those of ``transformers`` itself, which costs one more forward pass
    and no second copy of the weights. A folder without a tokenizer gives a model without one.

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
    model, problem = _bridged(original, source)
    if problem is None:
        return model
    del model, original
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


def _bridged(original: PreTrainedModel, source: str) -> tuple[TransformerBridge | None, str | None]:
    """The bridge around ``original``, whose modules it takes over, and what is wrong with it."""
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
        return None, f"TransformerLens fails ({type(error).__name__}: {reason})"
    gap = originals.beyond_rounding(own, expected)
    return model, None if gap is None else f"its logits are up to {gap:.2g} off those of transformers"


def _helps(load: Callable[..., PreTrainedModel], source: str, name: str, default: object) -> bool:
    """Whether the bridge computes the same as ``transformers`` when one option has its default."""
    try:
        other = load(changed={name: default})
    except (RuntimeError, TypeError, ValueError):
        return False  # weights of another shape, or a configuration that contradicts itself
    return _bridged(other, source)[1] is None


def _around(original: PreTrainedModel, source: str) -> TransformerBridge:
    """The bridge that TransformerLens builds, brought to what ``transformers`` computes where it departs from that."""
    if originals.has_tokenizer(source):
        model = TransformerBridge.boot_transformers(
            source, hf_model=original, device=original.device, dtype=original.dtype
        )
    else:
        config = copy.deepcopy(original.config)
        architecture = determine_architecture_from_hf_config(config)
        model = build_bridge_from_module(original, architecture, hf_config=config, model_name=source)
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
        decoder = model.original_model.model.decoder
        norm = NormalizationBridge("model.decoder.final_layer_norm", model.cfg)
        norm.set_original_component(decoder.final_layer_norm or nn.Identity())
        model.ln_final = decoder.final_layer_norm = norm
    elif norm is not None and norm.original_component is None:
        norm.set_original_component(nn.Identity())


_SINGLE_PRECISION_SOFTMAX = {"GPTBigCodeAttention", "GPTNeoXAttention", "Phi3Attention"}
"""Attention whose softmax ``transformers`` takes in single precision, and TransformerLens in the model's own."""


def _set_softmax_precision(attention: JointQKVAttentionBridge) -> None:
    kept = attention._softmax_dropout_pattern
    if type(attention.original_component).__name__ in _SINGLE_PRECISION_SOFTMAX:
        attention._softmax_dropout_pattern = functools.partial(_softmax_in_single, kept)
    elif isinstance(attention, ALiBiJointQKVAttentionBridge):  # Falcon: the other way round
        attention._softmax_dropout_pattern = functools.partial(_softmax_as_scored, kept)


def _softmax_in_single(softmax: Callable[..., Tensor], scores: Tensor, **given: object) -> Tensor:
    return softmax(scores, upcast_to_fp32=True, target_dtype=scores.dtype)


def _softmax_as_scored(softmax: Callable[..., Tensor], scores: Tensor, **given: object) -> Tensor:
    return softmax(scores, target_dtype=given["target_dtype"])


def kind_of(model: TransformerBridge) -> str:
    """The kind of model as ``transformers`` names it (``"gpt2"``, ``"llama"``), or ``"native"``."""
    require_bridge(model)
    config = getattr(model.original_model, "config", None)
    return "native" if config is None else config.model_type


def attention_scales(model: TransformerBridge) -> list[float]:
    """What every layer multiplies its scores by: ``1 / sqrt(d_head)`` in most kinds of model, not in all.

    Raises:
        ValueError: if a layer has no attention, or a kind whose scale is not known here.
    """
    require_bridge(model)
    return [_attention_scale(model, layer) for layer in range(model.cfg.n_layers)]


def _attention_scale(model: TransformerBridge, layer: int) -> float:
    attention = getattr(getattr(model.blocks[layer], "attn", None), "original_component", None)
    name = type(attention).__name__
    for attribute in ("scaling", "inv_norm_factor", "softmax_scale"):
        if hasattr(attention, attribute):
            return float(getattr(attention, attribute))
    if name in ("GPTJAttention", "CodeGenAttention"):
        return 1 / float(attention.scale_attn)
    if name == "NativeAttention":
        return 1 / attention.scale
    if name == "GPTNeoSelfAttention":
        return 1.0
    raise ValueError(f"how layer {layer} of a {kind_of(model)} scales its attention scores is not known here ({name})")


def require_bridge(given: object) -> None:
    """Refuse what is not a model in TransformerLens's present form.

    Raises:
        TypeError: with what makes one.
    """
    if not isinstance(given, TransformerBridge):
        raise TypeError(
            f"model is a TransformerBridge, as zoo.load gives for a name or a folder of transformers, not "
            f"{type(given).__name__}"
        )


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


def _rewire(mlp: nn.Module | None) -> None:
    """In a copy, the hook points of an MLP that is no module of its own (OPT) still belong to the model copied."""
    if not getattr(mlp, "_placeholder_hooks_wired", False):
        return
    for point in (mlp.submodules["in"].hook_in, mlp.submodules["out"].hook_out):
        for handle in [handle for handle in point.fwd_hooks if handle.is_permanent]:
            handle.hook.remove()
            point.fwd_hooks.remove(handle)
    object.__setattr__(mlp, "_placeholder_hooks_wired", False)
    _wire_symbolic_hooks(mlp)
