"""What lenses that are fitted to a model have in common: a matrix for every entry but the last, and a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.stream.lens_file import Origin, read, refuse_other_model, write


class FittedLens(ABC):
    """A linear or affine map for every residual stream entry but the last, which is left as it is, to the bit.

    Called on entries ``[entry, ..., d_model]`` it gives translated entries of the same shape, so it is an argument of
    ``logit_lens(..., lens=fitted)``.
    """

    TENSORS: ClassVar[tuple[str, ...]]
    """The fields that are tensors."""
    ORIGIN: ClassVar[type[Origin]]

    weight: Float[Tensor, "layer d_model d_model"]
    origin: Origin | None

    @abstractmethod
    def translated(self, entries: Float[Tensor, "layer row d_model"]) -> Float[Tensor, "layer row d_model"]:
        """What the maps make of the entries that they are for."""

    def __call__(self, entries: Float[Tensor, "entry *rest d_model"]) -> Float[Tensor, "entry *rest d_model"]:
        """The translated entries, in the precision of ``entries``; a half-precision stream is translated in single.

        Raises:
            ValueError: if ``entries`` has another number of entries or another ``d_model`` than the lens.
        """
        n_layers, d_model = self.weight.shape[:2]
        if entries.dim() < 2 or (len(entries), entries.shape[-1]) != (n_layers + 1, d_model):
            raise ValueError(
                f"this lens takes entries of shape [{n_layers + 1}, ..., {d_model}], not {list(entries.shape)}"
            )
        rows = entries[:-1].flatten(1, -2).to(torch.promote_types(entries.dtype, self.weight.dtype))
        translated = self.translated(rows).to(entries.dtype).view_as(entries[:-1])
        return torch.cat([translated, entries[-1:]])

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write the lens to a file of safetensors, with its origin and a checksum; the file is whole or not there.

        Raises:
            FileExistsError: if there is a file of that name, unless ``overwrite``.
            ValueError: if the lens was made by hand, so that there is no model to which it belongs.
        """
        if self.origin is None:
            raise ValueError("this lens has no origin: it was made by hand, and belongs to no model")
        if not overwrite and Path(path).exists():
            raise FileExistsError(f"{path} is there already: overwrite=True replaces it")
        write(Path(path), type(self).__name__, {name: getattr(self, name) for name in self.TENSORS}, self.origin)

    @classmethod
    def load(cls, path: Path | str, model: TransformerBridge, *, weights: str | None = None) -> Self:
        """The lens that was saved, on the device of the model that it was fitted to.

        ``weights`` is the :func:`mechlib.bridge.weights_digest` of the model, where it is known already.

        Raises:
            ValueError: if the model has other weights (the names and digests of both are given); or if the file is
                damaged, cut short, or was not written by :meth:`save`.
            OSError: if it cannot be opened.
        """
        require_bridge(model)
        tensors, facts = read(Path(path), cls.__name__)
        origin = cls.ORIGIN(**facts)
        refuse_other_model(Path(path), origin, model, weights)
        device = next(model.parameters()).device
        make: Callable[..., Self] = cls
        return make(**{name: tensors[name].to(device) for name in cls.TENSORS}, origin=origin)
