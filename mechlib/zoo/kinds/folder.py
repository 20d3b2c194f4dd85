"""Models made elsewhere: a folder as ``transformers`` writes it, with a card that says what each of its files is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mechlib import bridge
from mechlib.zoo import files
from mechlib.zoo.cards import Card
from mechlib.zoo.kinds.kind import Kind

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model of ``transformers``."""

    model_type: str
    """The kind of model as ``transformers`` names it, such as ``"llama"``."""
    n_layers: int
    d_model: int
    n_heads: int
    n_ctx: int
    d_vocab: int

    @classmethod
    def told_by(cls, config: PretrainedConfig) -> Sizes:
        """The sizes that a configuration of ``transformers`` tells."""
        return cls(
            model_type=config.model_type,
            n_layers=config.num_hidden_layers,
            d_model=config.hidden_size,
            n_heads=config.num_attention_heads,
            n_ctx=config.max_position_embeddings,
            d_vocab=config.vocab_size,
        )


class Folder(Kind):
    """Weights, configuration and tokenizer in one folder, read by :func:`mechlib.bridge.from_transformers`.

    Every file must be named on the card: one that is not would be read too, and nothing would vouch for it.
    """

    word = "folder"
    columns = ("type", "layers", "d_model", "heads", "context")
    legend = "Made elsewhere; their cards say by whom, and under which licence."

    def shape(self, fields: dict[str, Any]) -> Sizes:
        return Sizes(**fields)

    def sizes(self, card: Card) -> tuple[object, ...]:
        shape = card.shape
        return shape.model_type, shape.n_layers, shape.d_model, shape.n_heads, shape.n_ctx

    def load(
        self, card: Card, step: int | None, *, device: str | torch.device, dtype: torch.dtype
    ) -> bridge.TransformerBridge:
        if step is not None:
            raise ValueError(f"{card.name} has one set of weights and no steps of training, so not step {step}")
        require_parts(card)
        model = bridge.from_transformers(card.folder, device=device, dtype=dtype)
        model.cfg.model_name = card.name
        return model


def require_parts(card: Card) -> None:
    """Refuse a folder that is not what its card says.

    Raises:
        ValueError: if a file is missing or damaged, or there is one that the card does not name.
    """
    for name in card.parts:
        files.require_intact(card, name)
    if unnamed := sorted(set(parts_of(card.folder)) - set(card.parts)):
        raise ValueError(
            f"{card.folder} holds {', '.join(unnamed)}, which the card of {card.name} does not name; nothing was "
            "loaded. Take it away, or describe the folder again"
        )


NOT_TRAINED_HERE: dict[str, Any] = {"recipe": {}, "metrics": {}, "checkpoints": (), "log": {}}


def describe(
    folder: str | Path,
    *,
    name: str,
    about: str,
    source: str,
    licence: str,
    attribution: str,
    notes: tuple[str, ...] = (),
    data: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Card:
    """Write the card of a folder that ``save_pretrained`` filled: its sizes, and the hash of every file as it is now.

    Args:
        source: where the model comes from, in words that help to get it again.
        licence: the SPDX identifier, such as ``"Apache-2.0"``.
        attribution: who made it, in the words that the licence asks for.
        data: what else is known of where it is from.
        versions: of the packages that the folder was made with.

    Raises:
        ValueError: if ``folder`` holds no configuration of ``transformers`` or no weights in safetensors; if source,
            licence or attribution is empty.
    """
    from transformers import AutoConfig  # takes seconds, which cards alone do not need

    folder = Path(folder)
    parts = {file: files.sha256(folder / file) for file in parts_of(folder)}
    if "config.json" not in parts or not any(file.endswith(".safetensors") for file in parts):
        raise ValueError(
            f"a folder of transformers has a config.json and weights in safetensors; {folder} has "
            f"{', '.join(parts) or 'no files'}"
        )
    told = {"source": source, "licence": licence, "attribution": attribution}
    if empty := [key for key, words in told.items() if not words.strip()]:
        raise ValueError(f"the card of {name} needs {' and '.join(empty)}")
    card = Card(
        name=name,
        about=about,
        shape=Sizes.told_by(AutoConfig.from_pretrained(folder)),
        notes=notes,
        data=dict(data or {}),
        versions=dict(versions or {}),
        folder=folder,
        kind=Folder.word,
        parts=parts,
        source=source,
        licence=licence,
        attribution=attribution,
        **NOT_TRAINED_HERE,
    )
    card.write()
    return card


def parts_of(folder: Path) -> list[str]:
    """What ``transformers`` may read: every file but the card and hidden ones, those of folders inside it too."""
    found = (file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.is_file())
    return [file.as_posix() for file in found if file.name != "card.json" and not file.name.startswith(".")]
