"""Heads of a real model cut on three kinds of prompts, which takes minutes: kept with the library, made again by

    python -m mechlib.repair.recorded smollm2-135m

Heads are chosen on prompts of one seed, by their direct effects, and cut on prompts of another.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib import zoo
from mechlib.bridge import TransformerBridge
from mechlib.places import Head
from mechlib.repair.cutting import Cuts, Source, cut_heads, direct_effects
from mechlib.repair.ends import ends_of
from mechlib.repair.prompts import KINDS, Choices
from mechlib.stream.hooks import output_hooks
from mechlib.stream.parts import Part
from mechlib.stream.running import at_rest

__all__ = ["RECORDED", "Run", "chosen_heads", "load", "record"]

RECORDED = Path(__file__).with_name("recordings")
"""Where they are kept."""

N_PROMPTS = 96
CHOSEN_ON, JUDGED_ON = 0, 2
"""Seeds of the prompts on which heads are chosen, and of those on which they are cut."""

N_MOVERS, N_LARGEST, N_SMALLEST = 5, 14, 4
"""Heads that are cut: the five that write most toward the answer, others of large direct effects, and some of none."""

FIRST_SHOWN = 16
"""The layer from which on changes are kept."""

BACKUP = 0.5
"""Share of what a head has lost that the last MLP of the planted model writes."""


@dataclass(frozen=True, eq=False)
class Run:
    """Cuts on one kind of prompts with one source, or in one altered model; see :class:`mechlib.repair.Cuts`."""

    cuts: tuple[tuple[Head, ...], ...]
    """The heads of each cut: single ones first, the movers in front, then the first two, three, ... movers together."""
    parts: tuple[Part, ...]
    """The heads and MLPs of the last layers; the last of them, ``rest``, is everything else together."""
    intact: Float[np.ndarray, " row"]
    """The logit difference of every prompt."""
    shares: Float[np.ndarray, " part"]
    """What every part adds to it, the mean over prompts."""
    first: Float[np.ndarray, " part"]
    """The mean direct effect of every head on the prompts on which heads were chosen; NaN for what is no head."""
    direct: Float[np.ndarray, "cut row"]
    """Direct effects."""
    total: Float[np.ndarray, "cut row"]
    """Total effects."""
    norm: Float[np.ndarray, "cut row"]
    """What the final norm makes up for."""
    made_up: Float[np.ndarray, "cut part"]
    """What every part makes up for, the mean over prompts."""
    of_movers: Float[np.ndarray, "mover part row"]
    """The same for every prompt, of the single movers alone."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the cuts."""
        return tuple(" + ".join(f"{layer}.{head}" for layer, head in cut) for cut in self.cuts)

    @property
    def frozen(self) -> Float[np.ndarray, "cut row"]:
        """Total effects with the final norm frozen."""
        return self.total + self.norm


def chosen_heads(direct: Float[Tensor, "layer head row"]) -> list[Head]:
    """The heads to be cut by their direct effects on other prompts: the movers, other large ones, some of none."""
    means, width = direct.mean(-1), direct.shape[1]
    order = means.abs().flatten().argsort(descending=True).tolist()
    movers = means.flatten().argsort(descending=True)[:N_MOVERS].tolist()
    large = [index for index in order if index not in movers][: N_LARGEST - N_MOVERS]
    late = [index for index in order[len(order) // 2 :] if index >= FIRST_SHOWN * width]
    drawn = torch.randperm(len(late), generator=torch.Generator().manual_seed(0))[:N_SMALLEST].tolist()
    return [divmod(index, width) for index in (*movers, *large, *(late[i] for i in drawn))]


def record(name: str, folder: Path = RECORDED) -> Path:
    """Cut the heads of a model of the zoo and write what was found; the file."""
    model, start = zoo.load(name, device="cpu"), time.process_time()
    assert isinstance(model, TransformerBridge)
    runs: dict[str, Run] = {}
    path = folder / f"{name}.npz"
    for kind in KINDS:
        first, prompts = (prompts_of(model, kind, seed) for seed in (CHOSEN_ON, JUDGED_ON))
        on_first = direct_effects(model, first.tokens, first.right, first.wrong)
        heads = chosen_heads(on_first)
        together = [heads[:n] for n in range(2, N_MOVERS + 1)]
        for source in ("mean", "resample"):
            found = _cut(model, prompts, [*heads, *together], source)
            runs[f"{kind}, {source}"] = kept(found, N_MOVERS, on_first)
        if kind == "names":
            runs |= {f"{kind}, {what}": run for what, run in _altered(model, prompts, heads, on_first).items()}
        about = {"model": name, "cpu_seconds": round(time.process_time() - start), "torch": torch.__version__}
        write(path, runs, about)  # again after each kind, for each takes minutes
    return path


def prompts_of(model: TransformerBridge, kind: str, seed: int, n: int = N_PROMPTS) -> Choices:
    """Prompts of a kind for this model."""
    return KINDS[kind](model.tokenizer.encode, n, seed)


def kept(
    found: Cuts, n_movers: int, on_first: Float[Tensor, "layer head row"], *, first_shown: int = FIRST_SHOWN
) -> Run:
    """What is kept of cuts of which the first are of single movers, beside direct effects on other prompts.

    Changes are kept from the layer ``first_shown`` on.
    """
    shown = [
        index
        for index, part in enumerate(found.parts)
        if part.kind in ("head", "MLP") and part.layer is not None and part.layer >= first_shown
    ]

    def few(values: Tensor, axis: int) -> Tensor:
        some = values.index_select(axis, torch.tensor(shown))
        rest = values.sum(axis, keepdim=True) - some.sum(axis, keepdim=True)
        return torch.cat([some, rest], axis)

    made_up = few(found.made_up, 1)
    parts = (*(found.parts[index] for index in shown), Part("rest"))
    first = [float(on_first[part.layer, part.head].mean()) if part.kind == "head" else np.nan for part in parts]
    return Run(
        found.cuts,
        parts,
        found.intact.numpy(),
        few(found.shares, 0).mean(-1).numpy(),
        np.array(first),
        found.direct.numpy(),
        found.total.numpy(),
        found.norm.numpy(),
        made_up.mean(-1).numpy(),
        made_up[:n_movers].numpy(),
    )


def _cut(model: TransformerBridge, prompts: Choices, cuts: Sequence[Any], source: Source) -> Cuts:
    return cut_heads(model, prompts.tokens, prompts.right, prompts.wrong, cuts, source=source)


def _altered(
    model: TransformerBridge, prompts: Choices, heads: list[Head], on_first: Float[Tensor, "layer head row"]
) -> dict[str, Run]:
    """The movers cut where suppressors cannot answer, where another prompt's change is made, and beside a backup."""
    movers = heads[:N_MOVERS]
    outputs = _outputs(model, prompts)
    suppressors = sorted(heads[N_MOVERS:], key=lambda head: on_first[head].mean().item())[:2]
    means = {head: z.mean(0).expand_as(z) for head, z in outputs.items()}
    held = {**means, **{head: outputs[head] for head in suppressors}}
    cycle = torch.arange(len(prompts.tokens)).roll(len(prompts.tokens) // 3)
    others = {head: outputs[head] - (outputs[head][cycle] - means[head]) for head in movers}
    found = {
        "suppressors held": _cut(model, prompts, [[head, *suppressors] for head in movers], held),
        "another prompt's change": _cut(model, prompts, movers, others),
        "a backup by hook": _beside_a_backup(model, prompts, movers),
    }
    return {what: kept(cuts, N_MOVERS, on_first) for what, cuts in found.items()}


def _outputs(model: TransformerBridge, prompts: Choices) -> dict[Head, Float[Tensor, "row d_head"]]:
    """What every head hands to ``W_O`` at the last position."""
    with at_rest(model):
        ends, seen = ends_of(model, prompts.tokens, prompts.right, prompts.wrong)
    return {
        (layer, head): seen[name][:, head]
        for layer, name in enumerate(ends.points.heads)
        for head in range(model.cfg.n_heads)
    }


def _beside_a_backup(model: TransformerBridge, prompts: Choices, movers: list[Head]) -> Cuts:
    """The movers cut while the last MLP writes a share of what their attention has lost."""
    with at_rest(model):
        _, seen = ends_of(model, prompts.tokens, prompts.right, prompts.wrong)
    found = []
    for layer, head in movers:
        source, target = output_hooks(model, "attn")[layer][-1], output_hooks(model, "mlp")[-1][-1]
        lost: list[Tensor] = []
        at = _Places(len(prompts.tokens))

        def watch(out: Tensor, hook: object, clean: Tensor = seen[source], lost: list = lost, at: _Places = at) -> None:
            lost.append(clean[at.next(len(out))] - out[:, -1])

        def write_back(out: Tensor, hook: object, lost: list = lost) -> Tensor:
            out = out.clone()
            out[:, -1] += BACKUP * lost.pop()
            return out

        with model.hooks(fwd_hooks=[(source, watch), (target, write_back)]):
            found.append(_cut(model, prompts, [(layer, head)], "mean"))
    return Cuts(
        tuple(cut for each in found for cut in each.cuts),
        found[0].parts,
        found[0].intact,
        found[0].shares,
        *(torch.cat([getattr(each, name) for each in found]) for name in ("direct", "total", "made_up")),
    )


class _Places:
    """Rows of the prompts that pass, a few at a time and again from the first."""

    def __init__(self, n: int) -> None:
        self.n, self.start = n, 0

    def next(self, few: int) -> Int[Tensor, " few"]:
        """The next few rows."""
        rows = torch.arange(self.start, self.start + few)
        self.start = (self.start + few) % self.n
        return rows


def write(path: Path, runs: dict[str, Run], about: dict[str, object]) -> Path:
    """Write runs to a file."""
    arrays: dict[str, np.ndarray] = {}
    for name, run in runs.items():
        arrays[f"{name}/cuts"] = np.array(json.dumps(run.cuts))
        arrays[f"{name}/parts"] = np.array(json.dumps(run.parts))
        for field in ("intact", "shares", "first", "direct", "total", "norm", "made_up"):
            arrays[f"{name}/{field}"] = getattr(run, field).astype(np.float32)
        arrays[f"{name}/of_movers"] = run.of_movers.astype(np.float16)
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    return path


@cache
def load(name: str, folder: Path = RECORDED) -> dict[str, Run]:
    """The recorded runs of a model, by kind of prompts and source, such as ``"names, mean"``.

    Raises:
        FileNotFoundError: if there are none; the message lists the models that there are.
    """
    path = folder / f"{name}.npz"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.npz"))) or "none"
        raise FileNotFoundError(f"no cuts of {name!r} are recorded; there are those of: {known}")
    with np.load(path) as file:
        fields: dict[str, dict[str, Any]] = {}
        for key in file.files:
            if key != "about":
                run, _, field = key.rpartition("/")
                fields.setdefault(run, {})[field] = file[key]
    for run in fields.values():
        run["cuts"] = tuple(tuple((layer, head) for layer, head in cut) for cut in json.loads(str(run["cuts"])))
        run["parts"] = tuple(Part(*part) for part in json.loads(str(run["parts"])))
        run["of_movers"] = run["of_movers"].astype(np.float32)
    return {name: Run(**run) for name, run in fields.items()}


if __name__ == "__main__":
    print(record(sys.argv[1]))
