"""Direct logit attribution beside TransformerLens's: ``python -m tests.benchmarks.attribution``.

Shape of the work: 96 prompts of 20 tokens on SmolLM2-135M (30 layers of 9 heads, d_model 576, 49,152 tokens), shares
of all heads in the difference of two logits at the last position. It takes about three minutes on two cores.

TransformerLens needs the norms folded (``enable_compatibility_mode``), which changes the model, so it has a copy of its
own; that time is not counted. It caches every activation, so it is given a few prompts at a time as well.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformer_lens.tools.analysis import direct_logit_attribution as their_attribution

from mechlib import zoo
from mechlib.bridge import TransformerBridge
from mechlib.stream import direct_logit_attribution
from tests.benchmarks import machine

MODEL = "smollm2-135m"
PROMPTS, POS, AT_ONCE = 96, 20, 24
ROUNDS = 3


def floor(model: TransformerBridge, tokens: Tensor) -> None:
    """The forward passes, with the logits of every position."""
    for rows in tokens.split(AT_ONCE):
        model(rows)


def ours(model: TransformerBridge, tokens: Tensor, target: Tensor, against: Tensor) -> Tensor:
    """``mechlib.stream.direct_logit_attribution``: ``[layer, head, prompt]``."""
    return direct_logit_attribution(model, tokens, target, against=against).heads[..., 0]


def theirs(model: TransformerBridge, tokens: Tensor, target: Tensor, against: Tensor) -> Tensor:
    """TransformerLens's ``direct_logit_attribution(unit="head")``, some prompts at a time."""
    found = []
    for rows, one, other in zip(*(ids.split(AT_ONCE) for ids in (tokens, target, against)), strict=True):
        result = their_attribution(model, rows, one, other, unit="head")
        heads = [index for index, label in enumerate(result.labels) if label.startswith("L") and "H" in label]
        found.append(result.attribution[heads])
    return torch.cat(found, 1).unflatten(0, (model.cfg.n_layers, -1))


@torch.no_grad()
def times(rounds: int) -> str:
    """A table in Markdown of the wall times, and of their ratios within a round."""
    generator = torch.Generator().manual_seed(0)
    model, folded = (zoo.load(MODEL, device="cpu") for _ in range(2))
    folded.enable_compatibility_mode()
    tokens = torch.randint(model.cfg.d_vocab, (PROMPTS, POS), generator=generator)
    target, against = torch.randint(model.cfg.d_vocab, (2, PROMPTS), generator=generator).unbind()
    answers = (tokens, target, against)
    torch.testing.assert_close(ours(model, *answers), theirs(folded, *answers), atol=1e-3, rtol=1e-3)
    calls = {
        "floor": lambda: floor(model, tokens),
        "mechlib": lambda: ours(model, *answers),
        "TransformerLens": lambda: theirs(folded, *answers),
    }
    return machine.table_of_times(machine.interleaved_seconds(calls, rounds), "mechlib")


def main(rounds: int = ROUNDS) -> None:
    """Print the table."""
    print(f"\nDirect logit attribution of {MODEL}, {PROMPTS} prompts of {POS}; {rounds} rounds.\n\n{times(rounds)}")


if __name__ == "__main__":
    print(machine.description())
    main()
