"""What is read of the distributions at a few rows of every entry, before these are dropped."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.distances import cross_entropy
from mechlib.stream.unembedding import unembed

FIELDS = ("entropy", "kl_to_final", "top_ids", "top_log_prob", "target_log_prob", "target_rank")
"""What can be read at an entry: the fields of a ``LensResult`` that a caller chooses from."""
OF_TARGETS = {"target_log_prob", "target_rank"}
OF_WHOLE = {"entropy", "kl_to_final"}
"""Fields of the whole distribution and of no token."""
OF_PROBABILITIES = OF_WHOLE | {"top_log_prob", "target_log_prob"}
"""Fields that need the sum over the vocabulary; ids and ranks are those of the logits."""
NEIGHBOURS = 64
"""Tokens whose largest logit is found first when the most probable are sought."""


def summary(
    model: TransformerBridge,
    entries: Float[Tensor, "entry row d_model"],
    targets: Int[Tensor, "target row"],
    fields: frozenset[str],
    top_k: int,
) -> dict[str, Shaped[Tensor, "entry row ..."]]:
    """The ``fields`` for a few rows, several targets or tokens last, and ``nowhere``: no finite largest logit.

    With logits ``z`` shifted so that the largest is 0, and ``Z = sum exp z``: an entry's entropy is
    ``log Z - sum p z`` and the final distribution's cross-entropy relative to it ``log Z - sum p_final z``. The last
    entry's cross-entropy is its entropy, so the difference there is exactly 0. A logit of minus infinity makes both
    NaN, as ``0 * inf``; they are then summed again with ``0 log 0 = 0``.
    """
    last_first, final = [], None
    for entry in reversed(entries.unbind()):
        found, probs = _of_entry(unembed(model, entry), final, targets, fields, top_k)
        final = probs if final is None else final
        last_first.append(found)
    stacked = {name: torch.stack([found[name] for found in reversed(last_first)]) for name in last_first[0]}
    asked = sorted(OF_WHOLE & fields)
    undefined = torch.stack([stacked[name].isnan().any() for name in asked]).tolist() if asked else []
    for name, any_undefined in zip(asked, undefined, strict=True):
        if any_undefined:
            stacked[name] = _with_ruled_out(model, entries, own=name == "entropy")
    if "kl_to_final" in fields:
        stacked["kl_to_final"] -= stacked["kl_to_final"][-1].clone()
    return stacked


def _of_entry(
    logits: Float[Tensor, "row d_vocab"],
    final: Float[Tensor, "row d_vocab"] | None,
    targets: Int[Tensor, "target row"],
    fields: frozenset[str],
    top_k: int,
) -> tuple[dict[str, Shaped[Tensor, "row ..."]], Float[Tensor, "row d_vocab"] | None]:
    """The fields of one entry, cross-entropy for KL, and the final distribution: its own if ``final`` is ``None``."""
    largest = logits.amax(-1, keepdim=True)
    found = {"nowhere": ~largest[:, 0].isfinite(), **_of_tokens(logits, targets, fields, top_k)}
    if not fields & OF_PROBABILITIES:
        return found, None
    shifted = logits - largest
    exps = shifted.exp()
    total = exps.sum(-1, keepdim=True)
    log_total = total.log()
    for name in fields & {"top_log_prob", "target_log_prob"}:
        found[name] = found[name] - largest - log_total
    if "entropy" in fields:
        found["entropy"] = log_total[:, 0] - torch.linalg.vecdot(exps, shifted) / total[:, 0]
    probs = exps.div_(total) if final is None else final
    if "kl_to_final" in fields:
        found["kl_to_final"] = log_total[:, 0] - torch.linalg.vecdot(probs, shifted)
    return found, probs


def _of_tokens(
    logits: Float[Tensor, "row d_vocab"], targets: Int[Tensor, "target row"], fields: frozenset[str], top_k: int
) -> dict[str, Shaped[Tensor, "row ..."]]:
    """The fields of single tokens that are asked for; in those of log-probabilities, their logits."""
    found = {}
    if fields & {"top_ids", "top_log_prob"}:
        found["top_log_prob"], found["top_ids"] = top_of(logits, top_k)
    found["target_log_prob"] = logits.gather(-1, targets.T)
    if "target_rank" in fields:
        ranks = [(logits - wanted[:, None]).gt_(0).sum(-1) for wanted in found["target_log_prob"].T]
        found["target_rank"] = torch.stack(ranks, -1).long()
    return {name: values for name, values in found.items() if name in fields}


def top_of(logits: Float[Tensor, "row d_vocab"], k: int) -> tuple[Float[Tensor, "row k"], Int[Tensor, "row k"]]:
    """``logits.topk(k)``, sought among the ``k`` groups of neighbours whose largest are largest: quicker."""
    d_vocab = logits.shape[1]
    n_groups = d_vocab // NEIGHBOURS
    if n_groups <= k:
        return logits.topk(k)
    ids = torch.arange(d_vocab, device=logits.device)
    grouped, rest = ids[: n_groups * NEIGHBOURS].view(n_groups, NEIGHBOURS), ids[n_groups * NEIGHBOURS :]
    groups = logits[:, : grouped.numel()].unflatten(1, grouped.shape).amax(2).topk(k).indices
    candidates = torch.cat([grouped[groups].flatten(1), rest.expand(len(logits), -1)], 1)
    values, places = logits.gather(1, candidates).topk(k)
    return values, candidates.gather(1, places)


def _with_ruled_out(
    model: TransformerBridge, entries: Float[Tensor, "entry row d_model"], *, own: bool
) -> Float[Tensor, "entry row"]:
    """The entropy of every entry (``own``), or the final distribution's cross-entropy relative to it.

    As in :func:`summary`, where some tokens have logits of minus infinity.
    """
    final = unembed(model, entries[-1]).log_softmax(-1)
    log_probs = (unembed(model, entry).log_softmax(-1) for entry in entries)
    return torch.stack([cross_entropy(each if own else final, each) for each in log_probs])
