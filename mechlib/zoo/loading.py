"""From a name to a model in memory, with nothing loaded from a damaged file."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load as load_safetensors
from torch import Tensor

from mechlib import bridge, text
from mechlib.zoo.cards import Card, Checkpoint, card, names, unknown_model
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.regressors import RegressionModel, Regressor


def load(
    name: str, *, step: int | None = None, device: str | torch.device = "auto", dtype: torch.dtype = torch.float32
) -> bridge.TransformerBridge | RegressionModel:
    """A model in eval mode: one that ships with the book, or one of the Hugging Face hub or a local folder.

    A language model is a bridge of TransformerLens. A model of ``names("regression")`` is an
    ``icl.models.ICLTransformer`` or an ``icl.linear_attention.LinearSelfAttention``: a function of ``x`` and ``y``, and
    possibly a population, of which ``select`` takes one.

    Args:
        name: a name of ``names()``; or a hub name (``"gpt2"``, ``"EleutherAI/pythia-70m"``) or the path of a folder
            in the format of ``transformers``.
        step: a step of ``steps(name)``; the last one when left out. Step 0 is the untrained model. Only for models
            that ship with the book.
        device: ``"auto"`` takes CUDA where there is one.
        dtype: of the weights in memory, whatever they are stored in.

    Raises:
        ValueError: for a name or step that is not there (the message gives the nearest ones), or a damaged file
            (the message names it; nothing is loaded); for a model of ``transformers`` that the bridge does not compute
            as ``transformers`` does (:func:`mechlib.bridge.from_transformers`).
        OSError: if a hub model cannot be had; the message gives the reason and lists the embedded models.
    """
    if name in names():
        found = card(name)
        if isinstance(found.shape, Regressor):
            return _regression(found, found.checkpoint(step)).to(bridge.resolve_device(device), dtype).eval()
        weights = _weights(found, found.checkpoint(step))
        model = bridge.native(found.shape, weights, name=name, device=device, tokenizer=text.for_transformers)
        return model.to(dtype=dtype, print_details=False)
    if step is not None or difflib.get_close_matches(name, names(), cutoff=0.7):
        raise ValueError(f"{unknown_model(name, names())}; only these have steps")
    try:
        return bridge.from_transformers(name, device=device, dtype=dtype)
    except OSError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OSError(f"{unknown_model(name, names())}. The hub was asked for it too, and said: {reason}") from error


@dataclass(frozen=True)
class Outputs:
    """What the models of a population predicted while they trained, all on the same prompts."""

    steps: tuple[int, ...]
    """Number of updates, ascending from 0."""
    x: Float[Tensor, "batch n_points d"]
    y: Float[Tensor, "batch n_points"]
    """Of fresh Gaussian tasks, with the noise of training."""
    predictions: Float[Tensor, "checkpoint model batch n_points"]


def outputs(name: str) -> Outputs:
    """The stored predictions of a population at many steps of its training.

    Raises:
        ValueError: if the model has none, the name is unknown, or the file is damaged.
    """
    found = card(name)
    if found.outputs is None:
        having = [other for other in names("regression") if card(other).outputs]
        raise ValueError(f"{name} has no stored outputs; those that have: {', '.join(having)}")
    return Outputs(steps=found.outputs.steps, **_read(found, found.outputs.file))


def _weights(model_card: Card, checkpoint: Checkpoint) -> dict[str, Tensor]:
    if checkpoint.step == 0:
        return Decoder(model_card.shape, model_card.recipe["seed"]).state_dict()
    return _read(model_card, checkpoint.file)


def _regression(model_card: Card, checkpoint: Checkpoint) -> RegressionModel:
    model = model_card.shape.build(model_card.recipe["seed"])
    if checkpoint.step:
        model.load_state_dict(_read(model_card, checkpoint.file))
    return model


def _read(model_card: Card, name: str) -> dict[str, Tensor]:
    return {key: value.float() for key, value in load_safetensors(_intact(model_card, name)).items()}


def _intact(model_card: Card, name: str) -> bytes:
    file = model_card.folder / name
    if not file.is_file():
        raise ValueError(
            f"the weights file {file} is missing; reinstall the package, or train it again: {_retrain(model_card)}"
        )
    data = file.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != (told := model_card.files[name]):
        raise ValueError(
            f"the weights file {file} is damaged: sha256 {found[:12]}..., {len(data)} bytes, where the card says "
            f"{told[:12]}...; nothing was loaded. Reinstall the package, or train it again: "
            f"{_retrain(model_card)}"
        )
    return data


def _retrain(model_card: Card) -> str:
    return f"mechlib zoo train {model_card.name}"


def verify() -> Iterator[tuple[Path, str]]:
    """Every shipped file of weights or outputs with ``"ok"`` or what is wrong with it."""
    for name in names():
        found = card(name)
        for file in found.files:
            try:
                _intact(found, file)
                yield found.folder / file, "ok"
            except ValueError as error:
                yield found.folder / file, str(error)
