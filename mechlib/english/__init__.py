"""English for models that learned it: prose of our own, words, and prompts with a right answer.

>>> from mechlib import english
>>> len(english.paragraphs())
24
>>> english.TEMPLATES[0].format(first="Mary", second="John", place="store", giver="John", thing="book")
'When Mary and John went to the store, John gave the book to'

Nothing here was in the training data of any model, unless that has read this book. More text that every installation
has is in :func:`mechlib.text.docstrings`.
"""

from functools import cache
from importlib import resources

from mechlib.english.indirect_objects import TEMPLATES, IndirectObjects, indirect_objects
from mechlib.english.words import NAMES, PLACES, THINGS, Encode, single_tokens

__all__ = [
    "NAMES",
    "PLACES",
    "TEMPLATES",
    "THINGS",
    "Encode",
    "IndirectObjects",
    "indirect_objects",
    "paragraphs",
    "single_tokens",
]


@cache
def paragraphs() -> tuple[str, ...]:
    """Short pieces of prose that were written for this book, about 100 words each: each is a text of its own."""
    text = resources.files("mechlib").joinpath("english", "prose.txt").read_text(encoding="utf-8")
    return tuple(text.strip().split("\n\n"))
