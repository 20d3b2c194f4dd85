"""The residual stream of a model: its entries, what they read as, how it is run and written on.

A model is run as it is: in eval mode, without gradients, its weights, modes and hooks left as they were. Tokens are
``[batch, pos]``; entries are ``[entry, batch, pos, d_model]``, the embedding first, then the stream after every layer.
"""

from mechlib.stream.columns import PrefixInvariance, prefix_invariance, without_mask
from mechlib.stream.entries import residual_entries
from mechlib.stream.generation import Cache, Continuation, continue_text, extend, multiply_adds
from mechlib.stream.lens import Lens, LensResult, layer_log_probs, logit_lens
from mechlib.stream.prompts import PromptEffect, compare_prompts, empty_prompt, prediction
from mechlib.stream.tuned_lens import TunedLens, fit_tuned_lens
from mechlib.stream.unembedding import read_out

__all__ = [
    "Cache",
    "Continuation",
    "Lens",
    "LensResult",
    "PrefixInvariance",
    "PromptEffect",
    "TunedLens",
    "compare_prompts",
    "continue_text",
    "empty_prompt",
    "extend",
    "fit_tuned_lens",
    "layer_log_probs",
    "logit_lens",
    "multiply_adds",
    "prediction",
    "prefix_invariance",
    "read_out",
    "residual_entries",
    "without_mask",
]
