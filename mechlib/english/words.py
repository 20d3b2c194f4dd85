"""Words for prompts: names of people, places and things, each of which most tokenizers have as one token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Encode = Callable[[str], Sequence[int]]
"""From a text to its token ids, such as ``model.tokenizer.encode``."""

_NAMES = """
Mary John Tom Anna James Sarah Paul Laura Peter Emma David Lisa Mark Susan Robert Alice Jane Henry Lucy Simon Maria
Daniel Michael Julia Thomas Helen George Kate Martin Rachel Steven Claire Jack Ruth Sam Amy Adam Oliver Charles
Elizabeth William Margaret Edward Catherine Richard Joseph Alex Max Rose Grace Andrew Kevin Linda Karen Nancy Carol
Emily Hannah Jacob Ben Luke Nick Tim Jim
"""
_PLACES = """
store station office garden school market park library kitchen beach museum restaurant hospital church bank hotel farm
river theater airport forest village castle bridge island factory gallery square lake zoo
"""
_THINGS = """
drink book letter key ring ball flower map coat basket necklace bone computer gift photo ticket box hat card camera
lamp cup knife rope coin bottle cake picture pen newspaper blanket chair guitar watch phone bag bell candle clock stone
"""

NAMES: tuple[str, ...] = tuple(_NAMES.split())
PLACES: tuple[str, ...] = tuple(_PLACES.split())
THINGS: tuple[str, ...] = tuple(_THINGS.split())


def single_tokens(words: Iterable[str], encode: Encode) -> tuple[str, ...]:
    """Those of the words that are one token after a space."""
    marks = len(encode(""))
    return tuple(word for word in words if len(encode(f" {word}")) == marks + 1)
