"""The residual stream of a model: its entries, what they read as, how it is run and written on.

A model is run as it is: in eval mode, without gradients, its weights, modes and hooks left as they were. Tokens are
``[batch, pos]``; entries are ``[entry, batch, pos, d_model]``, the embedding first, then the stream after every layer.

>>> from mechlib import text, zoo
>>> model = zoo.load("code-2l", device="cpu")
>>> tokens = text.encode("if __name__ ==")
>>> residual_entries(model, tokens).shape
torch.Size([3, 1, 6, 128])

What would the model write next if it stopped at an entry, and how far is that from what it does write?

>>> reading = logit_lens(model, tokens, fields=["top_ids", "kl_to_final"], positions=-1)
>>> guesses = text.token_strings(reading.top_ids[:, 0, 0, 0])
>>> for label, guess, kl in zip(reading.labels, guesses, reading.kl_to_final[:, 0, 0], strict=True):
...     print(f"{label:9} {guess:4} {kl:.1f}")
embedding ·==  18.8
layer 0   ·'__ 0.3
layer 1   ·'__ 0.0
>>> text.token_strings(continue_text(model, tokens, 3).tokens[0, -3:])
["·'__", 'main', '__']
"""

from mechlib.stream.attribution import LogitAttribution, direct_logit_attribution
from mechlib.stream.columns import PrefixInvariance, prefix_invariance, without_mask
from mechlib.stream.entries import residual_entries
from mechlib.stream.generation import Cache, Continuation, continue_text, extend, multiply_adds
from mechlib.stream.inversion import Inversion, invert
from mechlib.stream.jacobian_lens import JacobianLens, fit_jacobian_lens
from mechlib.stream.kept_lens import keep_tuned_lens, load_tuned_lens, tuned_lens_at_hand
from mechlib.stream.lens import Lens, LensResult, layer_log_probs, logit_lens
from mechlib.stream.prompts import PromptEffect, compare_prompts, empty_prompt, prediction
from mechlib.stream.tuned_lens import TunedLens, fit_tuned_lens
from mechlib.stream.unembedding import read_out

__all__ = [
    "Cache",
    "Continuation",
    "Inversion",
    "JacobianLens",
    "Lens",
    "LensResult",
    "LogitAttribution",
    "PrefixInvariance",
    "PromptEffect",
    "TunedLens",
    "compare_prompts",
    "continue_text",
    "direct_logit_attribution",
    "empty_prompt",
    "extend",
    "fit_jacobian_lens",
    "fit_tuned_lens",
    "invert",
    "keep_tuned_lens",
    "layer_log_probs",
    "load_tuned_lens",
    "logit_lens",
    "multiply_adds",
    "prediction",
    "prefix_invariance",
    "read_out",
    "residual_entries",
    "tuned_lens_at_hand",
    "without_mask",
]
