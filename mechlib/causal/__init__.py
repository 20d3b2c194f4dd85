"""Changing what a model computes on the way, to see what that was for.

A model's weights, modes and hooks are as before when an edit is over, also after an exception.

The second copy of random tokens is predicted by what followed the first. Two heads of this model look there; without
them the loss on the second copy, in nats per token, exceeds that of a uniform guess, log 2048 = 7.6:

>>> import torch
>>> from mechlib import zoo
>>> from mechlib.patterns import repeated_tokens
>>> from mechlib.zoo.evaluation import token_losses
>>> model = zoo.load("code-2l", device="cpu")
>>> rows = repeated_tokens(8, 50, 2048, generator=torch.Generator().manual_seed(0))
>>> print(f"{token_losses(model, rows)[:, 50:].mean():.1f}")
0.2
>>> with ablate(model, [(1, 1), (1, 2)]):
...     print(f"{token_losses(model, rows)[:, 50:].mean():.1f}")
9.7

An edit of the last residual-stream entry is read by the unembedding alone; zeros say nothing of the text:

>>> logits = run_with_edit(model, rows[:1], 2, torch.zeros_like)
>>> bool((logits == logits[:, :1]).all())
True
"""

from mechlib.causal.ablation import ablate
from mechlib.causal.attribution import attribution_patching
from mechlib.causal.edit import entries_with_edit, run_with_edit
from mechlib.causal.graph import Graph, attention_graph
from mechlib.causal.interchange import InterchangeResult, interchange
from mechlib.causal.metrics import kl_from, logit_difference, target_log_prob
from mechlib.causal.patching import activation_patching
from mechlib.causal.paths import path_patching
from mechlib.causal.results import PatchingResult

__all__ = [
    "Graph",
    "InterchangeResult",
    "PatchingResult",
    "ablate",
    "activation_patching",
    "attention_graph",
    "attribution_patching",
    "entries_with_edit",
    "interchange",
    "kl_from",
    "logit_difference",
    "path_patching",
    "run_with_edit",
    "target_log_prob",
]
