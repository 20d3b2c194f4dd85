"""Patching beside TransformerLens's functions, in time: ``python -m tests.benchmarks.patching``.

Shape of the work: one pair of prompts of 24 random tokens that differ in one of them, on the model ``code-4l-mlp`` (4
layers of 6 heads, d_model 192); the logit difference at the last position with every head's output patched, at all
positions together and at each. Then the real model: all its heads by attribution beside a forward pass, and the heads
of one layer at every position beside as many prompts in batches (of all layers it takes ten minutes). ``--real`` is
this part alone, two minutes on two cores.

The floor is a forward pass of one prompt. TransformerLens's sweeps run without gradients, which a user has to ask for.
Times are of one process, interleaved.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformer_lens import patching as theirs
from transformer_lens.tools.analysis import attribution_patch

from mechlib import zoo
from mechlib.bridge import TransformerBridge
from mechlib.causal import activation_patching, attribution_patching, logit_difference, sweep
from tests.benchmarks import machine

MODEL, REAL = "code-4l-mlp", "smollm2-135m"
POS = 24
ROUNDS, REAL_ROUNDS = 7, 3
LAYER = 15
"""Of the real model, whose heads are patched exactly."""


@dataclass(frozen=True)
class Inputs:
    model: TransformerBridge
    clean: Tensor
    corrupt: Tensor
    right: int
    wrong: int

    @property
    def metric(self) -> Callable[[Tensor], Tensor]:
        return logit_difference(self.right, self.wrong)

    def their_metric(self, logits: Tensor) -> Tensor:
        return (logits[:, -1, self.right] - logits[:, -1, self.wrong]).mean()


def floor(given: Inputs) -> None:
    """One forward pass of one prompt."""
    with torch.no_grad():
        given.model(given.corrupt)


def ours(given: Inputs, by_position: bool) -> Tensor:
    """``mechlib.causal.activation_patching``, ``[layer, head, *pos]``."""
    options = {"site": "head", "by_position": by_position, "progress": False}
    return activation_patching(given.model, given.clean, given.corrupt, given.metric, **options).mean("values")


@torch.no_grad()
def theirs_exact(given: Inputs, by_position: bool) -> Tensor:
    """``get_act_patch_attn_head_out_by_pos`` or ``_all_pos``, as documented, with the cache of the clean run."""
    _, cache = given.model.run_with_cache(given.clean)
    if by_position:
        found = theirs.get_act_patch_attn_head_out_by_pos(given.model, given.corrupt, cache, given.their_metric)
        return found.transpose(1, 2)
    return theirs.get_act_patch_attn_head_out_all_pos(given.model, given.corrupt, cache, given.their_metric)


def ours_attribution(given: Inputs) -> Tensor:
    """``mechlib.causal.attribution_patching`` of all heads at all positions, ``[layer, head, pos]``."""
    return attribution_patching(given.model, given.clean, given.corrupt, given.metric, site="head").mean()


def theirs_attribution(given: Inputs) -> Tensor:
    """``attribution_patch``, which scores the embedding and the MLPs besides."""
    scores = attribution_patch(given.model, given.clean, given.corrupt, given.their_metric).node_scores
    found = torch.zeros(given.model.cfg.n_layers, given.model.cfg.n_heads, given.clean.shape[1])
    for node, score in scores.items():
        if node.kind == "attn_head_out":
            found[node.layer, node.head, node.position] = score
    return found


def inputs(name: str, pos: int) -> Inputs:
    """A pair of prompts that end in a token which occurred before, followed by one token or by another."""
    model = zoo.load(name, device="cpu")
    clean = torch.randint(300, 2000, (1, pos), generator=torch.Generator().manual_seed(0))
    right, wrong = 400, 1400
    clean[:, -1], clean[:, pos // 2] = clean[:, pos // 2 - 1], right
    corrupt = clean.clone()
    corrupt[:, pos // 2] = wrong
    return Inputs(model, clean, corrupt, right, wrong)


def compared(given: Inputs, methods: dict[str, Callable[[Inputs], Tensor]], rounds: int) -> str:
    """A table in Markdown of the wall times, after a check that all methods find the same."""
    first, *others = [method(given) for method in methods.values()]
    for other in others:
        torch.testing.assert_close(other, first, atol=1e-4 * first.abs().max().item(), rtol=0)
    calls = {name: (lambda method=method: method(given)) for name, method in {"floor": floor, **methods}.items()}
    return machine.table_of_times(machine.interleaved_seconds(calls, rounds), "mechlib")


@torch.no_grad()
def on_the_real_model(pos: int, rounds: int) -> str:
    """Two ratios within a round, in Markdown: of attribution to a forward pass, of exact patching to batched passes."""
    given = inputs(REAL, pos)
    at_once = sweep.TOKENS_AT_ONCE // pos
    prompts = given.corrupt.expand(at_once, -1)
    of_layer = {"site": "head", "only": [(LAYER, head) for head in range(given.model.cfg.n_heads)], "progress": False}
    n_cells = given.model.cfg.n_heads * pos
    one, batch, attribution, exact = "one prompt", f"{at_once} prompts", "attribution", "exact"
    seconds = machine.interleaved_seconds(
        {
            one: lambda: floor(given),
            batch: lambda: given.model(prompts),
            attribution: lambda: ours_attribution(given),
            exact: lambda: activation_patching(given.model, given.clean, given.corrupt, given.metric, **of_layer),
        },
        rounds,
    )
    times = {name: machine.median_and_quartiles(values)[0] for name, values in seconds.items()}
    seconds["allowed"] = [n_cells / at_once * value for value in seconds[batch]]
    n_heads = given.model.cfg.n_layers * given.model.cfg.n_heads
    rows = [
        ("a forward pass of one prompt", times[one], ""),
        (f"a forward pass of {at_once} prompts", times[batch], ""),
        (f"{n_heads} heads by attribution, over a forward pass", times[attribution], (attribution, one)),
        (f"{n_cells} places exactly, over {n_cells} prompts in batches", times[exact], (exact, "allowed")),
    ]
    lines = ["| what | seconds: median | ratio within a round: median (quartiles) |", "|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {what} | {took:.2f} | {machine.ratio(seconds, *of) if of else ''} |" for what, took, of in rows)]
    )


def real(pos: int = POS, rounds: int = REAL_ROUNDS) -> None:
    """Print the table of the real model."""
    print(f"\nHeads of {REAL}, prompts of {pos} tokens; {rounds} rounds.\n\n{on_the_real_model(pos, rounds)}")


def main(model: str = MODEL, pos: int = POS, rounds: int = ROUNDS) -> None:
    """Print the three tables of a small model."""
    given = inputs(model, pos)
    n_heads = given.model.cfg.n_layers * given.model.cfg.n_heads
    for by_position in (False, True):
        methods = {
            "mechlib": lambda given, each=by_position: ours(given, each),
            "TransformerLens": lambda given, each=by_position: theirs_exact(given, each),
        }
        where = "at each position" if by_position else "at all positions together"
        table = compared(given, methods, rounds)
        print(f"\nExact patching of the {n_heads} heads of {model} {where}, {pos} tokens; {rounds} rounds.\n\n{table}")
    table = compared(given, {"mechlib": ours_attribution, "TransformerLens": theirs_attribution}, rounds)
    print(f"\nAttribution of the same heads at each position.\n\n{table}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--pos", type=int, default=POS)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--real", action="store_true", help="the real model alone")
    chosen = parser.parse_args()
    print(machine.description())
    if not chosen.real:
        main(chosen.model, chosen.pos, chosen.rounds or ROUNDS)
    real(chosen.pos, chosen.rounds or REAL_ROUNDS)
