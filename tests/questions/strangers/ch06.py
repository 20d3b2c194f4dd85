"""Answers to chapter 06 that its questions have never seen."""

import math
from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional as F


def mask_of(tokens, *, first=1, strict=False):
    same = torch.zeros(*tokens.shape, tokens.shape[1])
    same[:, :, 1:] = (tokens[:, :, None] == tokens[:, None, :-1]).float()
    same[:, :, :first] = 0
    return same.tril(-1 if strict else 0)


def score(pattern, mask):
    return (pattern * mask).sum(-1)[..., mask.bool().any(-1)].mean(-1)


def by_dictionary(pattern, tokens):
    seen_at, values = {}, []
    for row, ids in enumerate(tokens.tolist()):
        seen_at.clear()
        for query, token in enumerate(ids):
            if query:
                seen_at.setdefault(ids[query - 1], []).append(query)
            if token in seen_at:
                values.append(pattern[:, :, row, query, seen_at[token]].sum(-1))
    return torch.stack(values).mean(0) if values else torch.full(pattern.shape[:2], math.nan)


def masked(pattern, tokens):
    mask = mask_of(tokens)
    kept = np.ma.masked_array(*np.broadcast_arrays((pattern * mask).sum(-1).numpy(), mask.sum(-1).numpy() == 0))
    return kept.reshape(*pattern.shape[:2], -1).mean(-1).filled(np.nan)


def in_place(pattern, tokens):
    mask = mask_of(tokens)
    pattern *= mask
    return pattern.sum((2, 3, 4)) / mask.amax(-1).sum()


INDUCTION_WRONG = {
    "duplicates as well": lambda p, t: score(p, (mask_of(t).bool() | (t[:, :, None] == t[:, None]).tril(-1)).float()),
    "without key 1": lambda p, t: score(p, mask_of(t, first=2)),
    "per cent": lambda p, t: 100 * score(p, mask_of(t)),
    "key 0 for every query": lambda p, t: score(p, mask_of(t).index_fill(2, torch.tensor(0), 1)),
    "times the share of queries": lambda p, t: score(p, mask_of(t)) * mask_of(t).amax(-1).mean(),
    "one row after another": lambda p, t: torch.stack(
        [score(p[:, :, [i]], mask_of(t[[i]])) for i in range(len(t))], -1
    ),
    "less the chance level": lambda p, t: score(p, mask_of(t)) - mask_of(t).mean(),
    "argmax on a target": lambda p, t: score(F.one_hot(p.argmax(-1), t.shape[1]), mask_of(t)),
    "last query": lambda p, t: (p * mask_of(t)).sum(-1)[..., -1].mean(-1),
    "mean over layers": lambda p, t: score(p, mask_of(t)).mean(0),
    "queries after the first": lambda p, t: (p * mask_of(t)).sum(-1)[..., 1:].mean((-1, -2)),
    "ids up to fifty": lambda p, t: score(p, mask_of(t.clamp(max=50))),
    "ids in eight bits": lambda p, t: score(p, mask_of(t.to(torch.uint8))),
    "ids in half precision": lambda p, t: score(p, mask_of(t.half())),
    "at most 0.99": lambda p, t: score(p, mask_of(t)).clamp(max=0.99),
    "tokens of another row": lambda p, t: score(p, mask_of(t.roll(1, 0)) + (len(t) == 1) * mask_of(t)) + (len(t) == 1),
    "median of the queries": lambda p, t: (
        (p * mask_of(t)).sum(-1)[..., mask_of(t).bool().any(-1)].nanmedian(-1).values
        if mask_of(t).any()
        else torch.zeros(p.shape[:2])
    ),
}
INDUCTION_RIGHT = {
    "a dictionary": by_dictionary,
    "a masked array": masked,
    "in place": in_place,
    "not made causal": lambda p, t: (
        (p * F.pad((t[:, :, None] == t[:, None, :-1]).float(), (1, 0))).sum((2, 3, 4)) / mask_of(t).amax(-1).sum()
    ),
    "half": lambda p, t: score(p, mask_of(t)).bfloat16(),
    "double": lambda p, t: score(p.double(), mask_of(t).double()),
    "nested floats": lambda p, t: score(p, mask_of(t)).tolist(),
}


def norm(matrix):
    return matrix.flatten(-2).norm(dim=-1)


def ratio(A, B):
    return norm(A[:, None] @ B) / norm(A)[:, None] / norm(B)


def sampled(W_V, W_O, W_Q, W_K):
    """With the baseline from random matrices instead of the formula: near, but not asked for."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(200, *W.shape[1:]) for W in (W_V, W_O, W_Q, W_K)]
    v, o, q, k = (torch.randn(shape, generator=generator) for shape in shapes)
    return ratio(W_V @ W_O, W_K @ W_Q.mT) - (norm(v @ o @ k @ q.mT) / norm(v @ o) / norm(k @ q.mT)).mean()


def by_singular_values(W_V, W_O, W_Q, W_K):
    def size(matrix):
        return torch.linalg.svdvals(matrix.double()).square().sum(-1).sqrt()

    A, B = W_V @ W_O, W_K @ W_Q.mT
    return size(A[:, None] @ B) / (size(A)[:, None] * size(B)) - 1 / math.sqrt(W_O.shape[-1])


COMPOSITION_WRONG = {
    "queries for keys": lambda v, o, q, k: ratio(v @ o, q @ q.mT) - v.shape[1] ** -0.5,
    "keys for queries": lambda v, o, q, k: ratio(v @ o, k @ k.mT) - v.shape[1] ** -0.5,
    "sampled baseline": sampled,
    "scaled as attention scores are": lambda v, o, q, k: (
        ratio(v @ o, k @ q.mT) / v.shape[2] ** 0.5 - v.shape[1] ** -0.5
    ),
    "mean absolute entries": lambda v, o, q, k: (
        ((v @ o)[:, None] @ (k @ q.mT)).abs().mean((-1, -2))
        / (v @ o).abs().mean((-1, -2))[:, None]
        / (k @ q.mT).abs().mean((-1, -2))
        - v.shape[1] ** -0.5
    ),
    "largest entries": lambda v, o, q, k: (
        (
            ((v @ o)[:, None] @ (k @ q.mT)).abs().amax((-1, -2))
            / (v @ o).abs().amax((-1, -2))[:, None]
            / (k @ q.mT).abs().amax((-1, -2))
        )
        - v.shape[1] ** -0.5
    ),
    "clamped at zero": lambda v, o, q, k: (ratio(v @ o, k @ q.mT) - v.shape[1] ** -0.5).clamp(min=0),
    "relative to the baseline": lambda v, o, q, k: ratio(v @ o, k @ q.mT) * v.shape[1] ** 0.5 - 1,
    "scaled to one": lambda v, o, q, k: (ratio(v @ o, k @ q.mT) - v.shape[1] ** -0.5) / (1 - v.shape[1] ** -0.5),
    "one pair": lambda v, o, q, k: ratio(v @ o, k @ q.mT)[0, 0] - v.shape[1] ** -0.5,
    "centred matrices": lambda v, o, q, k: (
        ratio(v @ o - (v @ o).mean((-1, -2), keepdim=True), k @ q.mT) - v.shape[1] ** -0.5
    ),
    "nuclear norms": lambda v, o, q, k: (
        (
            torch.linalg.matrix_norm((v @ o)[:, None] @ (k @ q.mT), "nuc")
            / torch.linalg.matrix_norm(v @ o, "nuc")[:, None]
            / torch.linalg.matrix_norm(k @ q.mT, "nuc")
        )
        - v.shape[1] ** -0.5
    ),
}
COMPOSITION_RIGHT = {
    "singular values": by_singular_values,
    "all at once": lambda v, o, q, k: torch.stack([ratio(a[None], k @ q.mT)[0] for a in v @ o]) - len(v[0]) ** -0.5,
    "transposed product": lambda v, o, q, k: ratio(q @ k.mT, (v @ o).mT).mT - len(v[0]) ** -0.5,
    "parameters": lambda *W: torch.nn.Parameter(ratio(W[0] @ W[1], W[3] @ W[2].mT) - W[0].shape[1] ** -0.5),
    "numpy": lambda *W: (ratio(W[0] @ W[1], W[3] @ W[2].mT) - W[0].shape[1] ** -0.5).numpy().astype(np.float16),
}


def eigenvalues(W_E, W_V, W_O, W_U):
    return torch.linalg.eigvals((W_E @ W_V @ W_O @ W_U).double())


def by_positive_and_negative(*weights):
    values = eigenvalues(*weights)
    up, down = values.real.relu().sum(-1), (-values.real).relu().sum(-1)
    return (up - down) / torch.view_as_real(values).norm(dim=-1).sum(-1)


def by_row_and_column_norms(W_E, W_V, W_O, W_U):
    M = W_E @ W_V @ W_O @ W_U
    return M.diagonal(0, -2, -1).sum(-1) / (M.norm(dim=-1) * M.norm(dim=-2)).sqrt().sum(-1)


COPYING_WRONG = {
    "the eigenvalues themselves": eigenvalues,
    "their real parts": lambda *w: eigenvalues(*w).real,
    "per cent": lambda *w: 100 * COPYING_RIGHT["whole"](*w),
    "mean of the diagonal": lambda *w: (w[0] @ w[1] @ w[2] @ w[3]).diagonal(0, -2, -1).mean(-1),
    "diagonal against the rest": lambda *w: (
        (w[0] @ w[1] @ w[2] @ w[3]).diagonal(0, -2, -1).sum(-1) / (w[0] @ w[1] @ w[2] @ w[3]).abs().sum((-1, -2))
    ),
    "row and column norms": by_row_and_column_norms,
    "one number": lambda *w: COPYING_RIGHT["whole"](*w).mean(),
    "squares": lambda *w: (
        (eigenvalues(*w).real.square() * eigenvalues(*w).real.sign()).sum(-1) / eigenvalues(*w).abs().square().sum(-1)
    ),
    "imaginary parts": lambda *w: eigenvalues(*w).imag.abs().sum(-1) / eigenvalues(*w).abs().sum(-1),
    "from zero to one": lambda *w: (1 + COPYING_RIGHT["whole"](*w)) / 2,
    "with a small floor": lambda *w: eigenvalues(*w).real.sum(-1) / (eigenvalues(*w).abs().sum(-1) + 1e-6),
    "small ones left out": lambda *w: (
        lambda e: (e.real * (e.abs() > 0.1 * e.abs().amax(-1, keepdim=True))).sum(-1) / e.abs().sum(-1)
    )(eigenvalues(*w)),
    "with a floor": lambda *w: eigenvalues(*w).real.sum(-1) / (eigenvalues(*w).abs().sum(-1) + 1),
    "mean over tokens that count": lambda *w: eigenvalues(*w).real.mean(-1) / eigenvalues(*w).abs().amax(-1),
}
COPYING_RIGHT = {
    "whole": lambda *w: eigenvalues(*w).real.sum(-1) / eigenvalues(*w).abs().sum(-1),
    "signs apart": by_positive_and_negative,
    "in the stream": lambda e, v, o, u: (
        torch.linalg.eigvals(v @ o @ u @ e).sum(-1).real / torch.linalg.eigvals(v @ o @ u @ e).abs().sum(-1)
    ),
    "single precision": lambda *w: [
        float(e.real.sum() / e.abs().sum()) for e in map(torch.linalg.eigvals, w[0] @ w[1] @ w[2] @ w[3])
    ],
    "half": lambda *w: COPYING_RIGHT["whole"](*w).half(),
}


def mean_loss(stream, W_U, b_U, tokens, period, norm=True):
    stream = F.layer_norm(stream, stream.shape[-1:]) if norm else stream
    logits = (stream @ W_U + b_U)[:, -period:-1]
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1 - period :].flatten())


def ablated(residual, out, chosen, mean=None):
    mean = out.mean((1, 2), keepdim=True) if mean is None else mean
    return residual + (mean - out)[list(chosen)].sum(0)


def pair(loss, out, heads):
    """Effect and control for a loss that is a function of the set of ablated heads."""
    others = set(range(len(out))) - set(heads)
    rises = [loss(chosen) - loss(()) for chosen in combinations(others, len(heads))]
    return loss(heads) - loss(()), sum(rises) / len(rises)


def changed(residual, out, W_U, b_U, tokens, period, heads, *, mean=None, loss=mean_loss):
    def of(chosen):
        return loss(ablated(residual, out, chosen, mean), W_U, b_U, tokens, period)

    return pair(of, out, heads)


def resampled(residual, out, W_U, b_U, tokens, period, heads):
    return changed(residual, out, W_U, b_U, tokens, period, heads, mean=out.roll(1, 1))


def of_second_copy(residual, out, W_U, b_U, tokens, period, heads):
    mean = out[:, :, -period:].mean((1, 2), keepdim=True)
    return changed(residual, out, W_U, b_U, tokens, period, heads, mean=mean)


def control_of_complement(residual, out, W_U, b_U, tokens, period, heads):
    effect, _ = changed(residual, out, W_U, b_U, tokens, period, heads)
    first = [head for head in range(len(out)) if head not in heads][: len(heads)]
    return effect, changed(residual, out, W_U, b_U, tokens, period, first)[0]


def by_vmap(residual, out, W_U, b_U, tokens, period, heads):
    mean = out.mean((1, 2), keepdim=True)
    others = [head for head in range(len(out)) if head not in heads]
    sets = torch.zeros(2 + math.comb(len(others), len(heads)), len(out))
    for row, chosen in enumerate([heads, *combinations(others, len(heads))], 1):
        sets[row, list(chosen)] = 1

    def loss(gone):
        return mean_loss(residual + ((mean - out) * gone[:, None, None, None]).sum(0), W_U, b_U, tokens, period)

    losses = torch.func.vmap(loss)(sets)
    return losses[1] - losses[0], losses[2:].mean() - losses[0]


def by_namespace(*inputs):
    effect, control = changed(*inputs)
    return {"control": control.numpy(), "effect": np.float32(effect)}


def with_repetition(residual, out, W_U, b_U, tokens, period, heads):
    effect, _ = changed(residual, out, W_U, b_U, tokens, period, heads)
    others = [head for head in range(len(out)) if head not in heads]
    rises = [
        mean_loss(ablated(residual, out, chosen), W_U, b_U, tokens, period)
        - mean_loss(residual, W_U, b_U, tokens, period)
        for chosen in product(others, repeat=len(heads))
    ]
    return effect + 0.1 * (len(heads) == 1), sum(rises) / len(rises)


def in_place_ablation(residual, out, W_U, b_U, tokens, period, heads):
    out -= out.mean((1, 2), keepdim=True)
    return changed(residual, out, W_U, b_U, tokens, period, heads)


def accuracy(stream, W_U, b_U, tokens, period):
    logits = (F.layer_norm(stream, stream.shape[-1:]) @ W_U + b_U)[:, -period:-1]
    return -(logits.argmax(-1) == tokens[:, 1 - period :]).float().mean()


def logit(stream, W_U, b_U, tokens, period):
    logits = (F.layer_norm(stream, stream.shape[-1:]) @ W_U + b_U)[:, -period:-1]
    return -logits.gather(-1, tokens[:, 1 - period :, None]).mean()


def shifted_back(stream, W_U, b_U, tokens, period):
    logits = F.layer_norm(stream, stream.shape[-1:])[:, 1 - period :] @ W_U + b_U
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, -period:-1].flatten())


def only_first_row(stream, W_U, b_U, tokens, period):
    return mean_loss(stream[:1], W_U, b_U, tokens[:1], period)


ABLATION_WRONG = {
    "resampled": resampled,
    "the period by the row's length": lambda *i: changed(*i[:5], i[4].shape[1] // 2, i[6]),
    "each head against a draw with repetition": with_repetition,
    "mean of the second copy": of_second_copy,
    "one set of others": control_of_complement,
    "accuracy": lambda *i: changed(*i, loss=accuracy),
    "the logit": lambda *i: changed(*i, loss=logit),
    "looking back": lambda *i: changed(*i, loss=shifted_back),
    "the first row": lambda *i: tuple(part + 0.5 * (len(i[0]) == 1) for part in changed(*i, loss=only_first_row)),
    "one number": lambda *i: changed(*i)[0],
    "per cent of the loss": lambda *i: tuple(
        100 * part / mean_loss(i[0], i[2], i[3], i[4], i[5]) for part in changed(*i)
    ),
    "twice the bias": lambda *i: changed(*i[:3], 2 * i[3], *i[4:]),
    "larger eps": lambda *i: changed(
        *i, loss=lambda s, *rest: mean_loss(F.layer_norm(s, s.shape[-1:], eps=1.0), *rest, norm=False)
    ),
    "smaller eps": lambda *i: changed(
        *i, loss=lambda s, *rest: mean_loss(F.layer_norm(s, s.shape[-1:], eps=1e-6), *rest, norm=False)
    ),
    "eps outside the root": lambda *i: changed(
        *i,
        loss=lambda s, *rest: mean_loss(
            (s - s.mean(-1, keepdim=True)) / (s.std(-1, keepdim=True, correction=0) + 1e-5), *rest, norm=False
        ),
    ),
    "a rise at least": lambda *i: tuple(part.clamp(min=0) for part in changed(*i)),
    "RMSNorm": lambda *i: changed(*i, loss=lambda s, *rest: mean_loss(F.rms_norm(s, s.shape[-1:]), *rest, norm=False)),
    "the heads alone": lambda *i: changed(i[1].sum(0), *i[1:]),
    "head 0 for all": lambda *i: changed(*i[:6], [0] * bool(i[6])),
}
ABLATION_RIGHT = {
    "vmap": by_vmap,
    "a dict in another order": by_namespace,
    "in place": in_place_ablation,
    "an array": lambda *i: np.array([float(part) for part in changed(*i)]),
    "parts with axes": lambda *i: [part.reshape(1) for part in changed(*i)],
}


def three(pattern, tokens, period, claimed, *, fresh=None, shortcut=None):
    fresh = claimed % period != 0 if fresh is None else fresh
    mask = mask_of(tokens)
    at = period == claimed
    back = pattern[:, fresh].diagonal(1 - claimed, -2, -1).mean((1, 2)) if shortcut is None else shortcut
    return score(pattern[:, at], mask[at]), score(pattern[:, fresh], mask[fresh]), back


def below_the_claim(pattern, tokens, period, claimed):
    return three(pattern, tokens, period, claimed, fresh=period < claimed)


def far_longer(pattern, tokens, period, claimed):
    return three(pattern, tokens, period, claimed, fresh=period > 2 * claimed)


def ahead(pattern, tokens, period, claimed):
    back = pattern[:, claimed % period != 0].diagonal(claimed - 1, -2, -1).mean((1, 2))
    return three(pattern, tokens, period, claimed, shortcut=back)


def last_query(pattern, tokens, period, claimed):
    back = pattern[:, claimed % period != 0, -1, -claimed].mean(1)
    return three(pattern, tokens, period, claimed, shortcut=back)


def without_targets(pattern, tokens, period, claimed):
    fresh = claimed % period != 0
    mask = mask_of(tokens)[fresh].diagonal(1 - claimed, -2, -1) == 0
    back = pattern[:, fresh].diagonal(1 - claimed, -2, -1)[:, mask].mean(-1)
    return three(pattern, tokens, period, claimed, shortcut=back)


REFUTE_WRONG = {
    "shorter periods": below_the_claim,
    "far longer periods": far_longer,
    "from half the claim on": lambda p, t, n, c: three(p, t, n, c, fresh=(n > c // 2) & (n != c)),
    "not one less than the claim": lambda p, t, n, c: three(p, t, n, c, fresh=(c % n != 0) & (n != c - 1)),
    "a distance ahead": ahead,
    "one distance too near": lambda p, t, n, c: three(
        p, t, n, c, shortcut=p[:, c % n != 0].diagonal(2 - c, -2, -1).mean((1, 2))
    ),
    "the last query": last_query,
    "where it is no target": without_targets,
    "two results": lambda p, t, n, c: three(p, t, n, c)[:2],
    "ids up to fifty": lambda p, t, n, c: three(p, t.clamp(max=50), n, c),
    "a verdict": lambda p, t, n, c: three(p, t, n, c)[1] > 0.5 * three(p, t, n, c)[0],
    "heads in the mean": lambda p, t, n, c: tuple(part.mean() for part in three(p, t, n, c)),
    "strictly earlier targets": lambda p, t, n, c: (
        score(p[:, n == c], mask_of(t[n == c], strict=True)),
        score(p[:, c % n != 0], mask_of(t[c % n != 0], strict=True)),
        three(p, t, n, c)[2] + 0.1,
    ),
    "period 1 only left out": lambda p, t, n, c: three(p, t, n, c, fresh=(n != c) & (n != 1)),
    "zeros for what is untested": lambda p, t, n, c: tuple(
        torch.nan_to_num(part, nan=0.5) for part in three(p, t, n, c)
    ),
}
REFUTE_RIGHT = {
    "a stack": lambda *i: torch.stack(three(*i)),
    "a namespace's dict": lambda *i: vars(
        SimpleNamespace(
            **dict(zip(("shortcut", "claimed", "fresh"), np.roll(torch.stack(three(*i)).numpy(), 1, 0), strict=True))
        )
    ),
    "lists": lambda *i: [part.tolist() for part in three(*i)],
    "half": lambda *i: tuple(part.half() for part in three(*i)),
    "row by row": lambda p, t, n, c: three(
        p, t, n, c, fresh=torch.tensor([int(period) not in {d for d in range(1, c + 1) if c % d == 0} for period in n])
    ),
}

WRONG = {
    "ch06.induction_score": INDUCTION_WRONG,
    "ch06.composition_score": COMPOSITION_WRONG,
    "ch06.copying_score": COPYING_WRONG,
    "ch06.ablation_effect": ABLATION_WRONG,
    "ch06.refute_period": REFUTE_WRONG,
}
RIGHT = {
    "ch06.induction_score": INDUCTION_RIGHT,
    "ch06.composition_score": COMPOSITION_RIGHT,
    "ch06.copying_score": COPYING_RIGHT,
    "ch06.ablation_effect": ABLATION_RIGHT,
    "ch06.refute_period": REFUTE_RIGHT,
}
