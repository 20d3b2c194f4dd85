"""Attention heads: what they attend to, what they copy and how they compose.

The two-head mechanism behind induction is that of Elhage et al., "A Mathematical Framework for Transformer Circuits"
(2021), and its scores those of Olsson et al., "In-context Learning and Induction Heads" (2022, arXiv:2209.11895).
A head is named by the pair ``(layer, head)``, both counted from 0.

Two heads of this model look back at what followed the present token before:

>>> import torch
>>> from mechlib import zoo
>>> model = zoo.load("code-2l", device="cpu")
>>> rows = repeated_tokens(8, 50, 2048, generator=torch.Generator().manual_seed(0))
>>> attained = head_scores(model, rows).attained("induction")
>>> (attained > 0.9).nonzero().tolist()
[[1, 1], [1, 2]]
"""

from mechlib.heads.circuits import CompositionScores, composition_scores, copying_scores, ov_circuit, qk_circuit
from mechlib.heads.finding import FoundHeads, find_heads
from mechlib.heads.masks import weights
from mechlib.heads.scores import HeadScores, head_scores
from mechlib.patterns import KINDS, Kind, pattern_mask, repeated_tokens
from mechlib.places import Head

__all__ = [
    "KINDS",
    "CompositionScores",
    "FoundHeads",
    "Head",
    "HeadScores",
    "Kind",
    "composition_scores",
    "copying_scores",
    "find_heads",
    "head_scores",
    "ov_circuit",
    "pattern_mask",
    "qk_circuit",
    "repeated_tokens",
    "weights",
]
