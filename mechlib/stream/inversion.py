"""The prompt that left a column of vectors behind, found from them alone.

The column at a position depends on the tokens up to it. So the tokens can be found one after the other: with the
earlier ones known, run the model on every candidate for the next and take the one that gives the vector (Nikolaou et
al. 2026, SipIt). What is found is proved by the run that found it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream.generation import Cache, extend
from mechlib.stream.running import slices

__all__ = ["Inversion", "invert"]

Order = Callable[[Float[Tensor, " d_model"]], Int[Tensor, " candidate"]]


@dataclass(frozen=True)
class Inversion:
    """A prompt that was found, and what it took."""

    tokens: Int[Tensor, " pos"]
    """The prompt."""
    tried: Int[Tensor, " pos"]
    """At each position, the number of candidates up to the right one, itself counted."""
    missed: Float[Tensor, " pos"]
    """How far the model's vector is from the one that was given, as a share of that one's length: rounding."""
    next_best: Float[Tensor, " pos"]
    """The same of the nearest other candidate among those that were run; infinite where there was none."""


def invert(
    model: TransformerBridge,
    vectors: Float[Tensor, "pos d_model"],
    entry: int,
    *,
    order: Order | None = None,
    at_once: int = 256,
    tolerance: float = 1e-4,
) -> Inversion:
    """The tokens whose residual stream at one entry is ``vectors``, by trying candidates from the first position on.

    Args:
        vectors: the stream at ``entry`` at every position of a prompt, from its first.
        order: of a position's vector, the candidates in the order in which they are tried; all tokens by their
            numbers when left out.
        at_once: candidates of one pass. The search ends with the first pass that has a match; only candidates up to it
            count as tried.
        tolerance: the largest distance to the given vector, as a share of its length, that counts as rounding.

    Raises:
        ValueError: if no candidate for a position comes within ``tolerance``: the message says how near one came; if
            the vectors do not fit the model, or there is no such entry; otherwise as :func:`extend`.
    """
    if vectors.dim() != 2 or vectors.shape[1] != model.cfg.d_model or not len(vectors):
        raise ValueError(f"vectors have the axes [pos, d_model = {model.cfg.d_model}], got {tuple(vectors.shape)}")
    if not 0 <= entry <= model.cfg.n_layers:
        raise ValueError(f"entry {entry} is out of range: there are entries 0 to {model.cfg.n_layers}")
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}; it is a number of candidates, at least 1")
    cache, found = None, []
    for position, vector in enumerate(vectors):
        every = torch.arange(model.cfg.d_vocab, device=vectors.device)
        candidates = every if order is None else order(vector)
        found.append(_one(model, vector, entry, candidates, cache, at_once, tolerance))
        token, _, off, _ = found[-1]
        if not off <= tolerance:
            raise ValueError(
                f"no candidate for position {position} gives its vector at entry {entry}: the nearest misses it by "
                f"{off:.2g} of its length, and {tolerance:g} counts as rounding"
            )
        _, cache = extend(model, torch.tensor([[token]], device=vectors.device), cache)
    tokens, tried, missed, next_best = zip(*found, strict=True)
    return Inversion(torch.tensor(tokens), torch.tensor(tried), torch.tensor(missed), torch.tensor(next_best))


def _one(
    model: TransformerBridge,
    vector: Float[Tensor, " d_model"],
    entry: int,
    candidates: Int[Tensor, " candidate"],
    cache: Cache | None,
    at_once: int,
    tolerance: float,
) -> tuple[int, int, float, float]:
    """The nearest candidate of all up to the first pass with a match, its place from 1, its distance, and the next."""
    passes, nearest = [], torch.inf
    for part in slices(len(candidates), at_once):
        tokens = candidates[part, None]
        before = (
            None if cache is None else Cache(*(_repeated(each, len(tokens)) for each in (cache.keys, cache.values)))
        )
        columns, _ = extend(model, tokens, before)
        passes.append((columns[entry, :, 0] - vector).norm(dim=-1) / vector.norm())
        nearest = min(nearest, float(passes[-1].min()))
        if nearest <= tolerance:
            break
    distances = torch.cat(passes)
    place = int(distances.argmin())
    others = distances.clone()
    others[place] = torch.inf
    return int(candidates[place]), place + 1, nearest, float(others.min())


def _repeated(kept: Float[Tensor, "layer 1 group pos d_head"], n: int) -> Float[Tensor, "layer n group pos d_head"]:
    return kept.expand(-1, n, -1, -1, -1)
