"""Self-repair: what the rest of a model does when a head is taken away.

A head's *direct effect* on a logit difference is what it writes toward it, past all later layers. Cut the head, and the
difference falls by the *total effect*. Where that is less, something made up for the head: later heads and MLPs, which
read another stream and write something else, or the final norm, which divides by less (McGrath et al., "The Hydra
Effect", 2023, arXiv:2307.15771; Rushing & Nanda, "Explorations of Self-Repair in Language Models", 2024,
arXiv:2402.15390). Everything here is at the last position of each prompt.

>>> import torch
>>> from mechlib import zoo
>>> from mechlib.patterns import repeated_tokens
>>> model = zoo.load("code-2l", device="cpu")
>>> rows = repeated_tokens(24, 20, 2048, generator=torch.Generator().manual_seed(0))[:, :-10]
>>> right, wrong = rows[:, 10], rows[:, 5]
>>> found = cut_heads(model, rows, right, wrong, [(1, 1), (1, 2)])
>>> for cut, direct, total in zip(found.labels, found.direct.mean(1), found.total.mean(1), strict=True):
...     print(f"{cut}: direct {direct:.1f}, total {total:.1f}")
1.1: direct 9.5, total 8.2
1.2: direct 4.7, total 3.7
"""

from mechlib.repair.cutting import Cuts, cut_heads, direct_effects

__all__ = ["Cuts", "cut_heads", "direct_effects"]
