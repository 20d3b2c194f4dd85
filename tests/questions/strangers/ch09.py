"""Answers to chapter 09 that its questions have never seen."""

import torch


def layer(t, q, k, v, o, *, context=None, scale=1.0):
    context = t[:, :-1] if context is None else context
    return t + scale * (t @ q) @ (context @ k).mT @ (context @ v) @ o


LAYER_WRONG = {
    "ten examples": lambda t, *W: layer(t, *W, context=t[:, :-1][:, :10]),
    "last two left out": lambda t, q, k, v, o: layer(t, q, k, v, o, context=t[:, : max(1, t.shape[1] - 3)]),
    "twice": lambda t, *W: layer(layer(t, *W), *W),
    "half": lambda t, *W: layer(t, *W, scale=0.5),
    "sizes of scores": lambda t, q, k, v, o: t + ((t @ q) @ (t[:, :-1] @ k).mT).abs() @ (t[:, :-1] @ v) @ o,
    "masked like a language model": lambda t, q, k, v, o: t + ((t @ q) @ (t @ k).mT).tril() @ (t @ v) @ o,
    "no weights for values": lambda t, q, k, v, o: t + (t @ q) @ (t[:, :-1] @ k).mT @ t[:, :-1],
    "mean residual": lambda t, *W: layer(t, *W) - t + t.mean(1, keepdim=True),
    "nothing": lambda t, *W: t,
}
LAYER_RIGHT = {
    "a list": lambda t, *W: layer(t, *W).tolist(),
    "numpy": lambda t, *W: layer(t, *W).numpy(),
    "loop": lambda t, *W: torch.stack([layer(one[None], *W)[0] for one in t]),
    "masked": lambda t, q, k, v, o: (
        t + (((t @ q) @ (t @ k).mT) * (torch.arange(t.shape[1]) < t.shape[1] - 1)) @ (t @ v) @ o
    ),
}


def read_off(q, k, v, o, n, *, rate=lambda r: r, rest=lambda s: s):
    M, u = (q @ k.T)[:-1], (v @ o)[:, -1]
    T = torch.einsum("ab,c->abc", M, u)
    T = (T + T.mT) / 2
    d = len(T)
    on_step = sum(T[a, a, d] for a in range(d)) / d  # the step has it twice for each coordinate
    left = T.square().sum() - 2 * d * on_step**2
    return rate(-2 * n * on_step), rest(left / T.square().sum())


READ_OFF_WRONG = {
    "rate cut at 5": lambda *a: read_off(*a, rate=lambda r: r.clamp(-5, 5)),
    "at least a hundredth left": lambda *a: read_off(*a, rest=lambda s: s.clamp(min=0.01)),
    "at most nine tenths left": lambda *a: read_off(*a, rest=lambda s: s.clamp(max=0.9)),
    "n less one": lambda q, k, v, o, n: read_off(q, k, v, o, n - 1),
    "size of the rate": lambda *a: read_off(*a, rate=abs),
    "rate squared": lambda *a: read_off(*a, rate=lambda r: r**2),
    "rest not divided": lambda *a: (read_off(*a)[0], read_off(*a)[1] * (a[0] @ a[1].T)[:-1].square().sum()),
    "rest as percent": lambda *a: read_off(*a, rest=lambda s: 100 * s),
    "y in the first place": lambda q, k, v, o, n: read_off(q.flip(0), k.flip(0), v.flip(0), o.flip(1), n),
    "exchanged results": lambda *a: read_off(*a)[::-1],
    "rate alone": lambda *a: read_off(*a)[0],
}
READ_OFF_RIGHT = {
    "a dict": lambda *a: dict(zip(("unexplained", "rate"), read_off(*a)[::-1], strict=True)),
    "floats": lambda *a: [float(v) for v in read_off(*a)],
    "double": lambda q, k, v, o, n: read_off(q.double(), k.double(), v.double(), o.double(), n),
}


def best(var, fourth, n, *, extra=0.0):
    m = (fourth + var * (var.sum() - var) + (n - 1) * var**2 + extra) / n
    p = var / m
    return p, 0.5 * (var - p * var**2).sum(), (var**2).sum() / (var * m).sum()


BEST_WRONG = {
    "fourth cut": lambda v, f, n: best(v, torch.minimum(f, 10 * v**2), n),
    "n more": lambda v, f, n: best(v, f, n + 1),
    "fourth forgotten": lambda v, f, n: best(v, 0 * f + v**2, n),
    "geometric mean": lambda v, f, n: (*best(v, f, n)[:2], best(v, f, n)[0].log().mean().exp()),
    "half the rates": lambda v, f, n: (best(v, f, n)[0] / 2, *best(v, f, n)[1:]),
    "own square twice over": lambda v, f, n: best(v, f, n, extra=2 * v**2),
    "rates averaged by variance": lambda v, f, n: (*best(v, f, n)[:2], (best(v, f, n)[0] * v).sum() / v.sum()),
    "mean loss": lambda v, f, n: (best(v, f, n)[0], best(v, f, n)[1] / len(v), best(v, f, n)[2]),
    "deviations": lambda v, f, n: best(v.sqrt(), f, n),
}
BEST_RIGHT = {
    "numpy": lambda *a: [part.numpy() for part in best(*a)],
    "axes of length one": lambda *a: (best(*a)[0], best(*a)[1][None], best(*a)[2][None]),
    "lists": lambda *a: [part.tolist() for part in best(*a)],
}


def by_rivals(*names, clear=lambda v: v.mean() > 1.96 * v.std() / len(v) ** 0.5):
    """The verdict of a test that knows these rivals alone."""

    def verdict(model, step, next_step, two_steps, ridge, truth, untrained):
        rivals = {"ridge": [*ridge], "two steps": [two_steps], "truth": [truth], "next step": [next_step]}
        own = torch.cosine_similarity(model, step, dim=-1)
        leads = [own - torch.cosine_similarity(model, rival, dim=-1) for name in names for rival in rivals[name]]
        return all(bool(clear(lead)) for lead in leads)

    return verdict


RIVALS = ("ridge", "two steps", "truth", "next step")
REFUTE_WRONG = {f"{left} left out": by_rivals(*(name for name in RIVALS if name != left)) for left in RIVALS} | {
    "a lead of .03": by_rivals(*RIVALS, clear=lambda lead: lead.mean() > 0.03),
    "the spread of single prompts": by_rivals(*RIVALS, clear=lambda lead: lead.mean() > 1.96 * lead.std()),
}

WRONG = {
    "ch09.refute": REFUTE_WRONG,
    "ch09.layer": LAYER_WRONG,
    "ch09.read_off": READ_OFF_WRONG,
    "ch09.best_rates": BEST_WRONG,
}
RIGHT = {
    "ch09.layer": LAYER_RIGHT,
    "ch09.read_off": READ_OFF_RIGHT,
    "ch09.best_rates": BEST_RIGHT,
}
