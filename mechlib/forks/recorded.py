"""The forks of the book, chains around them and draws of the posterior, which take half an hour: kept with the library.

    python -m mechlib.forks.recorded

makes all of them again; what is there already in ``build/forks`` is not made twice.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from mechlib.files import written_whole
from mechlib.forks.cues import Cues, Network, divergence
from mechlib.forks.posterior import PRIORS, walked
from mechlib.forks.training import FORKS, SQUARE, bases, forks
from mechlib.llc import estimate_llc

__all__ = ["NO_NORM_SEEDS", "RECORDED", "SEEDS", "chains", "network", "posterior", "record"]

RECORDED = Path(__file__).with_name("recordings")
"""Where they are kept."""
SEEDS = tuple(range(200, 220))
"""Of the forks with a norm; none of them was looked at while the second losses were set."""
NO_NORM_SEEDS = SEEDS[:6]
CHAIN_SEEDS = SEEDS[:5]
POSTERIOR_SEEDS = SEEDS[:3]
NBETA, GAMMA = 1e5, 1e3
"""Of the chains around forks: so narrow that the repair is still there at the draws."""


def network(name: str, seed: int, *, norm: bool = True) -> Network:
    """A recorded fork, or the ``base`` of a seed, in double precision (it was kept in single precision).

    Raises:
        ValueError: if there is none of this name or seed.
    """
    weights, seeds = _weights(norm), SEEDS if norm else NO_NORM_SEEDS
    if name not in weights or seed not in seeds:
        raise ValueError(
            f"recorded are {', '.join(weights)} of the seeds {seeds[0]} to {seeds[-1]}, got {name!r} of {seed}"
        )
    found = Network(Cues(), norm=norm)
    own = torch.from_numpy(weights[name][seeds.index(seed)]).double()
    found.load_state_dict(dict(found.named(own)))
    return found


def chains() -> dict[str, np.ndarray]:
    """Chains at nbeta 1e5 and gamma 1e3: by fork ``[seed, (estimate, error, R-hat, virial)]``."""
    return _read("chains")


def posterior(prior: str) -> dict[str, np.ndarray]:
    """Draws of the whole posterior (:func:`mechlib.forks.posterior.walked`) by the fork at which they start.

    Raises:
        ValueError: if the prior is none of ``PRIORS``.
    """
    if prior not in PRIORS:
        raise ValueError(f"posteriors are recorded for {', '.join(PRIORS)}, got {prior!r}")
    return _read(f"posterior-{prior}")


@cache
def _weights(norm: bool) -> dict[str, np.ndarray]:
    return _read("with-norm" if norm else "without-norm")


def _read(name: str) -> dict[str, np.ndarray]:
    with np.load(RECORDED / f"{name}.npz") as kept:
        return dict(kept)


def record(folder: Path = RECORDED, working: Path = Path("build/forks")) -> None:
    """Make all of it; parts that ``working`` holds are not made again."""
    working.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    cues = Cues()

    def part(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        path = working / f"{name}.npy"
        if not path.exists():
            print(name, flush=True)
            made = make()
            with written_whole(path) as stream:
                np.save(stream, made)
        return np.load(path)

    def square(title: str, seeds: Sequence[int], norm: bool) -> None:
        kept = {"base": part(f"{title}-base", lambda: _rows(bases(cues, seeds, norm=norm)))}
        starts = [_network(row, norm) for row in kept["base"]]
        for name in FORKS if norm else SQUARE:
            kept[name] = part(f"{title}-{name}", partial(_forked, starts, cues, name, seeds))
        _write(folder / f"{title}.npz", {name: rows.astype(np.float32) for name, rows in kept.items()})

    square("with-norm", SEEDS, True)
    _weights.cache_clear()
    for prior in PRIORS:
        walks = part(f"posterior-{prior}", partial(_walks, prior))
        _write(folder / f"posterior-{prior}.npz", dict(zip(SQUARE, walks, strict=True)))
    found = {
        name: np.stack([part(f"chains-{name}-{seed}", partial(_chain, name, seed)) for seed in CHAIN_SEEDS])
        for name in SQUARE
    }
    _write(folder / "chains.npz", found)
    square("without-norm", NO_NORM_SEEDS, False)


def _forked(starts: list[Network], cues: Cues, name: str, seeds: Sequence[int]) -> np.ndarray:
    return _rows(forks(starts, cues, name, seeds))


def _rows(networks: list[Network]) -> np.ndarray:
    return torch.stack([one.vector() for one in networks]).numpy()


def _network(row: np.ndarray, norm: bool) -> Network:
    found = Network(Cues(), norm=norm)
    found.load_state_dict(dict(found.named(torch.from_numpy(row))))
    return found


def _walks(prior: str) -> np.ndarray:
    seeds = POSTERIOR_SEEDS[:1] if prior == "planted" else POSTERIOR_SEEDS
    starts = [network(name, seed) for name in SQUARE for seed in seeds]
    read = walked(starts, Cues(), **PRIORS[prior])
    return read.reshape(len(SQUARE), -1, *read.shape[1:])


def _chain(name: str, seed: int) -> np.ndarray:
    cues = Cues()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = estimate_llc(
            network(name, seed),
            lambda f, batch: divergence(f(batch[0]), batch[1]),
            (cues.tokens, cues.target),
            nbeta=NBETA,
            gamma=GAMMA,
            chains=8,
            draws=1500,
            burnin=700,
            progress=False,
        )
    return np.array([found.llc, found.std_error, found.rhat, found.virial])


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with written_whole(path) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    record()
