"""Training that can be left and gone on from: the one loop, whose a folder is, and the optimisers of populations.

It takes any ``nn.Module`` and knows no model of the book.
"""

from mechlib.training.loop import Loop, Updates
from mechlib.training.optimisers import Muon, clip_each, optimisers

__all__ = ["Loop", "Muon", "Updates", "clip_each", "optimisers"]
