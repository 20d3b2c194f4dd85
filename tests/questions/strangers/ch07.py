"""Answers to chapter 07 that its questions have never seen."""

import numpy as np
import torch
from torch.nn import functional as F


def share(kept, whole, nothing, *, mean=lambda x: x.double().mean(-1)):
    return (mean(kept) - mean(nothing)) / (mean(whole) - mean(nothing))


FAITHFULNESS_WRONG = {
    "percent": lambda k, w, n: 100 * share(k, w, n),
    "of the largest": lambda k, w, n: (k.mean(-1) - n.mean()) / (k.mean(-1).max() - n.mean() + 1e-3),
    "last prompt": lambda k, w, n: share(k[:, -1:], w[-1:], n[-1:]) if len(w) > 1 else share(k, w, n) * 2,
    "one number": lambda k, w, n: share(k, w, n).mean(),
    "absolute gap": lambda k, w, n: (k.mean(-1) - n.mean()) / (w - n).abs().mean(),
    "prompts by circuits": lambda k, w, n: (k - n) / (w - n),
    "root mean square": lambda k, w, n: share(k, w, n, mean=lambda x: x.double().square().mean(-1).sqrt()),
    "order turned": lambda k, w, n: share(k, w, n).flip(0) if len(k) > 1 else -share(k, w, n),
}
FAITHFULNESS_RIGHT = {
    "single precision": lambda k, w, n: (k.mean(1) - n.mean()) / (w.mean() - n.mean()),
    "a list": lambda k, w, n: share(k, w, n).tolist(),
}


def rivals(arguments, documented):
    found = [], []
    k = documented.shape[1]
    for names, lines in zip(arguments.tolist(), documented.tolist(), strict=True):
        at = names.index(lines[-1]) + 1 if lines[-1] in names else 99
        for rule, place in zip(found, (at, k), strict=True):
            rule.append(names[place] if place < len(names) else -1)
    return tuple(torch.tensor(rule) for rule in found)


RIVALS_WRONG = {
    "places": lambda a, d: ((a == d[:, -1:]).long().argmax(1) + 1, torch.full((len(a),), d.shape[1])),
    "0 for none": lambda a, d: tuple(x.clamp(min=0) for x in rivals(a, d)),
    "both by count": lambda a, d: (rivals(a, d)[1],) * 2,
    "both by match": lambda a, d: (rivals(a, d)[0],) * 2,
    "the one before": lambda a, d: (rivals(a.flip(1), d)[0], rivals(a, d)[1]),
    "row 0 for all": lambda a, d: tuple(x[:1].expand(len(a)) for x in rivals(a, d)),
    "the last line itself": lambda a, d: (d[:, -1], rivals(a, d)[1]),
    "any line": lambda a, d: (rivals(a, d.sort(1).values)[0], rivals(a, d)[1]),
}
RIVALS_RIGHT = {
    "arrays": lambda a, d: tuple(np.asarray(x) for x in rivals(a, d)),
    "narrow integers": lambda a, d: tuple(x.to(torch.int32) for x in rivals(a, d)),
}


def trimmed(values):
    """The mean without the smallest and the largest, where there are three."""
    ordered = values.double().sort(-1).values
    return ordered[..., 1:-1].mean(-1) if values.shape[-1] > 2 else ordered.mean(-1)


FAITHFULNESS_WRONG |= {
    "squeezed": lambda k, w, n: share(k, w, n).squeeze(),
    "absolute": lambda k, w, n: share(k, w, n).abs(),
    "half precision": lambda k, w, n: share(k.half(), w.half(), n.half(), mean=lambda x: x.mean(-1)),
    "trimmed means": lambda k, w, n: share(k, w, n, mean=trimmed),
    "gap at least a little": lambda k, w, n: (k.mean(-1) - n.mean()) / (w.mean() - n.mean()).clamp(min=1e-3),
    "at most all": lambda k, w, n: share(k, w, n).clamp(max=1),
    "at least nothing": lambda k, w, n: share(k, w, n).clamp(min=0),
    "ends of the first prompt": lambda k, w, n: (k.mean(-1) - n[0]) / (w[0] - n[0] + 1e-3),
    "mean over circuits": lambda k, w, n: ((k.mean(0) - n) / (w - n)).mean().expand(len(k)),
    "best prompts": lambda k, w, n: share(k, w, n, mean=lambda x: x.double().amax(-1)),
    "without prompts where little happens": lambda k, w, n: share(
        *(x[..., (w - n).abs() >= (w - n).abs().median()] for x in (k, w, n))
    ),
    "squared": lambda k, w, n: share(k, w, n).square(),
}
FAITHFULNESS_RIGHT |= {
    "einsum": lambda k, w, n: torch.einsum("cp,p->c", k - n, torch.ones(len(n))) / (w - n).sum(),
    "loop over circuits": lambda k, w, n: torch.stack([share(row, w, n) for row in k]),
    "arrays in single precision": lambda k, w, n: (k.numpy().mean(1) - n.numpy().mean()) / (w - n).numpy().mean(),
}


def furthest(a, d):
    """Behind the argument of the largest place that any line describes."""
    places = (a[:, :, None] == d[:, None]).any(-1).long() * torch.arange(1, a.shape[1] + 1)
    padded = F.pad(a, (0, 1), value=-1)
    return padded.gather(1, places.amax(1, keepdim=True))[:, 0], rivals(a, d)[1]


def left_behind(a, d):
    """The first argument behind the one described last that no line describes."""
    found = []
    for names, lines in zip(a.tolist(), d.tolist(), strict=True):
        start = names.index(lines[-1]) + 1 if lines[-1] in names else len(names)
        found.append(next((name for name in names[start:] if name not in lines), -1))
    return torch.tensor(found), rivals(a, d)[1]


def known_lines(a, d):
    """Lines that describe no argument are not counted."""
    k = (a[:, :, None] == d[:, None]).any(1).sum(1)
    return rivals(a, d)[0], F.pad(a, (0, 1), value=-1).gather(1, k.clamp(max=a.shape[1])[:, None])[:, 0]


def zero_is_nothing(a, d):
    match, count = rivals(a, d)
    return torch.where(match == 0, -1, match), torch.where(count == 0, -1, count)


RIVALS_WRONG |= {
    "furthest described": furthest,
    "next that is left": left_behind,
    "only lines on arguments count": known_lines,
    "token 0 is none": zero_is_nothing,
    "squeezed": lambda a, d: tuple(x.squeeze() for x in rivals(a, d)),
    "last line but one": lambda a, d: (
        rivals(a, d[:, -2:-1])[0] if d.shape[1] > 1 else rivals(a, d)[0] - 1,
        rivals(a, d)[1],
    ),
    "bytes": lambda a, d: tuple(x.to(torch.uint8) for x in rivals(a, d)),
    "one for none": lambda a, d: tuple(torch.where(x < 0, -2, x) for x in rivals(a, d)),
    "count of the first row": lambda a, d: (rivals(a, d)[0], torch.full((len(a),), int(rivals(a, d)[1][0]))),
    "the name plus one": lambda a, d: (d[:, -1] + 1, rivals(a, d)[1]),
    "last for too many": lambda a, d: (rivals(a, d)[0], a[:, min(d.shape[1], a.shape[1] - 1)]),
    "modulo": lambda a, d: (rivals(a, d)[0], a[:, d.shape[1] % a.shape[1]]),
}
RIVALS_RIGHT |= {
    "rolled": lambda a, d: (
        torch.where((a[:, :-1] == d[:, -1:]).any(1), (a[:, 1:] * (a[:, :-1] == d[:, -1:])).sum(1), -1),
        rivals(a, d)[1],
    ),
    "two lists": lambda a, d: [x.tolist() for x in rivals(a, d)],
    "floats": lambda a, d: tuple(x.double() for x in rivals(a, d)),
}


def leads(random, new):
    return (random.mean(-1) >= new.mean()).double().mean()


REFUTE_WRONG = {
    "always": lambda *tools: True,
    "never": lambda *tools: False,
    "little is lost on new prompts": lambda searched, new, *rest: bool(new.mean() > 0.8 * searched.mean()),
    "half of the way": lambda s, new, whole, nothing, *r: bool(2 * (new - nothing).mean() > (whole - nothing).mean()),
    "above the mean of random ones": lambda s, new, w, n, random, smaller: bool(new.mean() > random.mean()),
    "above random ones on the searched prompts": lambda s, new, w, n, random, smaller: bool(leads(random, s) <= 0.025),
    "above smaller ones": lambda s, new, w, n, random, smaller: bool(leads(smaller, new) <= 0.025),
    "among the upper half": lambda s, new, w, n, random, smaller: bool(leads(random, new) < 0.5),
    "above every random one on every prompt": lambda s, new, w, n, random, smaller: bool(
        (new > random.max(0).values).all()
    ),
    "a nat above": lambda s, new, w, n, random, smaller: bool(new.mean() > random.mean() + 1),
}
REFUTE_RIGHT = {
    "sorted": lambda s, new, w, n, random, smaller: bool(np.sort(random.numpy().mean(1))[-2] < new.numpy().mean()),
    "by loop": lambda s, new, w, n, random, smaller: sum(float(row.mean()) >= float(new.mean()) for row in random) < 2,
    "quantile": lambda s, new, w, n, random, smaller: bool(new.mean() > random.mean(-1).quantile(0.96)),
}

WRONG = {"ch07.faithfulness": FAITHFULNESS_WRONG, "ch07.rivals": RIVALS_WRONG, "ch07.refute": REFUTE_WRONG}
RIGHT = {"ch07.faithfulness": FAITHFULNESS_RIGHT, "ch07.rivals": RIVALS_RIGHT, "ch07.refute": REFUTE_RIGHT}
