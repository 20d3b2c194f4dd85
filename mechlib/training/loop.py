"""The training loop: updates that are counted, saved, and gone on with where they stopped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from mechlib.training.runs import STATE, claim, write

SAVE_EVERY = 250


@dataclass(frozen=True)
class Updates:
    """What the updates of a model are made of."""

    steps: int
    """How many there are."""
    batch: Callable[[int], Any]
    """The batch of an update by its number, from 0; the same at every call."""
    losses: Callable[[nn.Module, Any], Float[Tensor, " model"]]
    """The loss on a batch of each model that trains; their sum is what is minimised."""
    optimisers: Sequence[torch.optim.Optimizer]
    rate: Callable[[int], float]
    """The learning rate of an update by its number, from 0."""
    clip: Callable[[], object]
    """Bounds the gradients, once they are there."""


class Loop:
    """The training of ``model`` in place: ``for step in Loop(model, updates).run(): ...``.

    In a folder (:meth:`enter`) it can be stopped at any moment: ``state.pt``, rewritten every 250 steps and at the end,
    holds all that a loop needs to go on to the same bits, and ``run.pt`` whose folder it is. Weights that are kept
    (:meth:`keep`) lie there too.
    """

    def __init__(self, model: nn.Module, updates: Updates):
        self.model, self.updates = model, updates
        self.step = 0
        """The number of updates made."""
        self.shown: dict[str, float] = {}
        """What the progress bar shows beside the loss."""
        self._losses = torch.empty(0, 0)
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Where it works.

        Raises:
            ValueError: if it has entered no folder.
        """
        if self._folder is None:
            raise ValueError("a loop keeps weights in its folder, and this one has entered none")
        return self._folder

    @property
    def losses(self) -> Float[Tensor, "step model"]:
        """Of every update, before it was made."""
        return self._losses[: self.step]

    def enter(self, folder: Path, determined_by: Mapping[str, Any]) -> None:
        """Work in a folder: make it that of this run, or go on from what is saved there.

        Args:
            determined_by: as :func:`mechlib.training.runs.claim` takes it.

        Raises:
            ValueError: if the folder is that of another run, with what differs.
        """
        claim(folder, determined_by)
        self._folder = folder
        if (folder / STATE).exists():
            state = self._read(folder / STATE)
            self.model.load_state_dict(state["model"])
            for optimiser, saved in zip(self.updates.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            for loss in state["losses"]:
                self._record(loss)

    def run(self, *, name: str | None = None, progress: bool = True) -> Iterator[int]:
        """Make the updates that are left. Yields how many are made: before the first of them, and after each.

        What is done at a number is done at least once, wherever the run is stopped, since the state is saved before.

        Raises:
            FloatingPointError: if a loss stops being finite; the state saved last is kept.
        """
        last = self.updates.steps
        with tqdm(total=last, initial=self.step, desc=name, disable=not progress, leave=False) as bar:
            yield self.step
            while self.step < last:
                loss = self._update()
                if self.step % SAVE_EVERY == 0 or self.step == last:
                    self._save()
                    bar.set_postfix({"loss": loss, **self.shown}, refresh=False)
                bar.update()
                yield self.step

    def keep(self) -> None:
        """Keep the present weights, where there is a folder; :meth:`past` and :meth:`weights` find them by the step."""
        if self._folder is not None:
            write(self.model.state_dict(), self._kept(self.step))

    def weights(self, step: int) -> dict[str, Tensor]:
        """The weights that were kept after ``step`` updates.

        Raises:
            FileNotFoundError: if none were.
        """
        return self._read(self._kept(step))

    def past(self, steps: Collection[int]) -> Iterator[int]:
        """Go back to those of ``steps`` that are behind: at each that is yielded the model has its kept weights again.

        Raises:
            ValueError: if the run has passed one of them and kept no weights there.
        """
        behind = sorted(step for step in set(steps) if step < self.step)
        for step in behind:
            if not self._kept(step).exists():
                raise ValueError(
                    f"the run in {self.folder} has passed step {step} of watch_at and kept no weights there; "
                    "look at the steps of its first call, or train again in another folder"
                )
        own = {name: value.clone() for name, value in self.model.state_dict().items()}
        try:
            for step in behind:
                self.model.load_state_dict(self.weights(step))
                yield step
        finally:
            self.model.load_state_dict(own)

    def _update(self) -> float:
        updates, step = self.updates, self.step
        loss = updates.losses(self.model, updates.batch(step))
        if not torch.isfinite(loss).all():
            raise FloatingPointError(f"the loss is {loss.tolist()} at step {step}; try a smaller learning rate")
        self.model.zero_grad(set_to_none=True)
        loss.sum().backward()
        updates.clip()
        for optimiser in updates.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = updates.rate(step)
            optimiser.step()
        self._record(loss.detach())
        return loss.mean().item()

    def _record(self, loss: Float[Tensor, " model"]) -> None:
        """Write a loss into a block that was taken at once.

        A small block for each update would come to lie between the large ones of the passes, which could then not be
        used again: memory grew by the size of the logits at every step.
        """
        if not self.step:
            self._losses = torch.empty(self.updates.steps, len(loss), dtype=loss.dtype)
        self._losses[self.step] = loss
        self.step += 1

    def _save(self) -> None:
        if self._folder is not None:
            state = {
                "model": self.model.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.updates.optimisers],
                "losses": self.losses.clone(),
            }
            write(state, self._folder / STATE)

    def _kept(self, step: int) -> Path:
        return self.folder / f"look-{step:06d}.pt"

    def _read(self, file: Path) -> dict[str, Any]:
        return torch.load(file, map_location=next(self.model.parameters()).device, weights_only=True)
