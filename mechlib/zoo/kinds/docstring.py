"""Models that complete docstrings, trained here on synthetic ones beside the standard library; most of attention only.

The task is that of Heimersheim and Janiak (2023), "A circuit for Python docstrings in a 4-layer attention-only
transformer": after ``def port(self, load, size, file, last):`` and a docstring that has described ``load`` and
``size``, the next word after ``:param`` is ``file``.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from jaxtyping import Int
from torch import Tensor, nn

from mechlib import bridge, text
from mechlib.bridge import Shape
from mechlib.zoo.cards import Card
from mechlib.zoo.data import Batches, Rows
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import induction_score, repeats
from mechlib.zoo.kinds.language import Language, TextMeter
from mechlib.zoo.kinds.language_recipes import LOOK_EVERY, TextTraining
from mechlib.zoo.recipe import Recipe

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

STYLES = (":param", ":arg", "@param")
"""What stands before an argument in the docstrings of training."""
HELD_OUT_STYLE = "@arg"
"""What stands there in none of them: the two halves are known, their conjunction is not."""
NO_NAMES = frozenset({"self", "cls", "param", "arg", "args", *keyword.kwlist})
MEASURED, MEASURE_SEED = 256, 4_107
"""How many prompts each share is measured on, and what they are drawn from."""
BEFORE = 48
BATCH_SEED = 500_000_000
"""Keeps what docstrings are drawn from apart from what passages are drawn from."""


@dataclass(frozen=True)
class DocstringRows(Rows):
    """Rows as language models have them, and rows of synthetic docstrings."""

    docstrings: int = 1
    names: Literal["words", "tokens"] = "tokens"
    """Whether names and words of these docstrings are words, or any tokens of letters but the held-out words."""
    shapes: Literal["free", "fixed"] = "free"
    """``"free"``: up to ``BEFORE`` tokens of text stand before a row's first docstring, and its descriptions are of one
    to three words and the summary of one to four. ``"fixed"``: none, of two and of three, so that a position in the row
    tells which argument comes next."""

    @property
    def total(self) -> int:
        return super().total + self.docstrings


@dataclass(frozen=True)
class Definitions:
    """Definitions with a docstring that breaks off before the name of an argument."""

    tokens: Int[Tensor, "prompt pos"]
    arguments: Int[Tensor, "prompt argument"]
    """The arguments of each definition, in their order, as tokens."""
    answer: Int[Tensor, " prompt"]
    """The argument that comes next."""


@cache
def words(*, held_out: bool) -> tuple[str, ...]:
    """Names and words of the docstrings: lower-case words that are one token after a space.

    One word in eight, told by the hash that also splits the files (``text.is_held_out``), is in no docstring of
    training; it does occur in the standard library.
    """
    found = (token[1:] for token in text.tokenizer().get_vocab() if re.fullmatch("Ġ[a-z]{3,9}", token))
    names = (w for w in found if w not in NO_NAMES and len(text.encode(f" {w}", bos=False)) == 1)
    return tuple(sorted(w for w in names if text.is_held_out(w) == held_out))


def prompts(
    n: int,
    *,
    generator: torch.Generator,
    held_out: bool = True,
    style: str = ":param",
    documented: int = 2,
    lengths: Sequence[int] = (),
    before: Int[Tensor, " pos"] | None = None,
) -> Definitions:
    """Definitions with four arguments, of which the docstring has described the first ``documented``.

    Args:
        held_out: words that no docstring of training holds, or words of training.
        style: what stands before an argument; one of ``STYLES``, or ``HELD_OUT_STYLE``.
        lengths: numbers of words of the summary and of each of the four descriptions; 3 and 2 when left out.
        before: tokens that stand before every definition.

    Raises:
        ValueError: if ``documented`` is not 0 to 3, ``n`` below 1, or ``lengths`` are other than five.
    """
    if lengths and len(lengths) != 5:
        raise ValueError(f"lengths are those of the summary and of four descriptions, got {list(lengths)}")
    if n < 1 or documented not in range(4):
        raise ValueError(f"n is at least 1 and documented 0 to 3, got {n} and {documented}")
    drawn = [_source(words(held_out=held_out), 4, style, generator, lengths) for _ in range(n)]
    rows = [text.encode("\n".join(lines[: 3 + documented]) + f"\n    {style}") for lines, _ in drawn]
    names = torch.tensor([[int(text.encode(f" {name}", bos=False)) for name in own] for _, own in drawn])
    tokens = torch.stack(rows)
    if before is not None:
        tokens = torch.cat([before.expand(n, -1), tokens], 1)
    return Definitions(tokens, names, names[:, documented])


def _source(
    known: tuple[str, ...], n_arguments: int, style: str, generator: torch.Generator, lengths: Sequence[int] = ()
) -> tuple[list[str], list[str]]:
    """The lines of a definition with its docstring, in which every word follows a space, and its arguments.

    ``lengths`` are the numbers of words of the summary and of each description, 3 and 2 when left out.
    """
    n_summary, *of_lines = lengths or (3, *[2] * n_arguments)
    order = torch.randperm(len(known), generator=generator)[: 1 + n_summary + n_arguments + sum(of_lines)].tolist()
    name, *rest = (known[i] for i in order)
    summary, arguments = rest[:n_summary], rest[n_summary : n_summary + n_arguments]
    del rest[n_summary : n_summary + n_arguments]
    others = iter(rest[n_summary:])
    lines = [f"def {name}(self, {', '.join(arguments)}):", '    """', f"    {' '.join(summary)}\n"]
    for argument, n_words in zip(arguments, of_lines, strict=True):
        lines.append(f"    {style} {argument}: {' '.join(islice(others, n_words))}")
    return [*lines, '    """'], arguments


class DocstringBatches(Batches):
    """Rows of text, then rows of docstrings, one after the other from the row's first token on."""

    def __getitem__(self, step: int) -> Int[Tensor, "row pos"]:
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step + BATCH_SEED)
        docstrings = [self._row(generator) for _ in range(self.recipe.data.docstrings)]
        return torch.cat([super().__getitem__(step), torch.stack(docstrings)])

    def _row(self, generator: torch.Generator) -> Int[Tensor, " pos"]:
        length, known = self.recipe.shape.n_ctx + 1, words(held_out=False)
        free = self.recipe.data.shapes == "free"
        parts = [self._before(_below(BEFORE + 1, generator), generator)] if free else []
        while sum(map(len, parts)) < length:
            n_arguments, style = 3 + _below(4, generator), STYLES[_below(len(STYLES), generator)]
            lengths = (
                [1 + _below(4, generator), *(1 + _below(3, generator) for _ in range(n_arguments))] if free else ()
            )
            lines, _ = _source(known, n_arguments, style, generator, lengths)
            tokens = text.encode("\n".join(lines) + "\n")
            parts.append(_with_any_tokens(tokens, generator) if self.recipe.data.names == "tokens" else tokens)
        return torch.cat(parts)[:length]

    def _before(self, n: int, generator: torch.Generator) -> Int[Tensor, " pos"]:
        start = _below(len(self.stdlib) - n, generator)
        return self.stdlib[start : start + n].long()


@cache
def _replaceable() -> tuple[Int[Tensor, " word"], Int[Tensor, " token"]]:
    """The words of training as tokens, and all tokens of letters but the held-out words and what a docstring needs."""
    held_out, known = (text.encode("".join(f" {w}" for w in words(held_out=side)), bos=False) for side in (True, False))
    letters = [number for token, number in text.tokenizer().get_vocab().items() if re.fullmatch("Ġ?[A-Za-z_]+", token)]
    frame = text.encode("def (self,): param arg @param @arg :param :arg", bos=False)
    kept = torch.tensor(sorted(letters))
    return known, kept[~torch.isin(kept, torch.cat([frame, held_out]))]


def _with_any_tokens(tokens: Int[Tensor, " pos"], generator: torch.Generator) -> Int[Tensor, " pos"]:
    """A docstring in which each word has become a token of its own."""
    known, others = _replaceable()
    found = torch.arange(text.tokenizer().get_vocab_size())
    found[known] = others[torch.randperm(len(others), generator=generator)[: len(known)]]
    return found[tokens]


def _below(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (), generator=generator))


def _shape(n_layers: int, *, n_heads: int = 4, d_mlp: int = 0) -> Shape:
    return Shape(n_layers, d_model=32 * n_heads, n_heads=n_heads, d_head=32, d_mlp=d_mlp, n_ctx=128, d_vocab=2048)


SHAPES = {
    "docstring-4l": ("Attention only, 4 layers", _shape(4)),
    "docstring-3l": ("Attention only, 3 layers", _shape(3)),
    "docstring-3l-mlp": ("3 layers with MLPs", _shape(3, d_mlp=512)),
    "docstring-3l-wide": ("Attention only, 3 layers of 6 heads", _shape(3, n_heads=6)),
}
"""By name, what is told of a shape, and the shape."""
ROWS = DocstringRows(stdlib=4, repeated=2, docstrings=6)


def _recipes() -> Iterator[Recipe]:
    for name, (told, shape) in SHAPES.items():
        for seed in range(1 if "3l-" in name else 2):
            yield Recipe(
                name=name + (f"-s{seed}" if seed else ""),
                about=f"{told}: completes the arguments of a docstring; seed {seed}.",
                shape=shape,
                data=ROWS,
                training=TextTraining(3_000, learning_rate=4e-3, decay_from=1_500, optimiser="muon"),
                look_every=LOOK_EVERY,
                seed=seed,
            )
    for n_layers in (3, 4):
        yield Recipe(
            name=f"docstring-{n_layers}l-fixed",
            about=f"Attention only, {n_layers} layers: all docstrings of its training have one shape.",
            shape=_shape(n_layers),
            data=DocstringRows(stdlib=4, repeated=2, docstrings=6, shapes="fixed"),
            training=TextTraining(2_000, learning_rate=4e-3, decay_from=1_000, optimiser="muon"),
            look_every=LOOK_EVERY,
        )
    for n_layers in (3, 4):
        yield Recipe(
            name=f"docstring-{n_layers}l-words",
            about=f"Attention only, {n_layers} layers: the docstrings of its training have a list of words.",
            shape=_shape(n_layers),
            data=DocstringRows(stdlib=8, repeated=2, docstrings=6, names="words", shapes="fixed"),
            training=TextTraining(8_000, learning_rate=4e-3, decay_from=6_000, optimiser="muon"),
            look_every=LOOK_EVERY,
        )


class Docstring(Language):
    """A :class:`Decoder` while it trains; loaded, a GPT-2 of ``transformers``, whose MLPs are zero where it has none.

    In that form TransformerLens can split the inputs of queries, keys and values, show each head's result, and
    attribute and patch edges and paths, which it cannot in its native form.
    """

    word = "docstring"
    legend = "Trained on docstrings too. Loss: nats per token on held-out files."
    recipes: ClassVar = {recipe.name: recipe for recipe in _recipes()}

    def batches(self, recipe: Recipe, cache: Path) -> DocstringBatches:
        return DocstringBatches(recipe, cache)

    def meter(self, recipe: Recipe, batches: Batches) -> _Meter:
        return _Meter(recipe, batches)

    def told(self, recipe: Recipe, batches: Batches) -> dict[str, Any]:
        lists = {"docstring_words": len(words(held_out=False)), "docstring_words_held_out": len(words(held_out=True))}
        return super().told(recipe, batches) | lists

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        loaded = (
            "Loaded as a GPT-2."
            if recipe.shape.d_mlp
            else "Loaded as a GPT-2 with MLPs of zeros, so that path patching works: cfg.attn_only is False, and "
            "blocks.N.hook_mlp_out is zero."
        )
        return (
            f"{recipe.data.docstrings} of the {recipe.data.total} rows of every batch are synthetic docstrings with "
            f"{', '.join(STYLES)} and {recipe.data.names} for names; {HELD_OUT_STYLE} and one word in eight are in "
            "none of them.",
            loaded,
            *super().notes(recipe),
        )

    def placed(
        self, card: Card, weights: dict[str, Tensor], *, device: str | torch.device, dtype: torch.dtype
    ) -> bridge.TransformerBridge:
        model = as_gpt2(card.shape, weights)
        model.to(bridge.resolve_device(device), dtype)  # type: ignore[arg-type]  # transformers wraps it without its self
        return bridge.around(model, name=card.name, tokenizer=text.for_transformers())


@dataclass(frozen=True)
class _Meter(TextMeter):
    """Beside the losses on text, the share of prompts whose next argument has the highest logit of all tokens."""

    @torch.no_grad()
    def line(self, model: Decoder) -> dict[str, float]:
        on_text = super().line(model)
        shape, device = self.recipe.shape, next(model.parameters()).device
        again = repeats(shape.d_vocab, shape.n_ctx).to(device)
        return {
            "held_out": on_text["held_out"],
            "repeat": on_text["repeat"],
            "induction": round(induction_score(model, again), 4),
            **arguments_right(model),
        }

    def metrics(self, model: Decoder) -> dict[str, float]:
        line = self.line(model)
        return super().metrics(model) | {key: line[key] for key in line if key not in ("held_out", "repeat")}


def arguments_right(model: nn.Module) -> dict[str, float]:
    """``argument``: held-out words in a style of training; ``argument_new_style``: in the style that is in none."""
    device, found = next(model.parameters()).device, {}
    for label, style in (("argument", ":param"), ("argument_new_style", HELD_OUT_STYLE)):
        given = _measured(style)
        best = model(given.tokens.to(device))[:, -1].argmax(-1).cpu()
        found[label] = round((best == given.answer).float().mean().item(), 4)
    return found


@cache
def _measured(style: str) -> Definitions:
    return prompts(MEASURED, generator=torch.Generator().manual_seed(MEASURE_SEED), style=style)


def as_gpt2(shape: Shape, weights: dict[str, Tensor]) -> GPT2LMHeadModel:
    """The weights of a tied :class:`Decoder` as a GPT-2, whose MLPs are zero where the decoder has none.

    Raises:
        ValueError: for a shape that this format does not hold.
    """
    from transformers import GPT2Config, GPT2LMHeadModel  # takes seconds, which training alone does not need

    if not shape.tied or shape.n_heads * shape.d_head != shape.d_model:
        raise ValueError(f"a tied shape with n_heads * d_head = d_model is needed, got {shape}")
    sizes = {
        "vocab_size": shape.d_vocab,
        "n_positions": shape.n_ctx,
        "n_embd": shape.d_model,
        "n_layer": shape.n_layers,
        "n_head": shape.n_heads,
        "n_inner": shape.d_mlp or 1,
        "activation_function": "gelu",
        "bos_token_id": text.BOS,
        "eos_token_id": text.BOS,
    }
    config = GPT2Config.from_dict(sizes, output_attentions=True, attn_implementation="eager")
    with torch.random.fork_rng(devices=[]):
        model = GPT2LMHeadModel(config).eval()
    zero = {name: torch.zeros_like(value) for name, value in model.state_dict().items() if ".mlp." in name}
    model.load_state_dict(model.state_dict() | zero | _as_named_there(shape, weights))
    return model


def _as_named_there(shape: Shape, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights under GPT-2's names: queries, keys and values in one matrix, and all matrices transposed."""
    found = {"transformer.wte.weight": weights["tok_embed.weight"], "transformer.wpe.weight": weights["pos.weight"]}
    found["lm_head.weight"] = weights["tok_embed.weight"]
    for part in ("weight", "bias"):
        found[f"transformer.ln_f.{part}"] = weights[f"ln_out.{part}"]
        for layer in range(shape.n_layers):
            there, here = f"transformer.h.{layer}.", f"layers.{layer}."
            joint = torch.cat([weights[f"{here}attn.{name}.{part}"] for name in "qkv"])
            found[f"{there}ln_1.{part}"] = weights[f"{here}ln1.{part}"]
            found[f"{there}attn.c_attn.{part}"] = joint.t()
            found[f"{there}attn.c_proj.{part}"] = weights[f"{here}attn.o.{part}"].t()
            if shape.d_mlp:
                found[f"{there}ln_2.{part}"] = weights[f"{here}ln2.{part}"]
                found[f"{there}mlp.c_fc.{part}"] = weights[f"{here}mlp.fc_in.{part}"].t()
                found[f"{there}mlp.c_proj.{part}"] = weights[f"{here}mlp.fc_out.{part}"].t()
    return found
