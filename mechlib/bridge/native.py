"""Small models built from sizes and weights."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import boot_native
from transformers import PreTrainedTokenizerBase

from mechlib.bridge.properties import resolve_device


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


_TOKENIZER: property = inspect.getattr_static(TransformerBridge, "tokenizer")
Given = ParamSpec("Given")
Result = TypeVar("Result")


def _of_text(
    method: Callable[Concatenate[NativeBridge, Given], Result],
) -> Callable[Concatenate[NativeBridge, Given], Result]:
    """A method that a model whose tokens stand for no text refuses."""

    @functools.wraps(method)
    def of_text(self: NativeBridge, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        self._require_text()
        return method(self, *args, **kwargs)

    return of_text


class NativeBridge(TransformerBridge):
    """A small model: it has the tokenizer of its text, made when it is first asked for, or reads token ids alone."""

    make_tokenizer: Callable[[], PreTrainedTokenizerBase] | None = None

    @_TOKENIZER.getter
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """The model's own tokenizer, so that a setting such as its padding side is no other model's."""
        if super().tokenizer is None and self.make_tokenizer is not None:
            _TOKENIZER.__set__(self, self.make_tokenizer())
        return super().tokenizer

    to_tokens = _of_text(TransformerBridge.to_tokens)
    to_string = _of_text(TransformerBridge.to_string)
    to_str_tokens = _of_text(TransformerBridge.to_str_tokens)

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
        bridge = boot_native(config, device=resolve_device(device), model_name=name).eval()
    bridge.__class__ = NativeBridge  # boot_native makes no other class than its own
    assert isinstance(bridge, NativeBridge)
    bridge.make_tokenizer = tokenizer
    own = native_parameters(bridge)
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
    if shape.tied:
        _tie(bridge, own["tok_embed.weight"], own["head.weight"])
    return bridge


def native_parameters(bridge: TransformerBridge) -> dict[str, nn.Parameter]:
    """The parameters by TransformerLens's native names; one that is tied stands under both of its names."""
    own = {name.replace("._original_component", ""): p for name, p in bridge.named_parameters()}
    return {"head.weight": own["tok_embed.weight"]} | own


def _tie(bridge: TransformerBridge, embedding: nn.Parameter, unembedding: nn.Parameter) -> None:
    """Make one parameter of two that are equal, so that what moves or counts weights meets it once."""
    if torch.equal(embedding, unembedding):
        for module in bridge.modules():
            if getattr(module, "weight", None) is unembedding:
                module.weight = embedding
