"""The one door to TransformerLens: nothing else in the book imports it.

TransformerLens changes its interface at every major version, so what the book needs of it stands here, under names of
our own: small models built from sizes, and pretrained models by name or from a local folder. Everything returned is a
``TransformerBridge`` in eval mode; its methods (``run_with_cache``, ``hooks``, ``W_U`` ...) are used directly. Every
function of the library that reads such a model raises ``TypeError`` when it is given another object in its place.
"""

from transformer_lens import FactoredMatrix
from transformer_lens.model_bridge import TransformerBridge

from mechlib.bridge.control import shuffled, untrained
from mechlib.bridge.native import NativeBridge, Shape, native
from mechlib.bridge.pretrained import around, from_transformers
from mechlib.bridge.properties import (
    attention_scales,
    kind_of,
    require_bridge,
    resolve_device,
    tensors_digest,
    weights_digest,
)

__all__ = [
    "FactoredMatrix",
    "NativeBridge",
    "Shape",
    "TransformerBridge",
    "around",
    "attention_scales",
    "from_transformers",
    "kind_of",
    "native",
    "require_bridge",
    "resolve_device",
    "shuffled",
    "tensors_digest",
    "untrained",
    "weights_digest",
]
