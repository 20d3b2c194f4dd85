"""``logit_lens`` beside TransformerLens's, in time and in peak memory: ``python -m tests.benchmarks.lens``.

Shape of the work: the model ``code-4l-mlp`` (5 residual stream entries, d_model 192, 2048 tokens), a batch of 8 rows
of 256 tokens from held-out files, the next token as target, the 5 most probable tokens.

All methods run without gradients, which for TransformerLens a user has to ask for.
Times are of one process, interleaved. Peak memory is that of the tensors of a call.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection

import torch
from torch import Tensor
from transformer_lens.tools.analysis import logit_lens as their_lens

from mechlib import text, zoo
from mechlib.bridge import TransformerBridge
from mechlib.stream import logit_lens
from tests.benchmarks import machine

MODEL = "code-4l-mlp"
BATCH, POS, TOP_K = 8, 256, 5
FILES = 32
"""Held-out files that the rows are drawn from: a process that measures memory cuts all of them into tokens."""
ROUNDS = 21
RANK = "mechlib, the rank alone"

Outputs = dict[str, Tensor]


def floor(model: TransformerBridge, tokens: Tensor, targets: Tensor) -> None:
    """A forward pass that keeps the entries, and their unembedding, 64 rows at a time: no less can be done."""
    _, cache = model.run_with_cache(tokens, names_filter=_entry_names(model))
    for name in _entry_names(model):
        for rows in cache[name].flatten(0, 1).split(64):
            model.unembed(model.ln_final(rows[None]))


def ours(model: TransformerBridge, tokens: Tensor, targets: Tensor) -> Outputs:
    """``mechlib.stream.logit_lens``: targets, top 5, entropy and KL in one call."""
    result = logit_lens(model, tokens, targets=targets, top_k=TOP_K)
    return {
        name: getattr(result, name) for name in ("target_log_prob", "target_rank", "top_ids", "entropy", "kl_to_final")
    }


def ours_rank(model: TransformerBridge, tokens: Tensor, targets: Tensor) -> Outputs:
    """``mechlib.stream.logit_lens``: the target's rank alone, which costs no softmax."""
    return {"target_rank": logit_lens(model, tokens, targets=targets, fields=["target_rank"]).target_rank}


def theirs_two_readings(model: TransformerBridge, tokens: Tensor, targets: Tensor) -> Outputs:
    """TransformerLens, targets and top 5 without KL: one forward pass, its cache read twice.

    ``logit_lens`` takes targets or ``top_k`` but not both. Sharing the cache saves the second forward pass, and the
    check against the model's logits that the function makes when it runs the model itself.
    """
    _, cache = model.run_with_cache(tokens, names_filter=_entry_names(model))
    arguments = {"cache": cache, "positions": None, "return_type": "log_probs"}
    of_targets = their_lens(model, targets=targets, **arguments)
    of_top = their_lens(model, top_k=TOP_K, **arguments)
    return {
        "target_log_prob": of_targets.values[..., 0],
        "target_rank": of_targets.rank_trajectory(),
        "top_ids": of_top.readout.top_ids,
        "entropy": of_targets.readout.entropy,
    }


def theirs_two_calls(model: TransformerBridge, tokens: Tensor, targets: Tensor) -> Outputs:
    """TransformerLens, targets and top 5 without KL: the function called twice on the tokens, as documented."""
    of_targets = their_lens(model, tokens, positions=None, targets=targets, return_type="log_probs")
    of_top = their_lens(model, tokens, positions=None, top_k=TOP_K, return_type="log_probs")
    return {
        "target_log_prob": of_targets.values[..., 0],
        "target_rank": of_targets.rank_trajectory(),
        "top_ids": of_top.readout.top_ids,
        "entropy": of_targets.readout.entropy,
    }


def theirs_everything(model: TransformerBridge, tokens: Tensor, targets: Tensor) -> Outputs:
    """TransformerLens, all five outputs: KL needs the full log-probabilities, and the rest is then read off them."""
    result = their_lens(model, tokens, positions=None, return_type="log_probs")
    log_probs, final = result.values, result.values[-1]
    of_target = log_probs.gather(-1, targets.expand(len(log_probs), -1, -1)[..., None])
    return {
        "target_log_prob": of_target[..., 0],
        "target_rank": (log_probs > of_target).sum(-1),
        "top_ids": log_probs.topk(TOP_K).indices,
        "entropy": result.readout.entropy,
        "kl_to_final": torch.stack([(final.exp() * (final - entry)).sum(-1) for entry in log_probs]),
    }


METHODS: dict[str, Callable[[TransformerBridge, Tensor, Tensor], Outputs | None]] = {
    "floor": floor,
    "mechlib": ours,
    RANK: ours_rank,
    "TransformerLens, one cache, two readings": theirs_two_readings,
    "TransformerLens, two calls": theirs_two_calls,
    "TransformerLens, full log-probabilities": theirs_everything,
}


def _entry_names(model: TransformerBridge) -> list[str]:
    last = model.cfg.n_layers - 1
    return [*(f"blocks.{layer}.hook_resid_pre" for layer in range(last + 1)), f"blocks.{last}.hook_resid_post"]


def inputs(name: str, batch: int, pos: int) -> tuple[TransformerBridge, Tensor, Tensor]:
    """The model, tokens of held-out files as it cuts them, and the tokens after them."""
    model = zoo.load(name, device="cpu")

    def encode(source: str) -> Tensor:
        return model.to_tokens(source, truncate=False)[0]

    rows = text.rows(text.files("held_out")[:FILES], n_rows=batch, length=pos + 1, encode=encode)
    return model, rows[:, :-1], rows[:, 1:]


def agree(results: dict[str, Outputs]) -> None:
    """Fail unless all methods give the same outputs up to rounding, which may turn round tokens whose logits tie."""
    reference = results["mechlib"]
    for outputs in results.values():
        for name, value in outputs.items():
            if value.is_floating_point():
                torch.testing.assert_close(value, reference[name], atol=1e-4, rtol=1e-4)
            elif name == "target_rank":
                near = torch.isclose(value.double(), reference[name].double(), atol=1, rtol=1e-3)
                assert near.float().mean() > 0.999
            else:
                assert (value == reference[name]).float().mean() > 0.99, name


@torch.no_grad()
def times(model_name: str, batch: int, pos: int, rounds: int, names: Collection[str] = METHODS) -> str:
    """A table in Markdown of the wall times, and of their ratios within a round; the rank's over the floor below it."""
    model, tokens, targets = inputs(model_name, batch, pos)
    results = {name: METHODS[name](model, tokens, targets) for name in names}
    agree({name: outputs for name, outputs in results.items() if outputs is not None})
    del results
    calls = {name: (lambda method=METHODS[name]: method(model, tokens, targets)) for name in names}
    seconds = machine.interleaved_seconds(calls, rounds)
    rank = machine.ratio(seconds, RANK, "floor")
    return f"{machine.table_of_times(seconds, 'mechlib')}\n\nThe rank alone takes {rank} of the floor's time."


@torch.no_grad()
def peaks(model_name: str, batch: int, pos: int, names: Collection[str] = METHODS) -> str:
    """A table in Markdown of the peak memory of tensors, each method tried on a few tokens before."""
    model, tokens, targets = inputs(model_name, batch, pos)
    measured = {}
    for name in names:
        METHODS[name](model, tokens[:1, :8], targets[:1, :8])
        measured[name] = machine.peak_of_tensors(lambda method=METHODS[name]: method(model, tokens, targets))
    return machine.table_of_peaks(measured, "mechlib")


def main(
    model: str = MODEL,
    batch: int = BATCH,
    pos: int = POS,
    rounds: int = ROUNDS,
    names: Collection[str] = METHODS,
) -> None:
    """Print both tables, of the methods that are named."""
    print(
        f"\nLogit lens of {model}, batch {batch} x {pos}; {rounds} interleaved rounds.\n\n"
        f"{times(model, batch, pos, rounds, names)}"
    )
    print(f"\nPeak memory of tensors.\n\n{peaks(model, batch, pos, names)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--pos", type=int, default=POS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    print(machine.description())
    main(given.model, given.batch, given.pos, given.rounds)
