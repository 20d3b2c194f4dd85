"""A fitted lens as a file: tensors in the format of safetensors, and with them the model that they belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mechlib.bridge import TransformerBridge, weights_digest
from mechlib.files import written_whole
from mechlib.stream.entries import Mask

__all__ = ["Origin", "read", "refuse_other_model", "write"]

VERSION = 1


@dataclass(frozen=True)
class Origin:
    """What a lens was fitted to, and how."""

    model: str
    """The name of the model."""
    weights: str
    """Its :func:`mechlib.bridge.weights_digest`."""
    tokens: str
    """The sha256 of the token ids at the positions that are no pads, row by row."""
    n_tokens: int
    """How many they are."""

    @classmethod
    def of(cls, model: TransformerBridge, tokens: Int[Tensor, "batch pos"], attention_mask: Mask, **how: Any) -> Self:
        """That of a lens fitted to the model on these tokens, with the settings of its kind of lens."""
        mask = torch.ones_like(tokens) if attention_mask is None else torch.as_tensor(attention_mask)
        rows = [row[kept] for row, kept in zip(tokens.cpu(), mask.cpu().bool(), strict=True)]
        digest = hashlib.sha256()
        for row in rows:
            digest.update(f"{len(row)} ".encode() + row.to(torch.int64).numpy().astype("<i8", copy=False).tobytes())
        return cls(_name(model), weights_digest(model), digest.hexdigest(), sum(map(len, rows)), **how)


def write(path: Path, kind: str, tensors: Mapping[str, Tensor], origin: Origin) -> None:
    """Write the file of a ``kind`` of lens, whole or not at all. The metadata are one JSON text."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    facts = {"version": VERSION, "origin": asdict(origin), "sha256": _digest(held, asdict(origin))}
    with written_whole(path) as stream:
        stream.write(save(held, {_key(kind): json.dumps(facts, sort_keys=True)}))


def read(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts of the origin that were written; nothing that happens to the file later reaches them.

    Raises:
        ValueError: if the file is damaged, cut short, of another format or of a later version; it is named.
        OSError: if it cannot be opened.
    """
    path.open("rb").close()  # what is missing or may not be read is the system's to say
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        facts = json.loads(metadata.get(_key(kind), "null"))
    except (SafetensorError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged, or no file of safetensors ({error}); nothing was loaded") from error
    if not isinstance(facts, dict) or "version" not in facts:
        held = ", ".join(sorted(tensors)[:3]) or "nothing"
        raise ValueError(f"{path} is a file of safetensors that {kind}.save did not write: it holds {held}")
    if facts["version"] != VERSION:
        raise ValueError(f"{path} has version {facts['version']} of the format; this mechlib reads version {VERSION}")
    if (found := _digest(tensors, facts.get("origin"))) != facts.get("sha256"):
        told = str(facts.get("sha256"))
        raise ValueError(
            f"{path} is damaged: what it holds has sha256 {found[:12]}..., and {told[:12]}... was written; nothing was "
            "loaded"
        )
    return tensors, facts["origin"]


def refuse_other_model(path: Path, origin: Origin, model: TransformerBridge, weights: str | None = None) -> None:
    """Refuse a model with other weights than those that the lens in the file was fitted to.

    Raises:
        ValueError: with the names and digests of both.
    """
    if (found := weights or weights_digest(model)) != origin.weights:
        raise ValueError(
            f"{path} holds a lens of {origin.model!r} with weights {origin.weights[:12]}..., and the model given "
            f"is {_name(model)!r} with weights {found[:12]}...: a lens reads the weights that it was fitted to, at "
            "their step and in their precision"
        )


def _key(kind: str) -> str:
    return f"mechlib.{kind}"


def _name(model: TransformerBridge) -> str:
    return str(model.cfg.model_name)


def _digest(tensors: Mapping[str, Tensor], origin: object) -> str:
    digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
