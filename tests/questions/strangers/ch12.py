"""Answers to chapter 12 that its questions have never seen."""

import math

import torch


def posterior(x, y, pool, noise_var, *, prior=0.0, shown=lambda values: values):
    values = x @ pool.T
    errors = (values - y[..., None]) ** 2
    log_weight = -(errors.cumsum(1) - errors) / (2 * noise_var) + prior
    return shown((log_weight.softmax(-1) * values).sum(-1))


POSTERIOR_WRONG = {
    "as if all noise were 0.3": lambda x, y, p, v: posterior(x, y, p, 0.3),
    "first task twice as likely": lambda x, y, p, v: posterior(x, y, p, v, prior=torch.eye(len(p))[0].double()),
    "weights over prompts": lambda x, y, p, v: (
        torch.softmax(-((x @ p.T - y[..., None]) ** 2).cumsum(1) / (2 * v), 0) * (x @ p.T)
    ).sum(-1),
    "mean task always": lambda x, y, p, v: x @ p.mean(0),
    "the targets": lambda x, y, p, v: y.clone(),
    "last point alone": lambda *a: posterior(*a)[:, -1:],
    "inputs scaled": lambda x, y, p, v: posterior(x / 2, y, p, v),
    "points reversed": lambda x, y, p, v: posterior(x.flip(1), y.flip(1), p, v).flip(1),
    "equal tasks once": lambda x, y, p, v: posterior(x, y, p.unique(dim=0), v),
    "noise at least 0.01": lambda x, y, p, v: posterior(x, y, p, max(v, 0.01)),
    "noise at least 0.1": lambda x, y, p, v: posterior(x, y, p, max(v, 0.1)),
    "seven examples at most": lambda x, y, p, v: torch.cat(
        [posterior(x, y, p, v)[:, :8], posterior(x[:, 1:], y[:, 1:], p, v)[:, 7:]], 1
    ),
}
POSTERIOR_RIGHT = {
    "a list": lambda *a: posterior(*a, shown=torch.Tensor.tolist),
    "numpy": lambda *a: posterior(*a, shown=torch.Tensor.numpy),
    "prompt by prompt": lambda x, y, p, v: torch.stack(
        [posterior(a[None], b[None], p, v)[0] for a, b in zip(x, y, strict=True)]
    ),
    "pool turned round": lambda x, y, p, v: posterior(x, y, p.flip(0), v),
    "a prior that adds a constant": lambda *a: posterior(*a, prior=-700.0),
}


def projection(f, r, d, *, power=1.0):
    line, own = (d - r).flatten(), (f - r).flatten()
    alpha = torch.dot(own, line) / torch.dot(line, line)
    rest = own - alpha * line
    return alpha, (torch.dot(rest, rest) / torch.dot(own, own)) ** power


PROJECTION_WRONG = {
    "per point": lambda f, r, d: (
        (((f - r) * (d - r)).sum(0) / (d - r).square().sum(0)).mean(),
        projection(f, r, d)[1],
    ),
    "size": lambda f, r, d: (projection(f, r, d)[0].abs(), projection(f, r, d)[1]),
    "one more": lambda f, r, d: (1 + projection(f, r, d)[0], projection(f, r, d)[1]),
    "median": lambda f, r, d: (((f - r) / (d - r)).median(), projection(f, r, d)[1]),
    "percent": lambda f, r, d: tuple(100 * v for v in projection(f, r, d)),
    "left cubed": lambda *a: projection(*a, power=3.0),
    "alpha alone": lambda *a: projection(*a)[0],
    "a safe division": lambda f, r, d: (
        ((f - r) * (d - r)).sum() / (((d - r) ** 2).sum() + 1e-3),
        projection(f, r, d)[1],
    ),
    "a safe division for what is left": lambda f, r, d: (
        projection(f, r, d)[0],
        projection(f, r, d)[1] * ((f - r) ** 2).sum() / (((f - r) ** 2).sum() + 1e-3),
    ),
    "exchanged results": lambda *a: projection(*a)[::-1],
}
PROJECTION_RIGHT = {
    "floats": lambda *a: [float(v) for v in projection(*a)],
    "a dict": lambda *a: dict(zip(("left", "alpha"), projection(*a)[::-1], strict=True)),
    "axes of length one": lambda *a: tuple(v[None] for v in projection(*a)),
    "shifted together": lambda f, r, d: projection(f + 2, r + 2, d + 2),
}


def plane(paths, *, kept=(0, 1)):
    flat = paths.reshape(-1, paths.shape[-1])
    mean = flat.mean(dim=0, keepdim=True)
    _, s, Vt = torch.linalg.svd(flat - mean, full_matrices=False)
    V = Vt[list(kept)]
    return (s**2 / (s**2).sum())[list(kept)], ((flat - mean) @ V.T @ V + mean).view(paths.shape)


PLANE_WRONG = {
    "second and third": lambda p: plane(p, kept=(1, 2)),
    "three components": lambda p: plane(p, kept=(0, 1, 2)),
    "first share twice": lambda p: (plane(p)[0][[0, 0]], plane(p)[1]),
    "ends of the paths": lambda p: (plane(p[:, [0, -1]].repeat(1, 2, 1))[0], plane(p)[1]),
    "steps": lambda p: (plane(p.diff(dim=1))[0], plane(p)[1]),
    "percent": lambda p: (100 * plane(p)[0], plane(p)[1]),
    "nothing lost": lambda p: (plane(p)[0], p),
    "scores": lambda p: (plane(p)[0], p[..., :2]),
}
PLANE_RIGHT = {
    "numpy": lambda p: tuple(v.numpy() for v in plane(p)),
    "runs turned round": lambda p: (plane(p.flip(0))[0], plane(p.flip(0))[1].flip(0)),
    "a dict": lambda p: {"share": plane(p)[0], "seen": plane(p)[1].tolist()},
    "every point twice": lambda p: (plane(p.repeat(1, 2, 1))[0], plane(p.repeat(1, 2, 1))[1][:, : p.shape[1]]),
}


def crossing(errors, coefficients, noise_var, n_points, *, first=1.0, scale=1.0):
    gap = scale * n_points * (errors[:, 0] - errors[:, 1]) / noise_var
    ratio = (coefficients[:, 1] - coefficients[:, 0]) / gap
    t = ratio.clamp(min=math.e).log() + 40  # Newton's method for n = r log n, in log n from far above
    for _ in range(80):
        t = t - (t.exp() - ratio * t) / (t.exp() - ratio).clamp(min=1e-9)
    return gap, torch.where(ratio > math.e, t.exp(), first)


CROSSING_WRONG = {
    "roots from a ratio of 3 on": lambda *a: (crossing(*a)[0], crossing(*a)[1].where(crossing(*a)[1] > 4.54, 1.0)),
    "one more point": lambda e, c, v, k: crossing(e, c, v, k + 1),
    "zero where nothing crosses": lambda *a: crossing(*a, first=0.0),
    "noise squared": lambda e, c, v, k: crossing(e, c, v**2, k),
    "bits": lambda *a: crossing(*a, scale=1 / math.log(2)),
    "sum of coefficients": lambda e, c, v, k: (
        crossing(e, c, v, k)[0],
        crossing(e, torch.stack([-c[:, 0], c[:, 1]], 1), v, k)[1],
    ),
    "log of the size": lambda *a: (crossing(*a)[0], crossing(*a)[1].log()),
    "size alone": lambda *a: crossing(*a)[1],
    "half the size": lambda *a: (crossing(*a)[0], crossing(*a)[1] / 2),
    "searched up to a million": lambda *a: (crossing(*a)[0], crossing(*a)[1].clamp(max=1e6)),
}
CROSSING_RIGHT = {
    "a list": lambda *a: [v.tolist() for v in crossing(*a)],
    "pairs turned round": lambda e, c, v, k: tuple(u.flip(0) for u in crossing(e.flip(0), c.flip(0), v, k)),
    "pair by pair": lambda e, c, v, k: tuple(
        torch.cat(parts)
        for parts in zip(*(crossing(a[None], b[None], v, k) for a, b in zip(e, c, strict=True)), strict=True)
    ),
}


def quickly(to_ridge, to_own, *others):
    """The last look alone, beside the lowest."""
    then = int(to_ridge.mean(1).argmin())
    gain = to_ridge[-1] - to_ridge[then]
    return bool(gain.mean() > 1.96 * gain.std() / len(gain) ** 0.5)


def tested(*kept, halves=False, looks=5, z=1.96):
    """Four differences between some looks and the last ones, one number a prompt; only some are asked for."""

    def supported(to_ridge, to_own, to_blunt, to_other, to_zero):
        first, second = (slice(0, None, 2), slice(1, None, 2)) if halves else (slice(None), slice(None))
        start = int(to_ridge[:, first].mean(1).unfold(0, looks, 1).mean(1)[:-looks].argmin())
        then = [d[start : start + looks, second].mean(0) for d in (to_ridge, to_own, to_blunt, to_other)]
        end = [d[-looks:, second].mean(0) for d in (to_ridge, to_own, to_blunt, to_other)]
        differences = {
            "nearer": then[2] - then[0],
            "left": end[0] - then[0],
            "for its own": then[1] - end[1],
            "more than for another": then[1] - end[1] - then[3] + end[3],
        }
        return all(bool(differences[k].mean() > z * differences[k].std() / len(then[0]) ** 0.5) for k in kept)

    return supported


ALL = ("nearer", "left", "for its own", "more than for another")

REFUTE_WRONG = {
    "no interval": tested(*ALL, z=0),
    "no interval, seven looks": tested(*ALL, looks=7, z=0),
    "no interval, three looks": tested(*ALL[:3], looks=3, z=0),
    "half a standard error": tested(*ALL, z=0.5),
    "that it left was not asked": tested("nearer", "for its own"),
    "where it went was not asked": tested("nearer", "left"),
    "whether it was near was not asked": tested("left", "for its own"),
    "one look at either end": quickly,
    "nearer to ridge than to a blunt memory": lambda *t: bool(t[0].mean(1).min() < t[2].mean(1).min()),
    "the pool comes nearer": lambda *t: bool(t[1][-5:].mean() < t[1][:-5].mean()),
    "farther than zero": lambda *t: bool(t[0][-1].mean() > t[4][-1].mean()),
}
RISE_WRONG = {
    "the last looks alone": lambda d: d[-5:].mean() - d[:5].mean(),
    "the largest less the smallest": lambda d: d.mean(1).max() - d.mean(1).min(),
    "the first half less the second": lambda d: d[len(d) // 2 :].mean() - d[: len(d) // 2].mean(),
    "a line": lambda d: (d[-10:].mean() - d[:10].mean()).abs(),
}

WRONG = {
    "ch12.posterior": POSTERIOR_WRONG,
    "ch12.projection": PROJECTION_WRONG,
    "ch12.plane": PLANE_WRONG,
    "ch12.crossing": CROSSING_WRONG,
    "ch12.refute": REFUTE_WRONG,
    "ch12.rise": RISE_WRONG,
}
RIGHT = {
    "ch12.posterior": POSTERIOR_RIGHT,
    "ch12.projection": PROJECTION_RIGHT,
    "ch12.plane": PLANE_RIGHT,
    "ch12.crossing": CROSSING_RIGHT,
    "ch12.refute": {
        "three differences": tested("nearer", "left", "for its own"),
        "all four": tested(*ALL),
        "Bonferroni": tested(*ALL, z=2.5),
        "three, half of the prompts choose": tested("nearer", "left", "for its own", halves=True),
    },
}
