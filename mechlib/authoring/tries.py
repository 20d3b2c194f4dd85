"""A link into the playground, at a room that is set up: the role ``{try}`` of the book's texts.

``{try}`words <room?trait=value&...>``` names a room and some of its traits as a query of an address does. The page
takes them from the address, and the room opens with them.
"""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, quote, urlencode

import traitlets

from mechlib.widgets.playground import served

__all__ = ["ROLE", "linked"]

ROLE = "try"
PAGE = "book/playground.html"
CONTENT = re.compile(r"(?P<words>[^<>]+?)\s*<(?P<room>\w+)(?:\?(?P<traits>[^<>]*))?>")
FURNISHED = frozenset({"models", "base", "weights", "wanted", "tokenizer", "passages"})
"""Traits that belong to the room and not to its visitor."""


def linked(content: str) -> tuple[str, str]:
    """The words of a link into the playground and its address from the root of the pages.

    Raises:
        ValueError: if the content has another form, or names a room, a trait or a value that there is not.
    """
    told = CONTENT.fullmatch(content)
    if told is None:
        raise ValueError(f"a link into the playground is 'words <room?trait=value>', got {content!r}")
    if told["room"] not in served.ROOMS:
        raise ValueError(f"the playground has the rooms {', '.join(served.ROOMS)}, not {told['room']!r}")
    traits = parse_qsl(told["traits"] or "", keep_blank_values=True, strict_parsing=bool(told["traits"]))
    for name, value in traits:
        _check(told["room"], name, value)
    query = urlencode([("room", told["room"]), *traits], quote_via=quote)
    return told["words"], f"{PAGE}?{query}#room-{told['room']}"


def _check(room: str, name: str, value: str) -> None:
    """That a room has a trait that takes a value."""
    kind = served.ROOMS[room]
    ours = [trait for trait in served.own_traits(kind) if trait not in FURNISHED]
    if name not in ours:
        raise ValueError(f"the room {room!r} has the traits {', '.join(ours)}, not {name!r}")
    trait = kind.class_traits()[name]
    try:
        trait.validate(traitlets.HasTraits(), value if isinstance(trait, traitlets.Unicode) else json.loads(value))
    except (json.JSONDecodeError, traitlets.TraitError) as error:
        raise ValueError(f"the trait {name!r} of the room {room!r} does not take {value!r}: {error}") from error
