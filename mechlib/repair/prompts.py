"""Prompts of one length with a right and a wrong next token, of three kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.english import PLACES, THINGS, Encode, indirect_objects, single_tokens

__all__ = ["KINDS", "Choices", "agreement", "names", "repeats"]

PERIOD, SHOWN = 16, 10
"""Tokens of a block that is repeated, and those of its second copy that are shown."""


@dataclass(frozen=True)
class Choices:
    """Prompts of one length."""

    tokens: Int[Tensor, "prompt pos"]
    right: Int[Tensor, " prompt"]
    """The token that comes next."""
    wrong: Int[Tensor, " prompt"]
    """One that the same prompt makes nearly as likely, without what is asked."""


def names(encode: Encode, n: int, seed: int) -> Choices:
    """Indirect objects: "When Mary and John went to the store, John gave the ring to", Mary and not John."""
    made = indirect_objects(encode, n, seed=seed)
    return Choices(made.tokens, made.right, made.wrong)


def repeats(encode: Encode, n: int, seed: int) -> Choices:
    """Sixteen random words, and ten of them once more: the one that came next and not another one of the block."""
    generator = torch.Generator().manual_seed(seed)
    words = [*single_tokens(PLACES, encode), *single_tokens(THINGS, encode)]
    ids = torch.tensor([_id(word, encode) for word in dict.fromkeys(words)])
    blocks = torch.stack([ids[torch.randperm(len(ids), generator=generator)[:PERIOD]] for _ in range(n)])
    others = torch.randint(1, PERIOD, (n,), generator=generator)
    wrong = blocks[torch.arange(n), (SHOWN + others) % PERIOD]
    return Choices(torch.cat([blocks, blocks[:, :SHOWN]], 1), blocks[:, SHOWN], wrong)


def agreement(encode: Encode, n: int, seed: int) -> Choices:
    """Subjects and verbs: "The keys near the river", are and not is. The noun in between has the other number."""
    generator = torch.Generator().manual_seed(seed)
    nouns = [word for word in dict.fromkeys([*THINGS, *PLACES]) if not word.endswith(("s", "x", "y", "ch"))]
    pairs = [(word, f"{word}s") for word in nouns]
    pairs = [pair for pair in pairs if len(single_tokens(pair, encode)) == 2]
    verbs = [_id(verb, encode) for verb in ("is", "are")]
    rows, right = [], []
    for number in range(n):
        subject, other = (pairs[i] for i in torch.randperm(len(pairs), generator=generator)[:2].tolist())
        plural = number % 2
        rows.append(list(encode(f"The {subject[plural]} near the {other[1 - plural]}")))
        right.append(plural)
    which = torch.tensor(right)
    ids = torch.tensor(verbs)
    return Choices(torch.tensor(rows), ids[which], ids[1 - which])


KINDS: dict[str, Callable[[Encode, int, int], Choices]] = {
    "names": names,
    "repeats": repeats,
    "agreement": agreement,
}
"""By name, what makes ``n`` prompts from the encoder of a tokenizer and a seed."""


def _id(word: str, encode: Encode) -> int:
    return int(encode(f" {word}")[-1])
