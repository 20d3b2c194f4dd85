"""The models that ship with the book, each with a card that says how it was made.

>>> from mechlib import zoo
>>> zoo.names()
>>> model = zoo.load("code-4l-mlp")
"""

from mechlib.zoo.cards import Card, Checkpoint, card, names, steps
from mechlib.zoo.loading import load, verify

__all__ = ["Card", "Checkpoint", "card", "load", "names", "steps", "verify"]
