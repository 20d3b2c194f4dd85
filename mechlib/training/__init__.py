"""Training that can be stopped and gone on with: the one loop, what a folder holds of a run, optimisers of populations.

It takes any ``nn.Module`` and knows no model of the book.
"""

from mechlib.training.loop import Loop, Updates
from mechlib.training.optimisers import Muon, clip_each, optimisers

__all__ = ["Loop", "Muon", "Updates", "clip_each", "optimisers"]
