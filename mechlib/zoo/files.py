"""Files of weights: what they keep of a model, and that nothing is read from a damaged one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load, save_file
from torch import Tensor, nn

from mechlib.zoo.cards import Card


def sha256(file: Path) -> str:
    """The hash of a file, as cards keep it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def save_half(weights: Mapping[str, Tensor], file: Path) -> str:
    """Write weights in half precision, and return the hash of the file."""
    save_file({name: value.half().cpu().contiguous() for name, value in weights.items()}, file)
    return sha256(file)


def weights_once(model: nn.Module) -> dict[str, Tensor]:
    """Every weight of a model once: one that several modules share stands under the first of its names."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def put(weights: Mapping[str, Tensor], model: nn.Module) -> None:
    """Give ``model`` the weights that :func:`weights_once` took of one like it."""
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(p), name) for name, p in model.named_parameters(remove_duplicate=False)}
    model.load_state_dict({name: weights[once] for name, once in names.items()})


def tensors(card: Card, name: str) -> dict[str, Tensor]:
    """What a file of a card holds, in single precision.

    Raises:
        ValueError: if the file is missing or not what the card says; nothing is read from it then.
    """
    data = _present(card, name).read_bytes()
    _require(card, name, hashlib.sha256(data).hexdigest())
    return {key: value.float() for key, value in load(data).items()}


def require_intact(card: Card, name: str) -> None:
    """Refuse a file that is missing or not what its card says.

    Raises:
        ValueError: with the file, and with what mends it.
    """
    _require(card, name, sha256(_present(card, name)))


def _present(card: Card, name: str) -> Path:
    file = card.folder / name
    if not file.is_file():
        raise ValueError(f"the weights file {file} is missing; {_remedy(card)}")
    return file


def _require(card: Card, name: str, found: str) -> None:
    if found != (told := card.files[name]):
        file = card.folder / name
        raise ValueError(
            f"the weights file {file} is damaged: sha256 {found[:12]}..., {file.stat().st_size} bytes, where the card "
            f"says {told[:12]}...; nothing was loaded; {_remedy(card)}"
        )


def _remedy(card: Card) -> str:
    if card.source:
        return f"get it again from {card.source}"
    return f"reinstall the package, or train it again: mechlib zoo train {card.name}"
