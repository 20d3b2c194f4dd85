"""From a name to a model in memory, with nothing loaded from a damaged file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from jaxtyping import Float
from torch import Tensor

from mechlib import bridge
from mechlib.zoo import files
from mechlib.zoo.cards import Card
from mechlib.zoo.fetched import SOURCES, Source, card_of, fetch, folder_of, not_fetched
from mechlib.zoo.kinds import kind_named
from mechlib.zoo.reading import read_card
from mechlib.zoo.recipe import unknown_model
from mechlib.zoo.regressors import RegressionModel
from mechlib.zoo.shelf import card, names


def load(
    name: str | Path,
    *,
    step: int | None = None,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
) -> bridge.TransformerBridge | RegressionModel:
    """A model in eval mode: one that ships with the book, one that is fetched, one of the Hugging Face hub or a folder.

    A model of ``mechlib.zoo.fetched``, such as ``"smollm2-135m"``, is fetched when it is loaded first and not there,
    with a line for each step; where ``HF_HUB_OFFLINE`` forbids to download, its absence is an error.

    A language model is a bridge of TransformerLens. A model of ``names("regression")`` is a function of ``x`` and
    ``y``: an ``icl.ICLTransformer``, possibly a population, of which ``select`` takes one, or an
    ``icl.LinearSelfAttention``.

    Args:
        name: a name of ``names()`` or ``fetched.SOURCES``; or a hub name (``"gpt2"``, ``"EleutherAI/pythia-70m"``) or
            the path of a folder in the format of ``transformers``; or that of a folder with a card, such as a finished
            run of ``mechlib zoo train``.
        step: a step of ``steps(name)``; the last one when left out. Step 0 is the untrained model. Only for models
            with a card.
        device: ``"auto"`` takes CUDA where there is one.
        dtype: of the weights in memory, whatever they are stored in.

    Raises:
        ValueError: for a name or step that is not there (the message gives the nearest ones), or a damaged file
            (the message names it; nothing is loaded); for a model of ``transformers`` that the bridge does not compute
            as ``transformers`` does (:func:`mechlib.bridge.from_transformers`).
        OSError: if a hub model cannot be had; the message gives the reason and lists the embedded models. If a model
            is not there and cannot be fetched; the message gives the command.
    """
    if found := _card_of(name):
        model: Any = kind_named(found.kind).load(found, step, device=device, dtype=dtype)
        return model
    if step is not None:
        raise ValueError(f"{unknown_model(str(name), names())}; only these have steps")
    known = [*names(), *SOURCES]
    if difflib.get_close_matches(str(name), known, cutoff=0.7):
        raise ValueError(unknown_model(str(name), known))
    try:
        return bridge.from_transformers(name, device=device, dtype=dtype)
    except OSError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OSError(f"{unknown_model(str(name), known)}. The hub was asked for it too, and said: {reason}") from error


def _card_of(name: str | Path) -> Card | None:
    """The card of a shipped model, of one that is fetched, now if it was not before, or of a folder that has one."""
    if name in names():
        return card(str(name))
    if source := SOURCES.get(str(name)):
        return card_of(source) or _fetched_now(source)
    return read_card(Path(name)) if Path(name, "card.json").is_file() else None


def _fetched_now(source: Source) -> Card:
    if constants.HF_HUB_OFFLINE:
        raise not_fetched(source)
    return fetch(source)


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
        having = [other for other in names() if card(other).outputs]
        raise ValueError(f"{name} has no stored outputs; those that have: {', '.join(having)}")
    return Outputs(steps=found.outputs.steps, **files.tensors(found, found.outputs.file))


def verify() -> Iterator[tuple[Path, str]]:
    """Every file of a model that ships or has been fetched, with ``"ok"`` or what is wrong with it."""
    for name in names():
        yield from _verified(card(name))
    for source in SOURCES.values():
        try:
            if found := card_of(source):
                yield from _verified(found)
        except ValueError as error:
            yield folder_of(source), str(error)


def _verified(found: Card) -> Iterator[tuple[Path, str]]:
    for file in found.files:
        try:
            files.require_intact(found, file)
            yield found.folder / file, "ok"
        except ValueError as error:
            yield found.folder / file, str(error)
