"""Answers to chapter 07 that its questions have never seen."""

import numpy as np
import torch


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

WRONG = {"ch07.faithfulness": FAITHFULNESS_WRONG, "ch07.rivals": RIVALS_WRONG}
RIGHT = {"ch07.faithfulness": FAITHFULNESS_RIGHT, "ch07.rivals": RIVALS_RIGHT}
