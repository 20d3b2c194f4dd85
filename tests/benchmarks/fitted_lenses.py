"""Lenses that are fitted: ``python -m tests.benchmarks.fitted_lenses``.

The Jacobian lens of a GPT-2 with random weights (4 layers, d_model 192) on 2 rows of 48 tokens beside
``JacobianLens.fit`` of TransformerLens with its default of 8 copies; both do ``d_model`` backward passes of every row.
The tuned lens of SmolLM2-135M by both recipes of ``mechlib zoo lens``, its time and its KL on docstrings that it was
not fitted to. All of it takes about four minutes on two cores, with ``--recipe short`` one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Collection
from dataclasses import replace

import torch
import transformers
from torch import Tensor
from transformer_lens.tools.analysis import JacobianLens

from mechlib import text, zoo
from mechlib.bridge import around
from mechlib.stream import fit_jacobian_lens, logit_lens
from mechlib.stream.kept_lens import RECIPES
from tests.benchmarks import machine

SHAPE = {"n_layer": 4, "n_embd": 192, "n_head": 6, "vocab_size": 2048, "n_positions": 256}
TUNED = "smollm2-135m"
ROUNDS = 3
HELD_OUT_ROWS = 4


def jacobian_times(rounds: int) -> str:
    """A table in Markdown of the wall times, and of their ratios within a round."""
    model = around(transformers.GPT2LMHeadModel(transformers.GPT2Config(**SHAPE)), name="random")
    rows = text.rows(text.files("train"), n_rows=2, length=48)

    def theirs() -> Tensor:
        model.to_tokens = lambda row: rows[[int(row)]]
        names = [str(row) for row in range(len(rows))]
        lens = JacobianLens.fit(model, names, corpus="rows", show_progress=False)
        return torch.stack([lens.jacobians[layer] for layer in lens.source_layers])

    def ours() -> Tensor:
        return fit_jacobian_lens(model, rows, progress=False).weight

    torch.testing.assert_close(ours()[1:], theirs(), atol=1e-4, rtol=1e-4)
    return machine.table_of_times(
        machine.interleaved_seconds({"mechlib": ours, "TransformerLens": theirs}, rounds), "mechlib"
    )


def tuned_lens(names: Collection[str]) -> str:
    """The time of each fit, and KL(final || entry) of the logit lens and of each lens on other rows, in Markdown."""
    model = zoo.load(TUNED, device="cpu")
    held_out = replace(RECIPES["short"], n_rows=HELD_OUT_ROWS).passages(model, "held_out")
    labels, kls, times = (), [], []
    for name in (None, *names):
        start, lens = time.perf_counter(), None
        if name is not None:
            rows = RECIPES[name].passages(model)
            lens = RECIPES[name].fit(model, rows)
            times.append(f"{name}: fitted to {rows.numel()} tokens in {time.perf_counter() - start:.0f} s.")
        reading = logit_lens(model, held_out, lens=lens, fields=["kl_to_final"])
        labels, kls = reading.labels, [*kls, reading.kl_to_final.mean((1, 2)).tolist()]
    heads = ["entry", "logit lens", *names]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [
        f"| {label} | {' | '.join(f'{kl:.2f}' for kl in row)} |" for label, *row in zip(labels, *kls, strict=True)
    ]
    return "\n".join([*times, "", *lines])


def main(rounds: int = ROUNDS, recipes: Collection[str] = RECIPES) -> None:
    """Print the tables."""
    print(f"\nJacobian lens of a GPT-2 of {SHAPE}; {rounds} interleaved rounds.\n\n{jacobian_times(rounds)}")
    print(f"\nKL of {TUNED}'s final distribution to its entries, on docstrings held out.\n\n{tuned_lens(recipes)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--recipe", choices=RECIPES, help="one recipe of the tuned lens alone")
    given = parser.parse_args()
    print(machine.description())
    main(given.rounds, [given.recipe] if given.recipe else RECIPES)
