"""The tuned lens of a language model, fitted once from a recipe and kept in the user's cache.

The name of its file has the digests of the model's weights and of the recipe, so that another model, or another recipe,
is another file. The text is docstrings of the standard library, so that a fit needs no network; on another version of
Python it is a fit to slightly other text, which the lens's origin tells.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib import text
from mechlib.bridge import TransformerBridge, require_bridge, weights_digest
from mechlib.files import one_process
from mechlib.stream.tuned_lens import TunedLens, fit_tuned_lens
from mechlib.zoo.at_hand import or_say
from mechlib.zoo.fetched import cache_folder

__all__ = ["RECIPES", "LensRecipe", "keep_tuned_lens", "load_tuned_lens", "tuned_lens_at_hand"]

Say = Callable[[str], object]


@dataclass(frozen=True)
class LensRecipe:
    """How a tuned lens is fitted that is kept: by least squares alone, on docstrings of the standard library."""

    n_rows: int
    """Passages, each of another document where there are enough."""
    length: int
    """Tokens of each; fewer where the model's context is shorter."""
    ridge: float
    judged: int
    """Passages by which a map is kept, as for :func:`mechlib.stream.fit_tuned_lens`."""

    @property
    def digest(self) -> str:
        """The sha256 of the settings."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def passages(self, model: TransformerBridge, split: text.Split = "train") -> Int[Tensor, "row pos"]:
        """Passages that begin as the model's tokenizer begins every text, and are not longer than its context.

        Raises:
            ValueError: if the model has no tokenizer.
        """
        if model.tokenizer is None:
            raise ValueError(f"{_name(model)} has no tokenizer, and what a kept lens is fitted to is text")
        encode = partial(model.tokenizer.encode, verbose=False)
        marks = torch.tensor(encode(""), dtype=torch.long)
        length = min(self.length, model.cfg.n_ctx) - len(marks)

        def tokens(document: str) -> Int[Tensor, " pos"]:
            return torch.tensor(encode(document, add_special_tokens=False), dtype=torch.long)

        rows = text.rows(text.docstrings(split), n_rows=self.n_rows, length=length, encode=tokens)
        return torch.cat([marks.expand(len(rows), -1), rows], 1)

    def fit(self, model: TransformerBridge, rows: Int[Tensor, "row pos"]) -> TunedLens:
        """The lens of the passages. Errors as :func:`mechlib.stream.fit_tuned_lens`."""
        judged = min(self.judged, len(rows))
        return fit_tuned_lens(model, rows, start="least-squares", steps=0, ridge=self.ridge, judged=judged)


RECIPES: dict[str, LensRecipe] = {
    "short": LensRecipe(n_rows=32, length=64, ridge=1e-2, judged=1),
    "long": LensRecipe(n_rows=128, length=96, ridge=1e-3, judged=4),
}
"""By name."""


def load_tuned_lens(model: TransformerBridge, recipe: str = "short") -> TunedLens:
    """The tuned lens that was fitted to the model with ``mechlib zoo lens`` or :func:`keep_tuned_lens`.

    The weights are compared by their digest, which takes seconds on the real model; nothing is fitted.

    Args:
        model: with the weights that it was fitted to, in single precision if that is how it was loaded then.
        recipe: a name of ``RECIPES``.

    Raises:
        FileNotFoundError: if there is none; the message gives the command.
        ValueError: for another name of a recipe; if the file is damaged, which the message names.
    """
    require_bridge(model)
    chosen, weights = _checked(recipe), weights_digest(model)
    path = _place(model, weights, chosen)
    if not os.path.lexists(path):
        raise FileNotFoundError(
            f"no tuned lens of {_name(model)} with weights {weights[:12]}... in {model.W_U.dtype} is on this machine; "
            f"fit it once: {_command(model, recipe)}"
        )
    try:
        return TunedLens.load(path, model, weights=weights)
    except ValueError as error:
        raise ValueError(f"{error}; fit the lens again: {_command(model, recipe)}") from error


def tuned_lens_at_hand(model: TransformerBridge, recipe: str = "short") -> TunedLens | None:
    """:func:`load_tuned_lens` for a notebook: ``None``, and a line that says what to run, where the lens is absent.

    Raises:
        FileNotFoundError: if it is absent and the environment has ``CI=true``.
        ValueError: as in :func:`load_tuned_lens`.
    """
    return or_say(lambda: load_tuned_lens(model, recipe))


def keep_tuned_lens(model: TransformerBridge, recipe: str = "short", *, say: Say = print) -> TunedLens:
    """The tuned lens of the model from the user's cache; where it is not there, or damaged, it is fitted and kept.

    The file is whole or not there. A second process waits for the first.

    Args:
        say: is given a line for each step.

    Raises:
        OSError: if the cache cannot be written.
        ValueError: for another name of a recipe; if the model has no tokenizer, or no context for the passages.
    """
    require_bridge(model)
    chosen, weights = _checked(recipe), weights_digest(model)
    path = _place(model, weights, chosen)
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = partial(say, f"Another process is fitting {path.name}; waiting for it.")
    with one_process(path.with_name(f".{path.name}.lock"), waiting):
        lens = _intact(path, model, weights, say)
        if lens is None:
            rows = chosen.passages(model)
            say(f"Fitting the tuned lens of {_name(model)} to {rows.numel()} tokens of docstrings ...")
            lens = chosen.fit(model, rows)
            lens.save(path, overwrite=True)
    say(f"The tuned lens of {_name(model)} is {path}.")
    return lens


def _checked(recipe: str) -> LensRecipe:
    if recipe not in RECIPES:
        raise ValueError(f"recipe is one of {', '.join(RECIPES)}, not {recipe!r}")
    return RECIPES[recipe]


def _place(model: TransformerBridge, weights: str, recipe: LensRecipe) -> Path:
    """The file of a lens of the model with these weights."""
    name = re.sub(r"[^\w.-]+", "-", Path(_name(model)).name)
    return cache_folder() / "lenses" / f"{name}-tuned-{weights[:16]}-{recipe.digest[:16]}.safetensors"


def _name(model: TransformerBridge) -> str:
    return str(model.cfg.model_name)


def _command(model: TransformerBridge, recipe: str) -> str:
    return f"mechlib zoo lens {shlex.quote(_name(model))} --recipe {recipe}"


def _intact(path: Path, model: TransformerBridge, weights: str, say: Say) -> TunedLens | None:
    """The lens in the file; ``None`` if there is none, or it is damaged, which is said."""
    if not os.path.lexists(path):
        return None
    try:
        return TunedLens.load(path, model, weights=weights)
    except ValueError as error:
        say(f"Replacing the tuned lens: {error}")
        return None
