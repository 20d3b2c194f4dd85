"""What a browser needs to run models of the zoo: their weights as they ship, their sizes, and the tokeniser's table."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from mechlib import text, zoo
from mechlib.zoo.files import require_intact

LANGUAGE = ("code-2l", "code-4l-mlp")
"""The language models of the page; the first is there at once, the others when they are asked for."""
REGRESSION = "icl-linear-3l"
"""The model of regression."""


def weights(name: str) -> bytes:
    """The weights of a model that ships, a safetensors file in half precision: the file of the zoo itself.

    Nothing is rounded for the page, since the zoo keeps half precision: what the browser computes differs from
    ``zoo.load(name)`` by the order of sums alone.

    Raises:
        ValueError: for an unknown name, or a file that is missing or not what its card says.
    """
    card = zoo.card(name)
    file = card.checkpoint(None).file
    require_intact(card, file)
    return (card.folder / file).read_bytes()


def described(name: str) -> dict[str, Any]:
    """A model for the browser: ``shape``, its sizes by their names, and ``bytes``, the size of its file.

    Raises:
        ValueError: for an unknown name, or a model that the browser does not run: a population, or one of regression
            with other tokens or attention, or without norms or MLPs.
    """
    card = zoo.card(name)
    sizes = asdict(card.shape)
    if card.kind == "regression":
        population, sizes = sizes["n_models"], sizes["sizes"]
        needed = {"tokens": "paired", "attention": "softmax", "norm": True, "d_mlp": None}
        if population != 1 or any(sizes.get(key, ...) != value for key, value in needed.items()):
            raise ValueError(f"the browser runs a single model with {needed}; {name} is {population} with {sizes}")
    return {"shape": sizes, "bytes": (card.folder / card.checkpoint(None).file).stat().st_size}


def tokenizer() -> dict[str, list[int]]:
    """The tokeniser as a table: ``alphabet``, the bytes of the ids from 1 on, and ``merges``, pairs of ids end to end.

    The pair of rank ``r`` becomes the id ``1 + 256 + r``, so that a table of pairs is all that is needed.

    Raises:
        ValueError: if the tokeniser has ids in another order.
    """
    told = json.loads(text.tokenizer().to_str())["model"]
    ids, merges = told["vocab"], [tuple(pair) for pair in told["merges"]]
    alphabet = sorted(_byte_of(), key=ids.__getitem__)
    expected = [*alphabet, *("".join(pair) for pair in merges)]
    if [ids[token] for token in expected] != list(range(1, len(ids))):
        raise ValueError("the ids of the tokeniser are not BOS, the bytes, and the merges in their order")
    return {
        "alphabet": [_byte_of()[sign] for sign in alphabet],
        "merges": [ids[part] for pair in merges for part in pair],
    }


def _byte_of() -> dict[str, int]:
    """The byte that each sign of a byte-level vocabulary stands for: itself where it prints, else one from 256 on."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {chr(256 + n): byte for n, byte in enumerate(others)}
