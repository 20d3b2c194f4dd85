"""Lens and head scores on the real language model: ``python -m tests.benchmarks.real_model``.

Shape of the work: ``smollm2-135m`` (30 layers of 9 heads, d_model 576, 49,152 tokens), one row of 96 tokens, on the
threads that torch has (two on the machines of the README). The methods are those of ``tests.benchmarks.lens`` and
``.heads``; the floor of the lens is a forward pass and the unembedding of all 31 entries, that of the scores a forward
pass. Then the same in bfloat16 beside single precision, with what that costs in the results. All of it takes about
three minutes on two cores; ``--rounds 11`` is for figures with narrow quartiles.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from mechlib import zoo
from mechlib.bridge import TransformerBridge
from mechlib.heads import head_scores
from mechlib.stream import logit_lens
from tests.benchmarks import heads, lens, machine

MODEL, POS = "smollm2-135m", 96
ROUNDS = 3
OF_LENS = ("floor", "mechlib", lens.RANK, "TransformerLens, two calls")
OF_HEADS = ("floor", "mechlib")
"""The methods that are compared here; the others take longer."""

WORK: dict[str, Callable[[TransformerBridge, Tensor, Tensor], object]] = {
    "forward pass": lambda model, tokens, targets: model(tokens),
    "logit_lens, everything": lambda model, tokens, targets: logit_lens(model, tokens, targets=targets),
    "head_scores": lambda model, tokens, targets: head_scores(model, tokens),
}


@torch.no_grad()
def precisions(rounds: int) -> str:
    """In Markdown: bfloat16 over single precision in time, and how far off its results are."""
    single, tokens, targets = lens.inputs(MODEL, 1, POS)
    models = {"single": single, "bfloat16": zoo.load(MODEL, device="cpu", dtype=torch.bfloat16)}
    calls = {
        f"{name} in {precision}": (lambda call=call, model=model: call(model, tokens, targets))
        for name, call in WORK.items()
        for precision, model in models.items()
    }
    seconds = machine.interleaved_seconds(calls, rounds)
    lines = ["| work | bfloat16 over single precision: median (quartiles) |", "|---|---|"]
    lines += [f"| {name} | {machine.ratio(seconds, f'{name} in bfloat16', f'{name} in single')} |" for name in WORK]
    return "\n".join([*lines, "", *_errors(models, tokens, targets)])


def _errors(models: dict[str, TransformerBridge], tokens: Tensor, targets: Tensor) -> list[str]:
    exact, rounded = (logit_lens(model, tokens, targets=targets) for model in models.values())
    gaps = (exact.target_log_prob - rounded.target_log_prob).abs()
    ranks = (exact.target_rank == rounded.target_rank).float().mean()
    attention = [head_scores(model, tokens).previous_token for model in models.values()]
    return [
        f"Off in bfloat16: the target's log-probability by {gaps.median():.3f} nats in the median and {gaps.max():.2f} "
        f"at most over all entries, {gaps[-1].median():.3f} and {gaps[-1].max():.2f} at the last; "
        f"{ranks:.0%} of the ranks are the same; scores of heads by {(attention[0] - attention[1]).abs().max():.3f} at "
        "most."
    ]


def main(rounds: int = ROUNDS) -> None:
    """Print all tables."""
    lens.main(MODEL, 1, POS, rounds, OF_LENS)
    heads.main(MODEL, 1, POS // 2, rounds, OF_HEADS)
    print(f"\n{MODEL} in bfloat16, {POS} tokens; {rounds} interleaved rounds.\n\n{precisions(rounds)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    print(machine.description())
    main(given.rounds)
