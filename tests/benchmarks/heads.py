"""``head_scores`` beside TransformerLens's ``detect_head``: ``python -m tests.benchmarks.heads``.

Shape of the work: the model ``code-4l-mlp`` (4 layers of 6 heads, d_model 192), a batch of 8 rows of 100 random tokens
and the same once more; the scores of all heads for all three patterns.

``detect_head`` takes strings; here a string is the number of a row, and no time goes into a tokeniser. All methods run
without gradients, which for TransformerLens a user has to ask for.
Times are of one process, interleaved. Peak memory is that of the tensors of a call.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection

import torch
from torch import Tensor
from transformer_lens.head_detector import detect_head

from mechlib import zoo
from mechlib.bridge import TransformerBridge
from mechlib.heads import KINDS, head_scores, repeated_tokens
from tests.benchmarks import machine

MODEL = "code-4l-mlp"
BATCH, PERIOD = 8, 100
ROUNDS = 21

Scores = list[Tensor]
"""``[n_layers, n_heads]`` for each of ``KINDS``."""


def floor(model: TransformerBridge, tokens: Tensor) -> None:
    """One forward pass, of which nothing is kept."""
    model(tokens)


def ours(model: TransformerBridge, tokens: Tensor) -> Scores:
    """``mechlib.heads.head_scores``: three patterns in one call."""
    scores = head_scores(model, tokens)
    return [getattr(scores, kind) for kind in KINDS]


def theirs_three_calls(model: TransformerBridge, tokens: Tensor) -> Scores:
    """TransformerLens, one call for each pattern, as documented: it runs row by row and caches everything."""
    rows = _as_strings(model, tokens)
    return [detect_head(model, rows, f"{kind}_head") for kind in KINDS]


def theirs_one_cache(model: TransformerBridge, tokens: Tensor) -> Scores:
    """TransformerLens, the most favourable use: one run for each row, of which only the patterns are cached."""
    totals = []
    for row, text in enumerate(_as_strings(model, tokens)):
        _, cache = model.run_with_cache(
            tokens[[row]], remove_batch_dim=True, names_filter=lambda name: name.endswith("hook_pattern")
        )
        totals.append([detect_head(model, text, f"{kind}_head", cache=cache) for kind in KINDS])
    return [torch.stack(of_kind).mean(0) for of_kind in zip(*totals, strict=True)]


METHODS: dict[str, Callable[[TransformerBridge, Tensor], Scores | None]] = {
    "floor": floor,
    "mechlib": ours,
    "TransformerLens, three calls": theirs_three_calls,
    "TransformerLens, one cache": theirs_one_cache,
}


def _as_strings(model: TransformerBridge, tokens: Tensor) -> list[str]:
    model.to_tokens = lambda text: tokens[[int(text)]] if isinstance(text, str) else tokens
    return [str(row) for row in range(len(tokens))]


def _inputs(name: str, batch: int, period: int) -> tuple[TransformerBridge, Tensor]:
    model = zoo.load(name, device="cpu")
    return model, repeated_tokens(batch, period, model.cfg.d_vocab, generator=torch.Generator().manual_seed(0))


def agree(results: dict[str, Scores]) -> None:
    """Fail unless all methods give the same scores."""
    for scores in results.values():
        for value, reference in zip(scores, results["mechlib"], strict=True):
            torch.testing.assert_close(value, reference, atol=1e-6, rtol=0)


@torch.no_grad()
def times(model_name: str, batch: int, period: int, rounds: int, names: Collection[str] = METHODS) -> str:
    """A table in Markdown of the wall times, and of their ratios within a round."""
    model, tokens = _inputs(model_name, batch, period)
    results = {name: METHODS[name](model, tokens) for name in names}
    agree({name: scores for name, scores in results.items() if scores is not None})
    calls = {name: (lambda method=METHODS[name]: method(model, tokens)) for name in names}
    return machine.table_of_times(machine.interleaved_seconds(calls, rounds), "mechlib")


@torch.no_grad()
def peaks(model_name: str, batch: int, period: int, names: Collection[str] = METHODS) -> str:
    """A table in Markdown of the peak memory of tensors, each method tried on a few tokens before."""
    model, tokens = _inputs(model_name, batch, period)
    measured = {}
    for name in names:
        METHODS[name](model, tokens[:1, :8])
        measured[name] = machine.peak_of_tensors(lambda method=METHODS[name]: method(model, tokens))
    return machine.table_of_peaks(measured, "mechlib")


def main(
    model: str = MODEL,
    batch: int = BATCH,
    period: int = PERIOD,
    rounds: int = ROUNDS,
    names: Collection[str] = METHODS,
) -> None:
    """Print both tables, of the methods that are named."""
    print(
        f"\nHead scores of {model}, batch {batch} x {2 * period}; {rounds} interleaved rounds.\n\n"
        f"{times(model, batch, period, rounds, names)}"
    )
    print(f"\nPeak memory of tensors.\n\n{peaks(model, batch, period, names)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--period", type=int, default=PERIOD)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    print(machine.description())
    main(given.model, given.batch, given.period, given.rounds)
