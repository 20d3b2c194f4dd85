"""What the places of a transformer are called: the entries of its residual stream, and its heads."""

from __future__ import annotations

__all__ = ["Head", "entry_names", "require_head"]

Head = tuple[int, int]
"""``(layer, head)``, both counted from 0."""


def entry_names(n_layers: int) -> tuple[str, ...]:
    """The names of the ``n_layers + 1`` entries: the embedding, then each layer, after which the stream is read."""
    return ("embedding", *(f"layer {layer}" for layer in range(n_layers)))


def require_head(layer: int, head: int, *, n_layers: int, n_heads: int) -> None:
    """Refuse a head that a model of these sizes does not have.

    Raises:
        ValueError: with the heads that there are.
    """
    if not (0 <= layer < n_layers and 0 <= head < n_heads):
        raise ValueError(
            f"there is no head {head} in layer {layer}: layers are 0 to {n_layers - 1}, heads 0 to {n_heads - 1}"
        )
