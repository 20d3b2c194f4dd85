"""Prompts that an indirect object ends: "When Mary and John went to the store, John gave the book to", and Mary.

The task of Wang et al., "Interpretability in the Wild" (2022, arXiv:2211.00593): of two names the one that was not
repeated comes next. A model that looks back at names without comparing them would say either as often.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.english.words import NAMES, PLACES, THINGS, Encode, single_tokens

TEMPLATES: tuple[str, ...] = (
    "When {first} and {second} went to the {place}, {giver} gave the {thing} to",
    "After {first} and {second} had left the {place}, {giver} handed the {thing} to",
    "While {first} and {second} were at the {place}, {giver} lent the {thing} to",
    "Once {first} and {second} were in the {place}, {giver} showed the {thing} to",
)
"""With the names in either order: ``giver`` is one of ``first`` and ``second``."""


@dataclass(frozen=True)
class IndirectObjects:
    """Prompts of one length, with what would be right and where the names stand."""

    texts: tuple[str, ...]
    tokens: Int[Tensor, "prompt pos"]
    right: Int[Tensor, " prompt"]
    """The token of the indirect object: the name that stands once."""
    wrong: Int[Tensor, " prompt"]
    """The token of the giver: the name that stands twice."""
    third: Int[Tensor, " prompt"]
    """The token of a name that stands in the prompt nowhere."""
    right_at: Int[Tensor, " prompt"]
    """The position of the indirect object."""
    wrong_at: Int[Tensor, " prompt"]
    """The position at which the giver stands first."""
    again_at: Int[Tensor, " prompt"]
    """The position at which the giver is repeated."""

    @property
    def swapped(self) -> Int[Tensor, "prompt pos"]:
        """The same prompts with the other name repeated, so that ``wrong`` is right: one token differs."""
        return self._repeating(self.right)

    @property
    def unrepeated(self) -> Int[Tensor, "prompt pos"]:
        """The same prompts with the third name for the giver, so that neither is right: one token differs."""
        return self._repeating(self.third)

    def logit_difference(self, logits: Float[Tensor, "prompt pos d_vocab"]) -> Float[Tensor, " prompt"]:
        """The logit of ``right`` minus that of ``wrong`` after the last token, in nats: above 0 where it is solved.

        Raises:
            ValueError: for logits of another number of prompts or positions.
        """
        if logits.dim() != 3 or logits.shape[:2] != self.tokens.shape:
            raise ValueError(
                f"logits are of every position, {list(self.tokens.shape)} before the vocabulary, not "
                f"{list(logits.shape)}"
            )
        rows = torch.arange(len(logits), device=logits.device)
        last = logits[:, -1]
        return last[rows, self.right.to(last.device)] - last[rows, self.wrong.to(last.device)]

    def _repeating(self, names: Int[Tensor, " prompt"]) -> Int[Tensor, "prompt pos"]:
        return self.tokens.scatter(1, self.again_at[:, None], names[:, None])


def indirect_objects(
    encode: Encode, n: int = 24, *, templates: Sequence[str] = TEMPLATES, seed: int = 0
) -> IndirectObjects:
    """``n`` prompts of ``templates`` in turn, in half of which the giver is named first.

    Names, places and things are drawn from those of :mod:`mechlib.english.words` that are one token; those of one
    prompt differ. The same seed gives the same prompts.

    Args:
        encode: of the model's tokenizer, such as ``model.tokenizer.encode``.
        templates: with ``{first}``, ``{second}``, ``{place}``, ``{giver}`` and ``{thing}``, each after a space.

    Raises:
        ValueError: if too few of the words are one token, the templates are not of one length in tokens, or a name is
            not the token that it is on its own.
    """
    kinds = [single_tokens(words, encode) for words in (NAMES, PLACES, THINGS)]
    if len(kinds[0]) < 3 or not all(kinds):
        raise ValueError(
            f"of the names, places and things {', '.join(str(len(kind)) for kind in kinds)} are one token; 3, 1 and 1 "
            "are needed"
        )
    generator = torch.Generator().manual_seed(seed)
    made = [
        _prompt(encode, template, i // len(templates) % 2 == 0, _drawn(kinds, generator))
        for i, template in zip(range(n), itertools.cycle(templates), strict=False)
    ]
    texts, tokens, *others = zip(*made, strict=True)
    if len(lengths := {len(row) for row in tokens}) > 1:
        raise ValueError(f"the templates give {sorted(lengths)} tokens: give those of one length, one call for each")
    return IndirectObjects(texts, torch.tensor(tokens), *(torch.tensor(column) for column in others))


def _drawn(kinds: list[tuple[str, ...]], generator: torch.Generator) -> list[str]:
    """Three names, a place and a thing."""
    return [
        words[i]
        for words, k in zip(kinds, (3, 1, 1), strict=True)
        for i in torch.randperm(len(words), generator=generator)[:k].tolist()
    ]


def _prompt(
    encode: Encode, template: str, giver_first: bool, words: list[str]
) -> tuple[str, Sequence[int], int, int, int, int, int, int]:
    """The fields of one prompt, in their order."""
    receiver, giver, third, place, thing = words
    first, second = (giver, receiver) if giver_first else (receiver, giver)
    slots = {"first": first, "second": second, "place": place, "giver": giver, "thing": thing}
    text = template.format(**slots)
    tokens = encode(text)
    right, wrong, other = (encode(f" {name}")[-1] for name in (receiver, giver, third))
    before = {slot: template.partition(f" {{{slot}}}")[0] for slot in ("first", "second", "giver")}
    at = {slot: len(encode(part.format(**slots))) for slot, part in before.items()}
    wrong_at, right_at = (at["first"], at["second"]) if giver_first else (at["second"], at["first"])
    for position, token in ((right_at, right), (wrong_at, wrong), (at["giver"], wrong)):
        if position >= len(tokens) or tokens[position] != token:
            raise ValueError(f"the names in {text!r} are other tokens there than on their own")
    return text, tokens, right, wrong, other, right_at, wrong_at, at["giver"]
