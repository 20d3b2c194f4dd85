"""A folder of training holds one run: what determines the run lies beside its state, and another is refused.

The loop calls ``claim`` before it reads anything else there.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mechlib.files import written_whole

IDENTITY, STATE = "run.pt", "state.pt"
"""The files of a run: what determines it, and how far it is."""
ROUNDING = 1e-5
"""Relative to the largest entry: tensors that differ by less were made by one recipe, on other machines perhaps."""
SHOWN = 4
"""How many differences an error names."""
PLAIN = (bool, int, float, str)
"""What is compared as it is, subclasses (NumPy's numbers) as these."""


def claim(folder: Path, determined_by: Mapping[str, Any]) -> None:
    """Make ``folder`` that of the run determined by these parts, or find that it is already.

    Args:
        determined_by: parts by name. Objects are compared by their class and attributes, tensors up to rounding.

    Raises:
        ValueError: if the folder holds another run, with what differs; or a state of which nothing says whose it is.
    """
    here = {name: fact for part, value in determined_by.items() for name, fact in _facts(part, value)}
    if not (folder / IDENTITY).exists():
        if (folder / STATE).exists():
            raise ValueError(
                f"{folder} holds the state of a run, and no {IDENTITY} that says of which one; "
                "take another folder, or delete this one"
            )
        write(here, folder / IDENTITY)
        return
    there = torch.load(folder / IDENTITY, map_location="cpu", weights_only=True)
    found = {name: words for name in {**here, **there} if (words := _difference(name, there, here))}
    if found:
        kinds = " and another ".join(dict.fromkeys(name.partition(".")[0] for name in found))
        more = f"; {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ValueError(
            f"{folder} holds a run of another {kinds} ({'; '.join([*found.values()][:SHOWN])}{more}); "
            "take another folder, or delete this one"
        )


def described(model: nn.Module) -> dict[str, Any]:
    """What ``claim`` compares of a model: its class and settings, its weights and which of them are trained."""
    settings = {
        name: value
        for name, value in vars(model).items()
        if not name.startswith("_") and (isinstance(value, PLAIN) or dataclasses.is_dataclass(value))
    }
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return {"class": type(model).__qualname__, **settings, "weights": model.state_dict(), "trained": trained}


def write(value: Any, file: Path) -> None:
    """Save in one stroke: a file of that name is whole, whenever the process is killed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as stream:
        torch.save(value, stream)


def _facts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a value is made of, by dotted names: tensors, numbers, words."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if isinstance(value, Tensor):
        yield name, value.detach().cpu().clone()
    elif value is None:
        yield name, value
    elif isinstance(value, PLAIN):
        yield name, next(kind for kind in PLAIN if isinstance(value, kind))(value)
    elif isinstance(value, (list, tuple)):
        yield name, f"{len(value)} of them"
        yield from _facts(name, dict(enumerate(value)))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _facts(f"{name}.{key}", part)
    elif hasattr(value, "__dict__") and not (inspect.isroutine(value) or inspect.isclass(value)):
        yield name, type(value).__qualname__
        yield from _facts(name, vars(value))
    else:
        yield name, re.sub(" at 0x[0-9a-f]+", "", repr(value))


def _difference(name: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """In words, empty where there is none."""
    if name not in there or name not in here:
        return f"{name} only {'there' if name in there else 'here'}"
    one, other = there[name], here[name]
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return "" if repr(one) == repr(other) else f"{name} is {_shown(one)} there and {_shown(other)} here"
    if one.shape != other.shape:
        return f"{name} is {list(one.shape)} there and {list(other.shape)} here"
    one, other = one.double(), other.double()
    slack = ROUNDING * float(one.abs().max()) if one.numel() else 0.0
    return "" if torch.allclose(one, other, rtol=0, atol=slack, equal_nan=True) else f"{name} has other numbers"


def _shown(fact: Any) -> str:
    return f"a tensor {list(fact.shape)}" if isinstance(fact, Tensor) else repr(fact)
