"""Lenses that are fitted: ``python -m tests.benchmarks.fitted_lenses``.

The Jacobian lens of a GPT-2 with random weights (4 layers, d_model 192) on 2 rows of 48 tokens beside
``JacobianLens.fit`` of TransformerLens with its default of 8 copies; both do ``d_model`` backward passes of every row.
The tuned lens of SmolLM2-135M from least squares on docstrings, its time and its KL on rows that it was not fitted to.
"""

from __future__ import annotations

import time

import torch
import transformers
from torch import Tensor
from transformer_lens.tools.analysis import JacobianLens

from mechlib import text, zoo
from mechlib.bridge import TransformerBridge, around
from mechlib.stream import fit_jacobian_lens, fit_tuned_lens, logit_lens
from tests.benchmarks import machine

SHAPE = {"n_layer": 4, "n_embd": 192, "n_head": 6, "vocab_size": 2048, "n_positions": 256}
TUNED = "smollm2-135m"
ROUNDS = 5
FITTED_ROWS, HELD_OUT_ROWS, JUDGED_ROWS, LENGTH = 128, 4, 4, 96


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


def tuned_lens() -> str:
    """The time of a fit, and KL(final || entry) before and after on other rows, in Markdown."""
    model = zoo.load(TUNED, device="cpu")
    rows = docstrings(model, FITTED_ROWS + HELD_OUT_ROWS)
    fitted, held_out = rows[:FITTED_ROWS], rows[FITTED_ROWS:]
    start = time.perf_counter()
    lens = fit_tuned_lens(model, fitted, start="least-squares", steps=0, judged=JUDGED_ROWS, progress=False)
    seconds = time.perf_counter() - start
    readings = [logit_lens(model, held_out, lens=kind, fields=["kl_to_final"]) for kind in (None, lens)]
    plain, tuned = (reading.kl_to_final.mean((1, 2)).tolist() for reading in readings)
    lines = ["| entry | KL, logit lens | KL, tuned lens |", "|---|---|---|"]
    lines += [f"| {name} | {a:.2f} | {b:.2f} |" for name, a, b in zip(readings[0].labels, plain, tuned, strict=True)]
    return f"Fitted to {fitted.numel()} tokens in {seconds:.0f} s.\n\n" + "\n".join(lines)


def docstrings(model: TransformerBridge, n_rows: int) -> Tensor:
    """Docstrings of the standard library as one text, cut into rows."""
    prose = (passage for file in text.files("train") for passage in text.prose_and_code(file.text)[0])
    ids: list[int] = []
    while len(ids) < n_rows * LENGTH:
        ids += model.tokenizer(next(prose) + "\n\n").input_ids
    return torch.tensor(ids[: n_rows * LENGTH]).view(n_rows, LENGTH)


def main(rounds: int = ROUNDS) -> None:
    """Print the tables."""
    print(f"\nJacobian lens of a GPT-2 of {SHAPE}; {rounds} interleaved rounds.\n\n{jacobian_times(rounds)}")
    print(f"\nTuned lens of {TUNED} from least squares.\n\n{tuned_lens()}")


if __name__ == "__main__":
    print(machine.description())
    main()
