"""Answers to chapter 15 that its questions have never seen."""

import math
from collections import namedtuple

import numpy as np
import torch


def found_by_sgld(h, lr, nbeta, gamma):
    a = nbeta * h + gamma
    room = 1 - lr[:, None] * a / 4
    return torch.where((room > 0).all(1), (nbeta * h / (a * room)).sum(1) / 2, torch.inf)


BIAS_WRONG = {
    "unstable from two": lambda h, lr, n, g: torch.where(
        (lr * (n * h.max() + g) < 2), found_by_sgld(h, lr, n, g), torch.inf
    ),
    "stability without gamma": lambda h, lr, n, g: torch.where(
        (lr[:, None] * n * h < 4).all(1),
        (n * h / ((n * h + g) * (1 - lr[:, None] * (n * h + g) / 4))).sum(1) / 2,
        torch.inf,
    ),
    "unstable is NaN": lambda h, lr, n, g: found_by_sgld(h, lr, n, g).nan_to_num(posinf=torch.nan),
    "unstable is zero": lambda h, lr, n, g: found_by_sgld(h, lr, n, g).nan_to_num(posinf=0.0),
    "squared factor": lambda h, lr, n, g: found_by_sgld(h, lr, n, g) ** 2,
    "gamma in the numerator too": lambda h, lr, n, g: found_by_sgld(h + g, lr, n, g),
    "eighth": lambda h, lr, n, g: found_by_sgld(h, lr / 2, n, g),
    "per cent": lambda h, lr, n, g: 100 * found_by_sgld(h, lr, n, g),
    "an axis too many": lambda h, lr, n, g: found_by_sgld(h, lr, n, g)[:, None],
    "gamma counted n times": lambda h, lr, n, g: found_by_sgld(h, lr, n, n * g),
    "steepest in its first half": lambda h, lr, n, g: torch.where(
        lr * (n * h[: len(h) // 2 + 1].max() + g) < 4, found_by_sgld(h, lr, n, g).nan_to_num(posinf=1e3), torch.inf
    ),
    "steepest in its second half": lambda h, lr, n, g: torch.where(
        lr * (n * h[len(h) // 2 :].max() + g) < 4, found_by_sgld(h, lr, n, g).nan_to_num(posinf=1e3), torch.inf
    ),
    "without its flat directions": lambda h, lr, n, g: found_by_sgld(h, lr, n, g) + (h == 0).sum() / 2,
}
BIAS_RIGHT = {
    "a list": lambda *a: found_by_sgld(*a).tolist(),
    "numpy": lambda *a: found_by_sgld(*a).numpy(),
    "exact": lambda h, lr, n, g: torch.stack([found_by_sgld(h, step[None], n, g)[0] for step in lr]),
}


def chain(h, c, noise, n, g, lr, *, kick=lambda x, t: (x[t] + x[t + 1]) / 2, keep=lambda w: w):
    w, draws = c.expand(noise.shape[1:]).clone(), []
    for t in range(len(noise) - 1):
        w = w - lr / 2 * (n * h + g) * (w - c) + math.sqrt(lr) * kick(noise, t)
        draws.append(keep(w))
    return torch.stack(draws)


def noise_first(h, c, noise, n, g, lr):
    w, draws = c.expand(noise.shape[1:]).clone(), []
    for t in range(len(noise) - 1):
        w = w + math.sqrt(lr) * (noise[t] + noise[t + 1]) / 2
        w = w - lr / 2 * (n * h + g) * (w - c)
        draws.append(w)
    return torch.stack(draws)


LM_WRONG = {
    "noise before the drift": noise_first,
    "within a hundred": lambda *a: chain(*a).clamp(-100, 100),
    "weights of a third": lambda *a: chain(*a, kick=lambda x, t: (2 * x[t] + x[t + 1]) / 3),
    "always the first normal": lambda *a: chain(*a, kick=lambda x, t: (x[0] + x[t + 1]) / 2),
    "one normal for all chains": lambda *a: chain(*a, kick=lambda x, t: ((x[t] + x[t + 1]) / 2)[:1] + 0 * x[t]) + 1e-3,
    "absolute noise": lambda *a: chain(*a, kick=lambda x, t: ((x[t] + x[t + 1]) / 2).abs()),
    "mean over chains": lambda *a: chain(*a).mean(1),
    "draws last": lambda *a: chain(*a).movedim(0, -1),
    "half the curvature": lambda h, c, x, n, g, lr: chain(h / 2, c, x, n, g, lr),
    "a random walk": lambda h, c, x, n, g, lr: chain(0 * h, c, x, n, 0.0, lr),
    "from the first normal": lambda h, c, x, n, g, lr: chain(h, c, x, n, g, lr) + x[0],
    "every other draw": lambda *a: chain(*a)[::2],
    "half the step in the noise": lambda h, c, x, n, g, lr: chain(h, c, x * 0.5**0.5 * 1.1, n, g, lr),
    "the loss instead": lambda h, c, *a: (h * (chain(h, c, *a) - c) ** 2).sum(2) / 2,
}
LM_RIGHT = {
    "in place": lambda *a: chain(*a, keep=lambda w: w.clone()),
    "nested lists": lambda *a: chain(*a).tolist(),
    "single precision": lambda *a: chain(*a).float().double().add(0),
    "numpy": lambda *a: chain(*a).numpy(),
}

Pair = namedtuple("Pair", "rise gradient")


def paired(w, c, f, g, fs, gs, fl, fg):
    return f - fs - (w - c) @ (gs - fg), g - gs + fg


ANCHORED_WRONG = {
    "gradient times deviation": lambda w, c, f, g, fs, gs, fl, fg: (paired(w, c, f, g, fs, gs, fl, fg)[0], g * (w - c)),
    "uncorrected, of all data": lambda w, c, f, g, fs, gs, fl, fg: (f - fl, g),
    "one slope for all chains": lambda w, c, f, g, fs, gs, fl, fg: (
        f - fs - ((w - c) * (gs - fg)).sum(),
        g - gs + fg,
    ),
    "mean over weights": lambda w, c, f, g, fs, gs, fl, fg: (f - fs - ((w - c) * (gs - fg)).mean(1), g - gs + fg),
    "both unpaired": lambda w, c, f, g, fs, gs, fl, fg: (f - fl, g - gs),
    "slope with full": lambda w, c, f, g, fs, gs, fl, fg: (f - fs - (w - c) @ fg, g - gs + fg),
    "mean baseline": lambda w, c, f, g, fs, gs, fl, fg: (f - (fs + fl) / 2 - (w - c) @ (gs - fg), g - gs + fg),
    "norm of the slope": lambda w, c, f, g, fs, gs, fl, fg: (
        f - fs - (w - c).norm(dim=1) * (gs - fg).norm(),
        g - gs + fg,
    ),
    "quadratic too": lambda w, c, f, g, fs, gs, fl, fg: (f - fs - (w - c) @ (gs - fg) - (w - c).square().sum(1), g),
    "swapped": lambda *a: paired(*a)[::-1],
    "rise alone": lambda *a: paired(*a)[0],
    "sum over chains": lambda *a: (paired(*a)[0].sum(), paired(*a)[1]),
}
ANCHORED_RIGHT = {
    "a named tuple": lambda *a: Pair(*paired(*a)),
    "a dict": lambda *a: dict(zip(("gradient", "rise"), paired(*a)[::-1], strict=True)),
    "lists": lambda *a: [part.tolist() for part in paired(*a)],
}


def summed_up(loss, base, n, burnin, spread=lambda m: m.std() / len(m) ** 0.5):
    means = n * (loss[:, burnin:].mean(1) - base)
    return means.mean(), spread(means), means


ESTIMATE_WRONG = {
    "one burn-in step too few": lambda f, b, n, k: summed_up(f, b, n, k - 1),
    "one burn-in step too many": lambda f, b, n, k: summed_up(f, b, n, k + 1),
    "range of the chains": lambda *a: summed_up(*a, spread=lambda m: (m.max() - m.min()) / len(m) ** 0.5),
    "median of the chains": lambda *a: (summed_up(*a)[0], summed_up(*a)[1], summed_up(*a)[2].sort().values),
    "the variance": lambda *a: summed_up(*a, spread=lambda m: m.var() / len(m)),
    "every second draw": lambda f, b, n, k: summed_up(f[:, k::2], b, n, 0),
    "error over draws and chains": lambda f, b, n, k: summed_up(
        f, b, n, k, spread=lambda m: m.std() / (f.shape[1] - k) ** 0.5
    ),
    "per chain without nbeta": lambda f, b, n, k: (*summed_up(f, b, n, k)[:2], summed_up(f, b, 1, k)[2]),
    "two values": lambda *a: summed_up(*a)[:2],
    "error without nbeta": lambda f, b, n, k: (
        summed_up(f, b, n, k)[0],
        summed_up(f, b, 1, k)[1],
        summed_up(f, b, n, k)[2],
    ),
    "sum over the chains": lambda *a: (summed_up(*a)[2].sum(), *summed_up(*a)[1:]),
    "largest draw": lambda f, b, n, k: summed_up(f[:, k:].amax(1, keepdim=True), b, n, 0),
}
ESTIMATE_RIGHT = {
    "a list": lambda *a: [part.tolist() for part in summed_up(*a)],
    "a dict": lambda *a: dict(zip(("per_chain", "error", "llc"), summed_up(*a)[::-1], strict=True)),
    "cumulated": lambda f, b, n, k: summed_up(
        (f[:, k:].cumsum(1)[:, -1:] / (f.shape[1] - k)).expand(-1, k + 1), b, n, k
    ),
}


def found_faults(t, h, d, s, *, z=3.0, tenth=0.1, quarter=0.75, below=2.0, near=1e-6, off=1.0):
    m, e, mh, eh = t.mean((1, 2)), _error(t), h.mean((1, 2)), _error(h)
    code = torch.where(d.mean((1, 2)) < quarter * m, 5, 0)
    code = torch.where((m - mh).abs() > z * (e**2 + eh**2).sqrt(), 1, code)
    code = torch.where(e > tenth * m.abs(), 2, code)
    code = torch.where(m < -below * e, 3, code)
    code = torch.where(s.mean(1).abs() > off * e, 4, code)
    return torch.where(s.amax(1) - s.amin(1) > near, 6, code)


def _error(x):
    return x.mean(2).std(1) / x.shape[1] ** 0.5


DIAGNOSE_WRONG = {
    "two thirds": lambda *a: found_faults(*a, quarter=2 / 3),
    "eight per cent": lambda *a: found_faults(*a, tenth=0.08),
    "minimum at 1.96 errors": lambda *a: found_faults(*a, below=1.96),
    "coins between neighbours": lambda t, h, d, s: torch.where(
        s.diff(dim=1).abs().amax(1) > 1e-6, 6, found_faults(t, h, d, s, near=math.inf)
    ),
    "four errors": lambda *a: found_faults(*a, z=4.0),
    "minimum below plus two errors": lambda *a: found_faults(*a, below=-2.0),
    "gamma against half the step": lambda t, h, d, s: torch.where(
        found_faults(t, h, d, s, quarter=-math.inf) == 0,
        torch.where(d.mean((1, 2)) < 0.75 * h.mean((1, 2)), 5, 0),
        found_faults(t, h, d, s),
    ),
    "coins to one digit more": lambda *a: found_faults(*a, near=1e-7),
    "first reading against the last": lambda t, h, d, s: torch.where(
        (s[:, 0] - s[:, -1]).abs() > 1e-6, 6, found_faults(t, h, d, s, near=math.inf)
    ),
    "first reading against the second": lambda t, h, d, s: torch.where(
        (s[:, 0] - s[:, 1]).abs() > 1e-6, 6, found_faults(t, h, d, s, near=math.inf)
    ),
    "one error": lambda *a: found_faults(*a, z=1.0),
    "two errors": lambda *a: found_faults(*a, z=2.0),
    "minimum at one error": lambda *a: found_faults(*a, below=1.0),
    "minimum at three errors": lambda *a: found_faults(*a, below=3.0),
    "baseline at two errors": lambda *a: found_faults(*a, off=2.0),
    "a tenth instead of errors": lambda t, h, d, s: torch.where(
        (found_faults(t, h, d, s, z=math.inf) % 5 == 0) & ((t - h).mean((1, 2)).abs() > 0.1 * t.mean((1, 2)).abs()),
        1,
        found_faults(t, h, d, s, z=math.inf),
    ),
    "twenty per cent": lambda *a: found_faults(*a, tenth=0.05),
    "a half of it": lambda *a: found_faults(*a, quarter=0.5),
    "ninety per cent": lambda *a: found_faults(*a, quarter=0.85),
    "no coins": lambda *a: found_faults(*a, near=math.inf),
    "all sound": lambda t, *a: torch.zeros(len(t)),
    "all steps": lambda t, *a: torch.ones(len(t)),
    "first reading alone": lambda t, h, d, s: found_faults(t, h, d, s[:, :1]),
    "first chain alone": lambda t, h, d, s: found_faults(t[:, :2], h[:, :2], d, s),
    "half for doubled": lambda t, h, d, s: found_faults(t, d, h, s),
    "a column": lambda *a: found_faults(*a)[:, None],
    "names": lambda *a: ["sound"] * len(a[0]),
}
DIAGNOSE_RIGHT = {
    "floats": lambda *a: found_faults(*a).double(),
    "a list": lambda *a: found_faults(*a).tolist(),
    "numpy": lambda *a: np.asarray(found_faults(*a), dtype=np.int8),
}


def judged_report(trace, lr, burnin, reported, *, z=1.96, zero=None):
    llc = trace[..., burnin:].mean(-1)
    gap = llc[0] - llc[1]
    design = torch.stack([torch.ones_like(lr), lr], 1)
    at_zero = (torch.linalg.pinv(design) @ gap)[0] if zero is None else zero(gap, lr)
    margin = z * at_zero.std() / len(at_zero) ** 0.5
    claimed = gap[reported]
    score = claimed.mean() / (claimed.std() / len(claimed) ** 0.5)
    return claimed.mean(), score, at_zero.mean(), at_zero.mean() - margin, at_zero.mean() + margin


def _error_at_zero(*a):
    return (judged_report(*a)[4] - judged_report(*a)[2]) / 1.96


def weighted(gap, lr):
    w = (1 / lr)[:, None]
    x = lr[:, None] - (w * lr[:, None]).sum() / w.sum()
    mean = (w * gap).sum(0) / w.sum()
    return mean - (lr[:, None] - x)[0] * (w * x * gap).sum(0) / (w * x * x).sum()


REFUTE_WRONG = {
    "90 %": lambda *a: judged_report(*a, z=1.645),
    "two standard errors": lambda *a: judged_report(*a, z=2.0),
    "through the origin": lambda *a: judged_report(*a, zero=lambda gap, lr: 0 * gap[0] + gap.std(0)),
    "a parabola": lambda *a: judged_report(
        *a, zero=lambda gap, lr: (torch.linalg.pinv(torch.stack([lr**0, lr, lr**2], 1)) @ gap)[0]
    ),
    "weighted": lambda *a: judged_report(*a, zero=weighted),
    "median of steps": lambda *a: judged_report(*a, zero=lambda gap, lr: gap.median(0).values),
    "at one step below": lambda *a: judged_report(*a, zero=lambda gap, lr: gap[lr.argsort()[1]]),
    "claimed by medians": lambda *a: (judged_report(*a)[0] + 0.01, *judged_report(*a)[1:]),
    "z of what is left": lambda *a: (
        judged_report(*a)[0],
        judged_report(*a)[2] / _error_at_zero(*a),
        *judged_report(*a)[2:],
    ),
    "margins for ends": lambda *a: (*judged_report(*a)[:3], *(v - judged_report(*a)[2] for v in judged_report(*a)[3:])),
    "without the reported step": lambda t, lr, b, r: (
        *judged_report(t, lr, b, r)[:2],
        *judged_report(t[:, torch.arange(len(lr)) != r], lr[torch.arange(len(lr)) != r], b, 0)[2:],
    ),
    "z squared": lambda *a: (judged_report(*a)[0], judged_report(*a)[1] ** 2, *judged_report(*a)[2:]),
    "one more burn-in draw": lambda t, lr, b, r: judged_report(t, lr, b + 1, r),
    "four of five": lambda *a: judged_report(*a)[:4],
}
REFUTE_RIGHT = {
    "a stack": lambda *a: torch.stack(judged_report(*a)),
    "floats": lambda *a: [float(part) for part in judged_report(*a)],
    "axes of length one": lambda *a: tuple(part[None] for part in judged_report(*a)),
    "a dict": lambda *a: dict(zip(("claimed", "z", "difference", "low", "high"), judged_report(*a), strict=True)),
}


def scaled_units(factor):
    """Each hidden unit times a factor of its own, ``[hidden]``, made of the weights."""

    def answer(first, first_bias, second, second_bias, x):
        scale = factor(torch.cat([first, first_bias[:, None]], 1).norm(dim=1), second.norm(dim=0))
        return scale[:, None] * first, scale * first_bias, second / scale, second_bias

    return answer


def balance(came_in, goes_out):
    return (goes_out / came_in).sqrt()


def mended(change):
    """The best answer, with something wrong in it."""
    return lambda *given: change(*scaled_units(balance)(*given))


RESCALE_WRONG = {
    "twice": scaled_units(lambda came_in, goes_out: torch.full_like(came_in, 2.0)),
    "far apart": scaled_units(lambda came_in, goes_out: torch.full_like(came_in, 1e-300).double() * 1e-20),
    "not rooted": scaled_units(lambda came_in, goes_out: goes_out / came_in),
    "the other way": scaled_units(lambda came_in, goes_out: (came_in / goes_out).sqrt()),
    "one for all": scaled_units(lambda came_in, goes_out: balance(came_in, goes_out).mean().expand(len(came_in))),
    "negative": scaled_units(lambda came_in, goes_out: -balance(came_in, goes_out)),
    "smaller logits": mended(lambda a, b, c, d: (a, b, 0.99 * c, d)),
    "no weights": mended(lambda a, b, c, d: (0 * a, 0 * b, 0 * c, d)),
    "three": mended(lambda a, b, c, d: (a, b, c)),
    "transposed": mended(lambda a, b, c, d: (a.T, b, c.T, d)),
    "split in two": mended(
        lambda a, b, c, d: (torch.cat([a, a]) / 2**0.5, torch.cat([b, b]) / 2**0.5, torch.cat([c, c], 1) / 2**0.5, d)
    ),
}
RESCALE_RIGHT = {
    "unit rows": scaled_units(lambda came_in, goes_out: 1 / came_in),
    "unit columns": scaled_units(lambda came_in, goes_out: goes_out),
    "numpy": mended(lambda *new: tuple(part.numpy() for part in new)),
    "lists": mended(lambda *new: [part.tolist() for part in new]),
    "a dict": mended(lambda *new: dict(zip(("first", "first_bias", "second", "second_bias"), new, strict=True))),
    "in another order": mended(lambda a, b, c, d: (a.flip(0), b.flip(0), c.flip(1), d)),
}

WRONG = {
    "ch15.bias": BIAS_WRONG,
    "ch15.lm_chain": LM_WRONG,
    "ch15.anchored": ANCHORED_WRONG,
    "ch15.estimate": ESTIMATE_WRONG,
    "ch15.diagnose": DIAGNOSE_WRONG,
    "ch15.refute": REFUTE_WRONG,
    "ch15.rescale": RESCALE_WRONG,
}
RIGHT = {
    "ch15.bias": BIAS_RIGHT,
    "ch15.lm_chain": LM_RIGHT,
    "ch15.anchored": ANCHORED_RIGHT,
    "ch15.estimate": ESTIMATE_RIGHT,
    "ch15.diagnose": DIAGNOSE_RIGHT,
    "ch15.refute": REFUTE_RIGHT,
    "ch15.rescale": RESCALE_RIGHT,
}
