"""The circuit explorer: a picture of a circuit whose edges can be cut, with what the model does then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import anywidget
import numpy as np
import traitlets
from jaxtyping import Float
from numpy.typing import ArrayLike

from mechlib.widgets import assets

MOST = 9
"""Edges of a picture: every set of them has its numbers, 512 at most."""

DIGITS = 3


class Place(NamedTuple):
    """Where something stands in the picture."""

    column: int
    """The token, from the left."""
    level: int
    """0 at the tokens, higher further up."""
    name: str
    """What is written there, such as ``"0.3"``; a few letters."""


class Path(NamedTuple):
    """An edge of the picture, or several that are cut together."""

    start: str
    """A key of the places."""
    end: str
    """Another."""
    about: str
    """What runs along it, in a few words."""


class CircuitExplorer(anywidget.AnyWidget):
    """A circuit above the tokens of a prompt. Paths light up; each can be cut, and the numbers follow."""

    _esm = assets.script("circuit")
    _css = assets.style("circuit")

    data = traitlets.Dict().tag(sync=True)
    """``tokens``, ``places``, ``paths`` and ``values``: for every way of cutting and every measure one number for each
    set of cut paths, the path number ``i`` counting ``2 ** i``; ``ways`` and ``measures`` in their order; ``percent``
    and ``rest`` as given."""
    cut = traitlets.Int(0).tag(sync=True)
    """The paths that are cut, as the sum of their ``2 ** i``."""
    path = traitlets.Int(-1).tag(sync=True)
    """The path that lights up; -1 for none."""
    way = traitlets.Int(0).tag(sync=True)
    """Place of the selected way of cutting."""


def circuit_explorer(
    tokens: Sequence[str],
    places: Mapping[str, Place],
    paths: Sequence[Path],
    values: Mapping[str, Mapping[str, Float[ArrayLike, " cuts"]]],
    *,
    percent: Sequence[str] = (),
    rest: str = "",
) -> CircuitExplorer:
    """A widget that shows a circuit, and what its model does with any of its paths cut.

    Args:
        tokens: what stands below the columns, in their order; up to about six.
        places: heads and the output, by keys that the paths name.
        paths: the paths, at most ``MOST``.
        values: by the way of cutting, such as ``"mean"``, and by measure, ``2 ** len(paths)`` numbers; number ``n`` is
            that with those paths cut whose bits are set in ``n``.
        percent: the measures that are shares.
        rest: a sentence on what the paths that are not in the picture do.

    Raises:
        ValueError: if there are no paths or too many, a path leads from or to no place, a place stands above no token,
            two ways have other measures, or a measure has another number of values or values that are not finite.
    """
    if not 1 <= len(paths) <= MOST:
        raise ValueError(f"a picture has 1 to {MOST} paths, got {len(paths)}")
    for path in paths:
        if not {path.start, path.end} <= set(places):
            raise ValueError(
                f"a path leads from one of {list(places)} to another, not from {path.start!r} to {path.end!r}"
            )
    if out := [key for key, place in places.items() if not 0 <= place.column < len(tokens)]:
        raise ValueError(f"{out[0]!r} stands in column {places[out[0]].column}, and there are {len(tokens)} tokens")
    measures = {way: list(of_way) for way, of_way in values.items()}
    if not values or len({tuple(names) for names in measures.values()}) != 1 or not next(iter(measures.values())):
        raise ValueError(f"every way of cutting has the same measures, one at least, got {measures}")
    numbers = {
        way: {name: _checked(f"{name!r} of {way!r}", given, 2 ** len(paths)) for name, given in of_way.items()}
        for way, of_way in values.items()
    }
    return CircuitExplorer(
        data={
            "tokens": list(tokens),
            "places": {key: place._asdict() for key, place in places.items()},
            "paths": [path._asdict() for path in paths],
            "ways": list(values),  # a page keeps the keys of what it is given in the order of the alphabet
            "measures": next(iter(measures.values())),
            "values": numbers,
            "percent": list(percent),
            "rest": rest,
        }
    )


def _checked(what: str, given: ArrayLike, n: int) -> list[float]:
    array = np.asarray(given, dtype=float)
    if array.shape != (n,):
        raise ValueError(f"{what} needs {n} numbers, one for each set of cut paths, got the shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} holds numbers that are not finite")
    return array.round(DIGITS).tolist()
