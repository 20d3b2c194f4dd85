"""The models that ship with the book, each with a card that says how it was made.

>>> from mechlib import zoo
>>> "code-4l-mlp" in zoo.names("language")
True
>>> model = zoo.load("code-4l-mlp")

There are several kinds (``mechlib.zoo.kinds``): language models, models and populations that learn regression in
context, and more; ``names(kind)`` lists those of one.
"""

from mechlib.zoo.at_hand import at_hand
from mechlib.zoo.cards import Card, Checkpoint, StoredOutputs
from mechlib.zoo.kinds.regression_recipes import tasks
from mechlib.zoo.loading import Outputs, load, outputs, verify
from mechlib.zoo.regressors import LinearLayers, Regressor
from mechlib.zoo.shelf import card, names, steps

__all__ = [
    "Card",
    "Checkpoint",
    "LinearLayers",
    "Outputs",
    "Regressor",
    "StoredOutputs",
    "at_hand",
    "card",
    "load",
    "names",
    "outputs",
    "steps",
    "tasks",
    "verify",
]
