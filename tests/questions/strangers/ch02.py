"""Answers to chapter 02 that its questions have never seen."""

import bisect
import math
from collections import namedtuple

import numpy as np
import torch
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
    return np.array(ranks, dtype=np.uint8).reshape(len(log_probs), batch, pos - 1)


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
    "small integers": lambda lp, t: above(lp[:, :, :-1], t[:, 1:]).sum(-1).to(torch.int8),
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


def interval(claimed, values, factor=1.96):
    margin = factor * values.std() / len(values) ** 0.5
    return claimed, values.mean(), values.mean() - margin, values.mean() + margin


def honest(rise, half, choose=lambda files: files.mean(0).argmax()):
    return torch.cat([rise[~half, choose(rise[half])], rise[half, choose(rise[~half])]])


def top(rise):
    return rise.mean(0).max()


def without_the_best(rise, half):
    rest = rise.clone()
    rest[:, rise.mean(0).argmax()] = -1e9
    return interval(top(rise), rise[:, rest.mean(0).argmax()])


def indices_for_masks(rise, half):
    half = half.long()
    values = torch.cat([rise[1 - half, rise[half].mean(0).argmax()], rise[half, rise[1 - half].mean(0).argmax()]])
    return interval(top(rise), values)


def error_of_each_half(rise, half):
    values = honest(rise, half)
    first, second = values[: int((~half).sum())], values[int((~half).sum()) :]
    margin = 1.96 * (first.var() / len(first) + second.var() / len(second)) ** 0.5 / 2
    return top(rise), values.mean(), values.mean() - margin, values.mean() + margin


def by_where(rise, half):
    rise, half = rise.numpy(), half.numpy()
    values = np.where(half, rise[:, rise[~half].mean(0).argmax()], rise[:, rise[half].mean(0).argmax()])
    margin = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
    return rise.mean(0).max(), values.mean(), values.mean() - margin, values.mean() + margin


REFUTE_WRONG = {
    "Student's t": lambda r, h: interval(top(r), honest(r, h), student_t.ppf(0.975, len(r) - 1)),
    "90 %": lambda r, h: interval(top(r), honest(r, h), 1.645),
    "the token, not its rise": lambda r, h: interval(r.mean(0).argmax(), honest(r, h)),
    "less the claim": lambda r, h: interval(top(r), honest(r, h) - top(r)),
    "less the mean token": lambda r, h: interval(top(r), honest(r, h) - torch.cat([r[~h], r[h]]).mean(1)),
    "chosen by median": lambda r, h: interval(top(r), honest(r, h, lambda files: files.median(0).values.argmax())),
    "chosen by t": lambda r, h: interval(top(r), honest(r, h, lambda files: (files.mean(0) / files.std(0)).argmax())),
    "the claim of one half": lambda r, h: interval(top(r[h]), honest(r, h)),
    "the second best token": without_the_best,
    "the smallest mean": lambda r, h: interval(top(r), honest(r, h, lambda files: files.mean(0).argmin())),
    "a sum for the claim": lambda r, h: interval(r.sum(0).max(), honest(r, h)),
    "a mask used as indices": indices_for_masks,
    "the errors of the halves": error_of_each_half,
    "three of four": lambda r, h: interval(top(r), honest(r, h))[:3],
}
REFUTE_RIGHT = {
    "a stack": lambda r, h: torch.stack(interval(top(r), honest(r, h))),
    "floats": lambda r, h: [float(part) for part in interval(top(r), honest(r, h))],
    "axes of length one": lambda r, h: tuple(part[None] for part in interval(top(r), honest(r, h))),
    "numpy": by_where,
    "half": lambda r, h: tuple(part.half() for part in interval(top(r), honest(r, h))),
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
