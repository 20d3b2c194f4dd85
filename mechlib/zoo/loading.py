"""From a name to a model in memory, with nothing loaded from a damaged file."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from mechlib import bridge
from mechlib.zoo.cards import Card, Checkpoint, card, names, unknown_model
from mechlib.zoo.decoder import Decoder


def load(name: str, *, step: int | None = None, device: str | torch.device = "auto") -> bridge.TransformerBridge:
    """A model in eval mode: one that ships with the book, or one of the Hugging Face hub or a local folder.

    Args:
        name: a name of ``names()``; or a hub name (``"gpt2"``, ``"EleutherAI/pythia-70m"``) or the path of a folder
            in the format of ``transformers``.
        step: a step of ``steps(name)``; the last one when left out. Step 0 is the untrained model. Only for models
            that ship with the book.
        device: ``"auto"`` takes CUDA where there is one.

    Raises:
        ValueError: for a name or step that is not there (the message gives the nearest ones), or a damaged file
            (the message names it; nothing is loaded).
        OSError: if a hub model cannot be had; the message gives the reason and lists the embedded models.
    """
    if name in names():
        found = card(name)
        weights = _weights(found, found.checkpoint(step))
        return bridge.native(found.shape, weights, name=name, device=device)
    if step is not None or difflib.get_close_matches(name, names(), cutoff=0.7):
        raise ValueError(f"{unknown_model(name, names())}; only these have steps")
    try:
        return bridge.from_transformers(name, device=device)
    except OSError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OSError(f"{unknown_model(name, names())}. The hub was asked for it too, and said: {reason}") from error


def _weights(model_card: Card, checkpoint: Checkpoint) -> dict[str, Tensor]:
    if checkpoint.step == 0:
        return Decoder(model_card.shape, model_card.recipe["seed"]).state_dict()
    return {key: value.float() for key, value in load_safetensors(_intact(model_card, checkpoint)).items()}


def _intact(model_card: Card, checkpoint: Checkpoint) -> bytes:
    file = model_card.folder / checkpoint.file
    if not file.is_file():
        raise ValueError(
            f"the weights file {file} is missing; reinstall the package, or train it again: {_retrain(model_card)}"
        )
    data = file.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != checkpoint.sha256:
        raise ValueError(
            f"the weights file {file} is damaged: sha256 {found[:12]}..., {len(data)} bytes, where the card says "
            f"{checkpoint.sha256[:12]}...; nothing was loaded. Reinstall the package, or train it again: "
            f"{_retrain(model_card)}"
        )
    return data


def _retrain(model_card: Card) -> str:
    return f"mechlib zoo train {model_card.name}"


def verify() -> Iterator[tuple[Path, str]]:
    """Every shipped weights file with ``"ok"`` or what is wrong with it."""
    for name in names():
        found = card(name)
        for checkpoint in found.checkpoints:
            if not checkpoint.file:
                continue
            try:
                _intact(found, checkpoint)
                yield found.folder / checkpoint.file, "ok"
            except ValueError as error:
                yield found.folder / checkpoint.file, str(error)
