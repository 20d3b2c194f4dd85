"""Answers to chapter 02 that its questions have never seen."""

import bisect
import math
from collections import namedtuple
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy.special import log_softmax, rel_entr
from scipy.stats import rankdata
from scipy.stats import t as student_t
from torch import nn
from torch.nn import functional as F


def normed(x, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + eps).sqrt()


def scores(x, gamma, beta, eps, W_U, b_U):
    return (normed(x, eps) * gamma + beta) @ W_U + b_U


def module(x, gamma, beta, eps, W_U, b_U):
    norm, unembed = nn.LayerNorm(len(gamma), eps=eps), nn.Linear(*W_U.shape)
    parameters = ((norm.weight, gamma), (norm.bias, beta), (unembed.weight, W_U.T), (unembed.bias, b_U))
    for parameter, value in parameters:
        parameter.data = value
    return unembed(norm(x)).log_softmax(-1)


def in_place(x, gamma, beta, eps, W_U, b_U):
    x -= x.mean(-1, keepdim=True)
    x *= (x.pow(2).mean(-1, keepdim=True) + eps).rsqrt()
    return x.mul_(gamma).add_(beta).matmul(W_U).add_(b_U).log_softmax(-1)


def single_precision_numpy(*inputs):
    x, gamma, beta, eps, W_U, b_U = (i if isinstance(i, float) else i.numpy() for i in inputs)
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    logits = (x * gamma + beta) @ W_U + b_U
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def one_entry_only(x, gamma, beta, eps, W_U, b_U):
    read = (x @ W_U + b_U).log_softmax(-1)
    read[-1] = scores(x[-1], gamma, beta, eps, W_U, b_U).log_softmax(-1)
    return read


def one_norm_for_all(x, gamma, beta, eps, W_U, b_U):
    x = (x - x.mean()) / (x.var() + eps).sqrt()
    return ((x * gamma + beta) @ W_U + b_U).log_softmax(-1)


READ_OUT_WRONG = {
    "no bias at all": lambda x, g, b, e, W, u: (normed(x, e) * g @ W).log_softmax(-1),
    "beta scaled by gamma": lambda x, g, b, e, W, u: (((normed(x, e) + b) * g) @ W + u).log_softmax(-1),
    "eps fixed": lambda x, g, b, e, W, u: scores(x, g, b, 1e-5, W, u).log_softmax(-1),
    "bits": lambda *i: scores(*i).log_softmax(-1) / math.log(2),
    "less the largest": lambda *i: scores(*i) - scores(*i).amax(-1, keepdim=True),
    "norm after the unembedding": lambda *i: F.layer_norm(scores(*i), i[4].shape[1:]).log_softmax(-1),
    "one norm for all": one_norm_for_all,
    "clamped probabilities": lambda *i: scores(*i).softmax(-1).clamp(min=1e-9).log(),
    "softmax twice": lambda *i: scores(*i).softmax(-1).log_softmax(-1),
    "norm twice": lambda x, g, b, e, W, u: scores(normed(x, e) * g + b, g, b, e, W, u).log_softmax(-1),
    "norm at the last entry only": one_entry_only,
    "std with n - 1 and eps outside": lambda x, g, b, e, W, u: (
        ((x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + e) * g + b) @ W + u
    ).log_softmax(-1),
}
READ_OUT_RIGHT = {
    "modules": module,
    "in place": in_place,
    "numpy": single_precision_numpy,
    "double": lambda *i: scores(*(p.double() if torch.is_tensor(p) else p for p in i)).log_softmax(-1),
    "bfloat16": lambda *i: scores(*i).log_softmax(-1).bfloat16(),
    "a list of entries": lambda x, *rest: [scores(entry, *rest).log_softmax(-1) for entry in x],
}


def looked_up(log_probs, targets):
    return log_probs.gather(-1, targets.expand(len(log_probs), -1, -1)[..., None])


def above(log_probs, targets):
    return log_probs > looked_up(log_probs, targets)


def by_bisection(log_probs, tokens):
    def one(values, target):
        return len(values) - bisect.bisect_right(sorted(values), values[target])

    batch, pos = tokens.shape
    ranks = [
        [[one(entry[row][p], tokens[row, p + 1]) for p in range(pos - 1)] for row in range(batch)]
        for entry in log_probs.tolist()
    ]
    return np.array(ranks, dtype=np.uint16).reshape(len(log_probs), batch, pos - 1)


def by_indexing(log_probs, tokens):
    n_entries, batch, pos, _ = log_probs.shape
    e, b, p = torch.meshgrid(*map(torch.arange, (n_entries, batch, pos - 1)), indexing="ij")
    return (log_probs[:, :, :-1] > log_probs[e, b, p, tokens[b, p + 1]][..., None]).sum(-1)


RANK_WRONG = {
    "as a fraction": lambda lp, t: above(lp[:, :, :-1], t[:, 1:]).float().mean(-1),
    "mean over entries": lambda lp, t: above(lp[:, :, :-1], t[:, 1:]).sum(-1).float().mean(0),
    "half of the ties": lambda lp, t: (
        above(lp[:, :, :-1], t[:, 1:]).sum(-1) + (lp[:, :, :-1] == looked_up(lp[:, :, :-1], t[:, 1:])).sum(-1) / 2
    ),
    "the final entry's": lambda lp, t: above(lp[-1:, :, :-1], t[:, 1:]).sum(-1).expand(len(lp), -1, -1),
    "the log-probability": lambda lp, t: looked_up(lp[:, :, :-1], t[:, 1:])[..., 0],
    "two ahead": lambda lp, t: above(lp[:, :, :-1], t.roll(-2, -1)[:, :-1]).sum(-1),
    "clearly more probable": lambda lp, t: (lp[:, :, :-1] > looked_up(lp[:, :, :-1], t[:, 1:]) + 0.5).sum(-1),
    "at most nine": lambda lp, t: above(lp[:, :, :-1], t[:, 1:]).sum(-1).clamp(max=9),
    "an axis too many": lambda lp, t: above(lp[:, :, :-1], t[:, 1:]).sum(-1, keepdim=True),
    "probabilities that underflow": lambda lp, t: above(lp.exp()[:, :, :-1], t[:, 1:]).sum(-1),
    "axes exchanged": lambda lp, t: above(lp[:, :, :-1], t[:, 1:]).sum(-1).transpose(0, 1),
    "current, from one": lambda lp, t: above(lp[:, :, :-1], t[:, :-1]).sum(-1) + 1,
}
RANK_RIGHT = {
    "bisection": by_bisection,
    "indexing": by_indexing,
    "floats": lambda lp, t: above(lp[:, :, :-1], t[:, 1:]).sum(-1).float(),
    "small integers": lambda lp, t: above(lp[:, :, :-1], t[:, 1:]).sum(-1).to(torch.int32),
    "signs": lambda lp, t: (lp[:, :, :-1] - looked_up(lp[:, :, :-1], t[:, 1:])).sign().relu().sum(-1),
}


def kl(p, q):
    return (p.exp() * (p - q)).sum(-1)


def through_probabilities(log_probs, floor):
    probs = log_probs.exp() + floor
    return (probs[-1] * (probs[-1] / probs).log()).nan_to_num().sum(-1)


def kl_div(log_probs, target, **options):
    return F.kl_div(log_probs, target.expand_as(log_probs), reduction="none", **options)


KL_WRONG = {
    "kl_div without log_target": lambda lp: kl_div(lp, lp[-1]).sum(-1),
    "kl_div of probabilities": lambda lp: kl_div(lp.exp(), lp[-1].exp()).sum(-1),
    "the sum of both directions": lambda lp: kl(lp[-1], lp) + kl(lp, lp[-1]),
    "absolute differences": lambda lp: (lp[-1].exp() * (lp[-1] - lp).abs()).sum(-1),
    "total variation": lambda lp: (lp[-1].exp() - lp.exp()).abs().sum(-1) / 2,
    "without the last entry": lambda lp: kl(lp[-1], lp)[:-1],
    "to the entry before": lambda lp: kl(lp, torch.cat([lp[:1], lp[:-1]])),
    "the other way, in bits": lambda lp: kl(lp, lp[-1]) / math.log(2),
    "mean over positions": lambda lp: kl(lp[-1], lp).mean(-1),
    "clamped": lambda lp: kl(lp[-1].clamp(min=-20), lp.clamp(min=-20)),
    "NaN swept away": lambda lp: through_probabilities(lp, 0.0),
    "a floor under the probabilities": lambda lp: through_probabilities(lp, 3e-5),
    "difference of entropies": lambda lp: (lp[-1].exp() * lp[-1]).sum(-1) - (lp.exp() * lp).sum(-1),
    "entries turned round": lambda lp: kl(lp[-1], lp).flip(0),
}
KL_RIGHT = {
    "double": lambda lp: kl(lp[-1].double(), lp.double()),
    "a list of entries": lambda lp: [kl(lp[-1], entry) for entry in lp],
    "never negative": lambda lp: kl(lp[-1], lp).clamp(min=0),
    "kl_div with probabilities": lambda lp: kl_div(lp, lp[-1].exp()).sum(-1),
    "half": lambda lp: kl(lp[-1], lp).half(),
    "softmax as weights": lambda lp: (lp[-1].softmax(-1) * (lp[-1] - lp)).sum(-1),
}


def shares(hit, right):
    return torch.stack([hit[:, group].float().mean(-1) for group in (~right, right)], -1)


def in_top(log_probs, wanted, top_k):
    return (log_probs[:, :, :-1].topk(top_k).indices == wanted[..., None]).any(-1)


def readable(log_probs, tokens, top_k, *, current=None, guess=None, right=None):
    final = log_probs[-1, :, :-1].argmax(-1)
    current = tokens[:, :-1] if current is None else current
    guess = final if guess is None else guess
    right = final == tokens[:, 1:] if right is None else right
    return shares(in_top(log_probs, current, top_k), right), shares(in_top(log_probs, guess, top_k), right)


def without_split(log_probs, tokens, top_k):
    guess = log_probs[-1, :, :-1].argmax(-1)
    return tuple(in_top(log_probs, each, top_k).float().mean((1, 2)) for each in (tokens[:, :-1], guess))


READABLE_WRONG = {
    "no split": without_split,
    "right if in the top": lambda lp, t, k: readable(lp, t, k, right=in_top(lp[-1:], t[:, 1:], k)[0]),
    "axes exchanged": lambda lp, t, k: tuple(part.T for part in readable(lp, t, k)),
    "everything exchanged": lambda lp, t, k: tuple(part.flip(-1) for part in readable(lp, t, k)[::-1]),
    "the first entry's guess": lambda lp, t, k: readable(lp, t, k, guess=lp[0, :, :-1].argmax(-1)),
    "the least probable": lambda lp, t, k: readable(-lp, t, k, guess=lp[-1, :, :-1].argmax(-1)),
    "one too few": lambda lp, t, k: readable(lp, t, max(k - 1, 1)),
    "per cent": lambda lp, t, k: tuple(100 * part for part in readable(lp, t, k)),
    "the next position's guess": lambda lp, t, k: readable(lp, t, k, guess=lp[-1, :, 1:].argmax(-1)),
    "right at the position before": lambda lp, t, k: readable(
        lp, t, k, right=(lp[-1, :, :-1].argmax(-1) == t[:, 1:]).roll(1, -1)
    ),
    "the first result only": lambda lp, t, k: readable(lp, t, k)[0],
    "the token before": lambda lp, t, k: readable(lp, t, k, current=t.roll(1, -1)[:, :-1]),
}
READABLE_RIGHT = {
    "a dict": lambda lp, t, k: dict(zip(("current", "guess"), readable(lp, t, k), strict=True)),
    "a stack": lambda lp, t, k: torch.stack(readable(lp, t, k)),
    "lists": lambda lp, t, k: [part.tolist() for part in readable(lp, t, k)],
    "a named tuple": lambda lp, t, k: namedtuple("Shares", "current guess")(*readable(lp, t, k)),
    "mixed types": lambda lp, t, k: (readable(lp, t, k)[0].half(), readable(lp, t, k)[1].double().numpy()),
}


def lead(guess, truth, current, other, untrained, untrained_other):
    return (guess - other) - (untrained - untrained_other)


def clear(values, z=1.96):
    return bool(values.mean() - z * values.std() / len(values) ** 0.5 > 0)


def unpaired(guess, truth, current, other, untrained, untrained_other):
    shares = (guess, other, untrained, untrained_other)
    error = (sum(each.var() for each in shares) / len(guess)) ** 0.5
    return bool(lead(guess, truth, current, *shares[1:]).mean() > 1.96 * error)


def signs_flipped(*shares):
    values = lead(*shares)
    signs = 2 * torch.randint(2, (2000, len(values)), generator=torch.Generator().manual_seed(0)) - 1
    return ((signs * values).mean(1) >= values.mean()).float().mean() < 0.025


def with_log_odds(guess, truth, current, other, untrained, untrained_other):
    guess, other, untrained, untrained_other = (
        each.clamp(0.001, 0.999).logit() for each in (guess, other, untrained, untrained_other)
    )
    return clear((guess - other) - (untrained - untrained_other))


class Remembering:
    """Takes the files of all systems so far for those of one."""

    def __init__(self):
        self.values = []

    def __call__(self, *shares):
        self.values += lead(*shares).tolist()
        return clear(torch.tensor(self.values))


REFUTE_WRONG = {
    "against the truth": lambda g, t, c, o, u, uo: clear(g - t),
    "against the current token": lambda g, t, c, o, u, uo: clear(g - c),
    "against another position": lambda g, t, c, o, u, uo: clear(g - o),
    "against the untrained model": lambda g, t, c, o, u, uo: clear(g - u),
    "against both, one after the other": lambda g, t, c, o, u, uo: clear(g - o) and clear(g - u),
    "against the larger of both": lambda g, t, c, o, u, uo: clear(g - torch.maximum(o, u)),
    "against their sum": lambda g, t, c, o, u, uo: clear(g - o - u),
    "the wrong other": lambda g, t, c, o, u, uo: clear((g - uo) - (u - o)),
    "the untrained lead added": lambda g, t, c, o, u, uo: clear((g - o) + (u - uo)),
    "the truth as well": lambda *s: clear(lead(*s)) and clear(s[0] - s[1]),
    "no interval": lambda *s: bool(lead(*s).mean() > 0),
    "one standard error": lambda *s: clear(lead(*s), 1.0),
    "the spread of files": lambda *s: bool(lead(*s).mean() > 1.96 * lead(*s).std()),
    "either side": lambda *s: clear(lead(*s)) or clear(-lead(*s)),
    "the wrong side": lambda *s: clear(-lead(*s)),
    "files unpaired": unpaired,
    "a bound of a tenth": lambda *s: bool(lead(*s).mean() > 0.1),
    "every file": lambda *s: bool((lead(*s) > 0).all()),
    "the largest file": lambda *s: bool(lead(*s).max() > 0),
    "a ratio": lambda g, t, c, o, u, uo: clear((g - o) / (u - uo) - 1),
    "log-odds": with_log_odds,
    "all systems at once": Remembering(),
    "three arguments": lambda g, t, c: clear(g - t),
    "an interval and no verdict": lambda *s: (float(lead(*s).mean()), float(lead(*s).std())),
    "a verdict in words": lambda *s: "supported" if clear(lead(*s)) else "not supported",
}
REFUTE_RIGHT = {
    "numpy": lambda *s: np.bool_(clear(lead(*s))),
    "lists": lambda *s: clear(lead(*(torch.tensor(each.tolist(), dtype=torch.float64) for each in s))),
    "a number": lambda *s: torch.tensor(float(clear(lead(*s)))),
    "99 %": lambda *s: clear(lead(*s), 2.576),
    "signs flipped": signs_flipped,
    "Student": lambda *s: clear(lead(*s), student_t.ppf(0.975, len(s[0]) - 1)),
    "in place": lambda *s: clear(s[0].sub_(s[3]).sub_(s[4]).add_(s[5])),
}


def layer_norm(x, middle, variance, g, b, W, u):
    return (((x - middle) / variance.sqrt() * g + b) @ W + u).log_softmax(-1)


def mean_variance(x):
    return x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)


def with_eps_as_least_variance(x, g, b, e, W, u):
    mean, variance = mean_variance(x)
    return layer_norm(x, mean, variance.clamp(min=e), g, b, W, u)


def with_statistics_of_entry_0(x, g, b, e, W, u):
    mean, variance = mean_variance(x[:1])
    return layer_norm(x, mean, variance + e, g, b, W, u)


def with_median(x, g, b, e, W, u):
    return layer_norm(x, x.median(-1, keepdim=True).values, mean_variance(x)[1] + e, g, b, W, u)


def coarse(x):
    return x.bfloat16().float()


READ_OUT_WRONG |= {
    "eps squared": lambda x, g, b, e, W, u: scores(x, g, b, e * e, W, u).log_softmax(-1),
    "eps as the least variance": with_eps_as_least_variance,
    "bias after the softmax": lambda x, g, b, e, W, u: ((normed(x, e) * g + b) @ W).log_softmax(-1) + u,
    "scale without its sign": lambda x, g, b, e, W, u: scores(x, g.abs(), b, e, W, u).log_softmax(-1),
    "bfloat16 on the way": lambda x, g, b, e, W, u: (coarse(normed(x, e) * g + b) @ coarse(W) + u).log_softmax(-1),
    "squeezed": lambda *i: scores(*i).log_softmax(-1).squeeze(),
    "logits less their mean": lambda *i: scores(*i) - scores(*i).mean(-1, keepdim=True),
    "statistics of entry 0": with_statistics_of_entry_0,
    "median for mean": with_median,
    "not below -300": lambda *i: scores(*i).log_softmax(-1).clamp(min=-300),
    "uniform": lambda *i: scores(*i).mul(0).log_softmax(-1),
}
READ_OUT_RIGHT |= {
    "vector by vector": lambda x, *r: torch.stack([scores(v, *r).log_softmax(-1) for v in x.flatten(0, 2)]).view(
        *x.shape[:3], -1
    ),
    "SciPy": lambda *i: log_softmax(scores(*i).double().numpy(), axis=-1),
    "layer_norm": lambda x, g, b, e, W, u: F.log_softmax(F.layer_norm(x, g.shape, g, b, e) @ W + u, -1),
    "with gradients": lambda x, g, *r: scores(x, g.clone().requires_grad_(), *r).log_softmax(-1),
    "a partial": partial(lambda *i, last: scores(*i).log_softmax(last), last=-1),
}


def ranked_by_scipy(log_probs, tokens):
    if tokens.shape[1] == 1:
        return np.zeros((*log_probs.shape[:2], 0))
    ranks = torch.tensor(rankdata(-log_probs[:, :, :-1].numpy(), "min", axis=-1))
    return looked_up(ranks, tokens[:, 1:])[..., 0] - 1


def counted(log_probs, tokens):
    return above(log_probs[:, :, :-1], tokens[:, 1:]).sum(-1)


def without_current(log_probs, tokens):
    return counted(log_probs.scatter(-1, tokens.expand(len(log_probs), -1, -1)[..., None], -1e9), tokens)


RANK_WRONG |= {
    "eight bits": lambda lp, t: counted(lp, t).to(torch.uint8),
    "eight bits with a sign": lambda lp, t: counted(lp, t).to(torch.int8),
    "half": lambda lp, t: counted(lp.half(), t),
    "bfloat16": lambda lp, t: counted(lp.bfloat16(), t),
    "to three digits": lambda lp, t: counted((lp * 1000).round(), t),
    "squeezed": lambda lp, t: counted(lp, t).squeeze(),
    "nearly tied": lambda lp, t: (lp[:, :, :-1] > looked_up(lp[:, :, :-1], t[:, 1:]) + 1e-3).sum(-1),
    "the first row's tokens": lambda lp, t: counted(lp, t[:1].expand_as(t)),
    "from the end": lambda lp, t: lp.shape[-1] - 1 - counted(lp, t),
    "the best entry": lambda lp, t: counted(lp, t).amin(0).expand(len(lp), -1, -1),
    "without the current token": without_current,
}
RANK_RIGHT |= {
    "SciPy": ranked_by_scipy,
    "sixteen bits": lambda lp, t: counted(lp, t).to(torch.int16),
    "a list of entries": lambda lp, t: list(counted(lp, t)),
    "double": lambda lp, t: counted(lp.double(), t).double(),
    "not at most": lambda lp, t: (~(lp[:, :, :-1] <= looked_up(lp[:, :, :-1], t[:, 1:]))).sum(-1),
}


def of_five(log_probs):
    top = log_probs[-1].topk(5)
    return kl(top.values, log_probs.gather(-1, top.indices.expand(len(log_probs), -1, -1, -1)))


KL_WRONG |= {
    "not below -1000": lambda lp: kl(lp[-1], lp.clamp(min=-1000)),
    "not above 1000": lambda lp: kl(lp[-1], lp).clamp(max=1000),
    "SciPy's relative entropy": lambda lp: rel_entr(lp[-1].double().exp().numpy(), lp.double().exp().numpy()).sum(-1),
    "infinities made zero": lambda lp: through_probabilities(lp, 0.0).nan_to_num(posinf=0.0),
    "the five likeliest": of_five,
    "the mean of the last two": lambda lp: kl(lp[-2:].mean(0), lp),
    "without the last entry": lambda lp: kl(lp[-1], lp)[:-1],
    "to the base of ten": lambda lp: kl(lp[-1], lp) / math.log(10),
    "sizes of the terms": lambda lp: (lp[-1].exp() * (lp[-1] - lp)).abs().sum(-1),
    "squeezed": lambda lp: kl(lp[-1], lp).squeeze(),
    "the root": lambda lp: kl(lp[-1], lp).clamp(min=0).sqrt(),
}
KL_RIGHT |= {
    "double": lambda lp: kl(lp.double()[-1], lp.double()),
    "einsum": lambda lp: torch.einsum("bpv,ebpv->ebp", lp[-1].exp(), lp[-1] - lp),
    "numpy": lambda lp: (np.exp(lp[-1].numpy()) * (lp[-1].numpy() - lp.numpy())).sum(-1),
    "softmax of the last": lambda lp: (lp[-1].softmax(-1) * (lp[-1:] - lp)).sum(dim=3),
    "two means": lambda lp: (lp[-1].exp() * lp[-1]).sum(-1) - (lp[-1].exp() * lp).sum(-1),
}


def all_in_column_0(log_probs, tokens, top_k):
    pairs = zip(without_split(log_probs, tokens, top_k), readable(log_probs, tokens, top_k), strict=True)
    return tuple(torch.stack([whole, part[:, 1]], -1) for whole, part in pairs)


def least_of_rows(log_probs, tokens, top_k):
    rows = [readable(log_probs[:, [row]], tokens[[row]], top_k) for row in range(len(tokens))]
    return tuple(torch.stack(parts).amin(0) for parts in zip(*rows, strict=True))


def at_the_rank(log_probs, tokens, top_k):
    fewer = readable(log_probs, tokens, max(top_k - 1, 1))
    pairs = zip(readable(log_probs, tokens, top_k), fewer, strict=True)
    return tuple(part - (less if top_k > 1 else 0) for part, less in pairs)


def entry_by_entry(log_probs, tokens, top_k):
    guess = log_probs[-1, :, :-1].argmax(-1)
    entries = [readable(entry[None], tokens, top_k, guess=guess, right=guess == tokens[:, 1:]) for entry in log_probs]
    return tuple(torch.cat(parts) for parts in zip(*entries, strict=True))


READABLE_WRONG |= {
    "all through the last entry": lambda lp, t, k: readable(lp[-1:].expand_as(lp), t, k),
    "the guess of the last entry but one": lambda lp, t, k: readable(lp, t, k, guess=lp[-2:][0, :, :-1].argmax(-1)),
    "counts": lambda lp, t, k: tuple(part * (t.numel() - len(t)) for part in readable(lp, t, k)),
    "half": lambda lp, t, k: readable(lp.half(), t, k),
    "squeezed": lambda lp, t, k: tuple(part.squeeze() for part in readable(lp, t, k)),
    "at most ten": lambda lp, t, k: readable(lp, t, min(k, 10)),
    "all in column 0": all_in_column_0,
    "one position late": lambda lp, t, k: readable(lp.roll(1, 2), t, k),
    "the least of the rows": least_of_rows,
    "exactly at the rank": at_the_rank,
    "always readable": lambda lp, t, k: (torch.ones(len(lp), 2), torch.ones(len(lp), 2)),
}
READABLE_RIGHT |= {
    "doubles": lambda lp, t, k: readable(lp.double(), t, k),
    "data frames": lambda lp, t, k: [pd.DataFrame(part.numpy()) for part in readable(lp, t, k)],
    "an array": lambda lp, t, k: np.stack([part.numpy() for part in readable(lp, t, k)]),
    "entry by entry": entry_by_entry,
    "with gradients": lambda lp, t, k: readable(lp.requires_grad_(), t, k),
}

WRONG = {
    "ch02.read_out": READ_OUT_WRONG,
    "ch02.target_rank": RANK_WRONG,
    "ch02.kl_to_final": KL_WRONG,
    "ch02.readable": READABLE_WRONG,
    "ch02.refute": REFUTE_WRONG,
}
RIGHT = {
    "ch02.read_out": READ_OUT_RIGHT,
    "ch02.target_rank": RANK_RIGHT,
    "ch02.kl_to_final": KL_RIGHT,
    "ch02.readable": READABLE_RIGHT,
    "ch02.refute": REFUTE_RIGHT,
}
