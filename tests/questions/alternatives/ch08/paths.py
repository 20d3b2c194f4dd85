"""Right answers to ch08.paths, written differently."""

import numpy as np
import torch


def by_numpy(equations, works):
    kept = np.asarray(equations)[np.asarray(works)]
    return kept.min() / 2, np.count_nonzero(kept == kept.min())


def by_loop(equations, works):
    best, times = None, 0
    for k, on in zip(equations.tolist(), works.tolist(), strict=True):
        if on and (best is None or k < best):
            best, times = k, 1
        elif on and k == best:
            times += 1
    return best * 0.5, times


def by_masking(equations, works):
    """Idle paths are put out of the way."""
    k = torch.where(works, equations, torch.iinfo(torch.int64).max)
    return k.min().double() / 2, k.eq(k.min()).sum().item()


def by_library(equations, works):
    """Blown up, a path of k equations has the zeta pole k / 2."""
    poles = sorted(k / 2 for k, on in zip(equations.tolist(), works.tolist(), strict=True) if on)
    return poles[0], poles.count(poles[0])


ALTERNATIVES = {"numpy": by_numpy, "loop": by_loop, "masking": by_masking, "poles": by_library}
