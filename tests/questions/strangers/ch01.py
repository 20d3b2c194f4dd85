"""Answers to chapter 01 that its questions have never seen."""

import math

import numpy as np
import torch
from torch.nn import functional as F


def joined(key, value, old_keys, old_values):
    return torch.cat([old_keys, key], 1), torch.cat([old_values, value], 1)


def pattern(query, keys, offset):
    scores = query @ keys.mT / query.shape[-1] ** 0.5
    return scores.masked_fill(torch.ones_like(scores).triu(offset).bool(), -1e30).softmax(-1)


def query_by_query(query, key, value, old_keys, old_values):
    keys, values = joined(key, value, old_keys, old_values)
    n_old, rows = old_keys.shape[1], []
    for t in range(query.shape[1]):
        seen = slice(0, n_old + t + 1)
        weights = F.softmax(torch.einsum("hd,hkd->hk", query[:, t], keys[:, seen]) / math.sqrt(query.shape[2]), -1)
        rows.append(torch.einsum("hk,hkd->hd", weights, values[:, seen]))
    return torch.stack(rows, 1).double().numpy()


def hard(query, key, value, old_keys, old_values):
    keys, values = joined(key, value, old_keys, old_values)
    best = pattern(query, keys, old_keys.shape[1] + 1).argmax(-1)
    return values.gather(1, best[..., None].expand(-1, -1, values.shape[2]))


def last_only(query, key, value, old_keys, old_values):
    keys, values = joined(key, value, old_keys, old_values)
    return (pattern(query, keys, old_keys.shape[1] + 1) @ values)[:, -1:].expand_as(query)


def cut_below(query, key, value, old_keys, old_values):
    scores = query @ torch.cat([old_keys, key], 1).mT / query.shape[-1] ** 0.5
    hidden = torch.ones_like(scores, dtype=torch.bool).triu(old_keys.shape[1] + 1)
    return scores.masked_fill(hidden, -1000.0).softmax(-1) @ torch.cat([old_values, value], 1)


ATTENTION_WRONG = {
    "a window of 32": lambda q, k, v, old_k, old_v: query_by_query(q, k, v, old_k[:, -32:], old_v[:, -32:]),
    "hidden scores at -1000": cut_below,
    "hard attention": hard,
    "the last query for all": last_only,
    "no higher than zero": lambda q, k, v, a, b: (
        pattern(q.abs(), -joined(k, v, a, b)[0].abs(), a.shape[1] + 1) @ joined(k, v, a, b)[1]
    ),
    "the same columns kept twice": lambda q, k, v, a, b: (
        pattern(q, joined(k, v, torch.cat([a, a], 1), b)[0], 2 * a.shape[1] + 1)
        @ joined(k, v, b, torch.cat([b, b], 1))[1]
    ),
    "the kept ones alone": lambda q, k, v, a, b: (q @ a.mT / q.shape[-1] ** 0.5).softmax(-1) @ b,
    "averaged over heads": lambda q, k, v, a, b: (
        pattern(q, joined(k, v, a, b)[0], a.shape[1] + 1).mean(0, keepdim=True) @ joined(k, v, a, b)[1]
    ),
    "the query added": lambda q, k, v, a, b: (
        q + pattern(q, joined(k, v, a, b)[0], a.shape[1] + 1) @ joined(k, v, a, b)[1]
    ),
}
ATTENTION_RIGHT = {
    "query by query": query_by_query,
    "a large number for infinity": lambda q, k, v, a, b: (
        pattern(q, joined(k, v, a, b)[0], a.shape[1] + 1) @ joined(k, v, a, b)[1]
    ),
    "double": lambda *i: ATTENTION_RIGHT["a large number for infinity"](*(x.double() for x in i)),
}


def step(new, total, layers, d, w, m, vocab, output=1, attention=2):
    return layers * new * (4 * d * w + 2 * d * m) + attention * layers * new * total * w + output * d * vocab


def both(each):
    def answer(p, n, *sizes):
        again = sum(each(t, t, *sizes) for t in range(p, p + n))
        return again, each(p, p, *sizes) + sum(each(1, t, *sizes) for t in range(p + 1, p + n))

    return answer


WORK_WRONG = {
    "at most 50 new tokens": lambda p, n, *sizes: both(step)(p, min(n, 50), *sizes),
    "no narrow MLPs": lambda p, n, L, d, w, m, v: both(step)(p, n, L, d, w, m if m > 9 else 0, v),
    "columns alone": lambda p, n, *s: (sum(range(p, p + n)), p + n - 1),
    "the whole text once": lambda p, n, *s: (n * step(p + n - 1, p + n - 1, *s), step(p + n - 1, p + n - 1, *s)),
    "one token less": lambda p, n, *s: both(step)(p, n - 1, *s),
    "the cache's own reading": both(lambda new, total, *s: step(new, total, *s) + total),
    "attention three times": both(lambda *i: step(*i, attention=3)),
    "the ratio": lambda p, n, *s: (both(step)(p, n, *s)[0] / both(step)(p, n, *s)[1], 1),
}
WORK_RIGHT = {
    "strings of digits made numbers": lambda *i: [int(str(part)) for part in both(step)(*i)],
    "tensors": lambda *i: torch.tensor(both(step)(*i)),
    "difference": lambda p, n, *s: (
        both(step)(p, n, *s)[0],
        both(step)(p, n, *s)[0] - sum(step(t, t, *s) - step(1, t, *s) for t in range(p + 1, p + n)),
    ),
}


def centre(table):
    return table - table.mean(0) - table.mean(1)[:, None] + table.mean()


def own(table):
    return (table.diagonal() >= table.amax(1)).float().mean()


ASYMMETRY_WRONG = {
    "largest entries": lambda E, U: (
        (centre(E @ U) - centre(E @ U).T).abs().max() / centre(E @ U).abs().max(),
        own(E @ U),
    ),
    "without the diagonal": lambda E, U: (
        (centre(E @ U) - centre(E @ U).T).square().sum() / 4 / centre(E @ U).fill_diagonal_(0).square().sum(),
        own(E @ U),
    ),
    "of absolute values": lambda E, U: (
        (centre(E @ U) - centre(E @ U).T).abs().sum() / 2 / centre(E @ U).abs().sum(),
        own(E @ U),
    ),
    "signs that differ": lambda E, U: ((centre(E @ U).sign() != centre(E @ U).T.sign()).float().mean(), own(E @ U)),
    "never above a half": lambda E, U: (
        ((centre(E @ U) - centre(E @ U).T).square().sum() / 4 / centre(E @ U).square().sum()).clamp(max=0.5),
        own(E @ U),
    ),
    "among the top two": lambda E, U: (
        (centre(E @ U) - centre(E @ U).T).square().sum() / 4 / centre(E @ U).square().sum(),
        ((E @ U).topk(2).indices == torch.arange(len(E))[:, None]).any(1).float().mean(),
    ),
}
ASYMMETRY_RIGHT = {
    "vectors of entries": lambda E, U: (
        (1 - np.corrcoef(centre(E @ U).double().flatten(), centre(E @ U).double().T.flatten())[0, 1]) / 2,
        float(own(E @ U)),
    ),
    "both parts": lambda E, U: {
        "repeats": own(E @ U),
        "asymmetry": (centre(E @ U) - centre(E @ U).T).norm() ** 2
        / ((centre(E @ U) - centre(E @ U).T).norm() ** 2 + (centre(E @ U) + centre(E @ U).T).norm() ** 2),
    },
}


def kl(p, q):
    return F.kl_div(q, p, reduction="none", log_target=True).sum(-1)


def mean_of(prompted):
    return (prompted.double().exp().mean(0) + 0.0).clamp(min=1e-300).log()


def parts(prompted, empty, middle):
    return kl(prompted, empty).mean(), kl(prompted, middle).mean(), kl(middle, empty)


def symmetrised(prompted, empty):
    middle = mean_of(prompted)
    return (
        (kl(prompted, empty) + kl(empty, prompted)).mean() / 2,
        (kl(prompted, middle) + kl(middle, prompted)).mean() / 2,
        (kl(middle, empty) + kl(empty, middle)) / 2,
    )


PROMPTS_WRONG = {
    "ten prompts": lambda p, e: parts(p[:10], e, mean_of(p[:10])),
    "information cut at 2": lambda p, e: [
        part.clamp(max=2) if i == 1 else part for i, part in enumerate(parts(p, e, mean_of(p)))
    ],
    "ten to the minus eight added": lambda p, e: parts(p, e, (p.exp().mean(0) + 1e-8).log()),
    "symmetrised": symmetrised,
    "the median": lambda p, e: (kl(p, e).median(), kl(p, mean_of(p)).median(), kl(mean_of(p), e)),
    "total variation": lambda p, e: tuple(
        (a.exp() - b.exp()).abs().sum(-1).mean() / 2 for a, b in ((p, e), (p, mean_of(p)), (mean_of(p), e))
    ),
    "bounded from below": lambda p, e: parts(p.clamp(min=-50), e.clamp(min=-50), mean_of(p)),
    "not below -300": lambda p, e: parts(p.clamp(min=-300), e.clamp(min=-300), mean_of(p)),
    "a small number added": lambda p, e: parts(p, (e.exp() + 1e-9).log(), mean_of(p)),
    "uniform for empty": lambda p, e: parts(p, torch.full_like(e, -math.log(len(e))), mean_of(p)),
    "smoothed": lambda p, e: parts((p.exp() + 0.01).log().log_softmax(-1), e, mean_of(p)),
    "the middle of average and empty": lambda p, e: parts(p, e, ((mean_of(p).exp() + e.exp()) / 2).log()),
}
PROMPTS_RIGHT = {
    "kl_div": lambda p, e: parts(p, e, mean_of(p)),
    "a sum": lambda p, e: (
        kl(p, mean_of(p)).mean() + kl(mean_of(p), e),
        kl(p, mean_of(p)).mean(),
        float(kl(mean_of(p), e)),
    ),
}


def paired(a, b, factor=1.96):
    d = (a - b).double()
    margin = factor * d.std() / len(d) ** 0.5
    return a.double().mean(), b.double().mean(), d.mean() - margin, d.mean() + margin


def apart(a, b):
    return (a != b).any(1).float()


REFUTE_WRONG = {
    "Student's factor for five": lambda r, c, g: paired(apart(r, c), apart(r, g), 2.78),
    "ninety per cent": lambda r, c, g: paired(apart(r, c), apart(r, g), 1.645),
    "first half": lambda r, c, g: paired(apart(r, c)[: len(r) // 2], apart(r, g)[: len(r) // 2]),
    "more than one token": lambda r, c, g: paired(((r != c).sum(1) > 1).float(), ((r != g).sum(1) > 1).float()),
    "in per cent": lambda r, c, g: tuple(100 * part for part in paired(apart(r, c), apart(r, g))),
    "ids in eight bits": lambda r, c, g: paired(apart(r.byte(), c.byte()), apart(r.byte(), g.byte())),
    "the last step forgotten": lambda r, c, g: paired(apart(r[:, :-1], c[:, :-1]), apart(r[:, :-1], g[:, :-1])),
    "cut at zero": lambda r, c, g: tuple(part.clamp(min=0) for part in paired(apart(r, c), apart(r, g))),
}
REFUTE_RIGHT = {
    "first step": lambda r, c, g: paired(
        ((r - c) ** 2).sum(1).clamp(max=1).float(), ((r - g) ** 2).sum(1).clamp(max=1)
    ),
    "sets of rows": lambda r, c, g: paired(
        torch.tensor([float(tuple(a) != tuple(b)) for a, b in zip(r.tolist(), c.tolist(), strict=True)]),
        torch.tensor([float(not torch.equal(a, b)) for a, b in zip(r, g, strict=True)]),
    ),
}


def sure(difference, factor=1.96):
    return bool(difference.mean() > factor * difference.std() / len(difference) ** 0.5)


BLAME_WRONG = {
    "repaired or not": lambda cut, untouched, middle, first, rest, afresh: sure(cut - rest),
    "stale at all": lambda cut, untouched, middle, first, rest, afresh: sure(first - untouched),
    "half of them stale": lambda cut, untouched, middle, first, rest, afresh: sure(middle - rest),
    "the mean alone": lambda cut, untouched, middle, first, rest, afresh: bool(first.mean() > rest.mean()),
    "half, beside the untouched": lambda cut, untouched, middle, first, rest, afresh: sure(
        2 * (first - untouched) - (cut - untouched)
    ),
    "not paired": lambda cut, untouched, middle, first, rest, afresh: bool(
        first.mean() - rest.mean() > 1.96 * ((first.var() + rest.var()) / len(first)) ** 0.5
    ),
    "the spread of single texts": lambda cut, untouched, middle, first, rest, afresh: bool(
        (first - rest).mean() > 1.96 * (first - rest).std()
    ),
    "a fixed gap": lambda cut, untouched, middle, first, rest, afresh: bool((first - rest).mean() > 0.01),
    "a wide gap": lambda cut, untouched, middle, first, rest, afresh: bool((first - rest).mean() > 0.1),
    "a tenth more": lambda cut, untouched, middle, first, rest, afresh: bool(first.mean() > 1.1 * rest.mean()),
    "a tenth more, text by text": lambda cut, untouched, middle, first, rest, afresh: bool(
        (first / rest).log().mean() > 0.1
    ),
    "one standard error": lambda cut, untouched, middle, first, rest, afresh: sure(first - rest, factor=1.0),
    "the other way round": lambda cut, untouched, middle, first, rest, afresh: sure(rest - first),
}
BLAME_RIGHT = {
    "by signs": lambda cut, untouched, middle, first, rest, afresh: bool((first > rest).double().mean() > 0.75),
    "what is left of the cut": lambda cut, untouched, middle, first, rest, afresh: sure((cut - rest) - (cut - first)),
    "strictly": lambda cut, untouched, middle, first, rest, afresh: sure(first - rest, factor=2.2),
}

WRONG = {
    "ch01.cached_attention": ATTENTION_WRONG,
    "ch01.work": WORK_WRONG,
    "ch01.asymmetry": ASYMMETRY_WRONG,
    "ch01.prompts": PROMPTS_WRONG,
    "ch01.refute": REFUTE_WRONG,
    "ch01.blame": BLAME_WRONG,
}
RIGHT = {
    "ch01.cached_attention": ATTENTION_RIGHT,
    "ch01.work": WORK_RIGHT,
    "ch01.asymmetry": ASYMMETRY_RIGHT,
    "ch01.prompts": PROMPTS_RIGHT,
    "ch01.refute": REFUTE_RIGHT,
    "ch01.blame": BLAME_RIGHT,
}
