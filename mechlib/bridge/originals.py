"""Language models as the ``transformers`` library computes them: what a bridge around one is measured against."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

ROUNDING_UNITS = 1000
"""Units in the last place of the largest logit by which two orders of summation may differ, through many layers."""
LARGEST_ROUNDING = 0.2
"""Share of the spread of the logits above which a gap is no rounding, whatever the precision."""

_TOKENIZER_FILES = ("tokenizer", "vocab", "merges", "spiece", "sentencepiece", "tekken")
_OF_NO_MATTER = ("drop", "_token_id", "initializer", "dtype", "use_cache", "output_attentions", "name_or_path")
"""Parts of the names of options that leave the logits alone."""


def load(
    source: str, *, device: torch.device, dtype: torch.dtype, changed: dict[str, object] | None = None
) -> PreTrainedModel:
    """The model of a folder or hub name in eval mode, its attention written out so that patterns can be seen.

    Args:
        changed: options of its configuration to set otherwise than they are stored.

    Raises:
        OSError: if the name is not to be had; the message is that of ``transformers``.
        ValueError: if it is no causal language model.
    """
    config = AutoConfig.from_pretrained(source, output_attentions=True)
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ValueError(f"{source} is a {config.model_type}, which is no causal language model")
    for name, value in (changed or {}).items():
        setattr(config, name, value)
    with _no_progress():
        model = AutoModelForCausalLM.from_pretrained(source, config=config, dtype=dtype, attn_implementation="eager")
    model.to(device)  # type: ignore[arg-type]  # transformers wraps it without its self
    return model.eval()


@contextmanager
def _no_progress() -> Iterator[None]:
    """Without the bar over a model's weights, which would stay on the page of a notebook for ever."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def has_tokenizer(source: str) -> bool:
    """Whether a folder holds a tokenizer; a hub name is taken to have one."""
    folder = Path(source)
    return not folder.is_dir() or any(file.name.startswith(_TOKENIZER_FILES) for file in folder.iterdir())


def few_tokens(model: PreTrainedModel) -> Int[Tensor, "2 pos"]:
    """Two rows of up to eight random tokens, always the same ones."""
    config = model.config.get_text_config()
    length = min(8, getattr(config, "max_position_embeddings", None) or 8)
    tokens = torch.randint(config.vocab_size, (2, length), generator=torch.Generator().manual_seed(0))
    return tokens.to(model.device)


@torch.no_grad()
def logits(model: PreTrainedModel, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row pos d_vocab"]:
    """What ``transformers`` gives.

    Raises:
        ValueError: if it fails on tokens alone, or in this precision.
    """
    try:
        return model(tokens, use_cache=False).logits
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        kind = model.config.model_type
        raise ValueError(f"transformers itself cannot run this {kind} on tokens in {model.dtype}: {error}") from error


def beyond_rounding(own: Float[Tensor, "*rest d_vocab"], expected: Float[Tensor, "*rest d_vocab"]) -> float | None:
    """The largest gap between two computations of the same logits if rounding cannot explain it, else ``None``.

    Single precision is allowed for in double models too: ``transformers`` keeps some norms, softmaxes and rotations in
    it. Logits that are not finite in ``expected`` are not compared.
    """
    own, expected, precision = own[expected.isfinite()].double(), expected[expected.isfinite()].double(), own.dtype
    if expected.numel() == 0:
        return None
    unit = max(torch.finfo(precision).eps, torch.finfo(torch.float32).eps)
    allowed = min(ROUNDING_UNITS * unit, LARGEST_ROUNDING) * (expected - expected.mean()).abs().max()
    gap = (own - expected).abs().max()
    return None if gap <= allowed else gap.item()


def options(config: PretrainedConfig) -> dict[str, tuple[object, object]]:
    """The options that a configuration sets otherwise than its kind does, ``{name: (value, default)}``.

    Switches, names and numbers that are no sizes; not those that leave the logits alone.
    """
    defaults = type(config)().to_dict()
    return {
        name: (value, defaults[name])
        for name, value in config.to_dict().items()
        if isinstance(value, bool | str | float | None)
        and name in defaults
        and value != defaults[name]
        and not any(part in name for part in _OF_NO_MATTER)
    }
