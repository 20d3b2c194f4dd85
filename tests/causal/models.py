"""Bridges around models of ``transformers`` in double precision, each beside a copy that no bridge has touched."""

import torch

from mechlib.bridge import TransformerBridge, around
from tests.architectures import D_VOCAB, KINDS, Kind, Reference, build

CLEAN, CORRUPT = torch.randint(D_VOCAB, (2, 3, 7), generator=torch.Generator().manual_seed(5))


def bridge_and_reference(name: str, **options: object) -> tuple[TransformerBridge, Reference]:
    kind = KINDS[name]
    kind = Kind(kind.config, kind.options | options, kind.before, kind.after, kind.scale, kind.foldable)
    original, untouched = (build(kind).double().requires_grad_(False) for _ in range(2))
    for model in (original, untouched):
        model.set_attn_implementation("eager")
        model.config.architectures = [type(model).__name__]
    return around(original, name=name), Reference(untouched, kind)
