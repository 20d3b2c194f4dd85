"""Coefficients of many models in one call, on as many processes or machines as there are.

The work goes through joblib, so where it runs is joblib's matter: ``n_jobs=4`` for four processes here, or, for a Dask
cluster, ``with joblib.parallel_config(backend="dask"):`` around the call while a ``distributed.Client`` is connected.

Each result is written to disk, by whoever found it, before anything else is begun. A worker or a whole run that dies
takes no finished result with it, and the same call made again computes only what is missing.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import joblib
import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from mechlib import __version__
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.result import Unreliable
from mechlib.llc.surface import LossFn

__all__ = ["coefficients"]

Model = nn.Module | Callable[[], nn.Module]


def coefficients(
    models: Mapping[str, Model],
    loss_fn: LossFn,
    data: Tensor | tuple[Tensor, ...] | None,
    *,
    cache: Path | str,
    each: Mapping[str, Mapping[str, Any]] | None = None,
    estimator: Callable = estimate_llc,
    n_jobs: int | None = None,
    progress: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """``estimator(model, loss_fn, data, **options)`` for every model, by name.

    A result is found again by everything that it depends on: the model as it prints, its tensors, which of them require
    gradients and its modes; the data, the options, and the version of mechlib; the code of ``loss_fn`` and of the
    estimator, with their defaults and what they enclose or are partially applied to. The code of the model, and what
    ``loss_fn`` calls, is not looked into: after a change there, name another ``cache``. Ctrl-C keeps what is finished,
    and leaves nothing of an estimate that was cut short.

    Args:
        models: by name; a function without arguments that makes the model, such as one that loads a checkpoint, is
            called where the work is done.
        cache: a folder for the results, made if need be; all workers must see it.
        each: options of single models, by name, over ``options``: another seed, or the weights of another head.
        estimator: :func:`mechlib.llc.estimate_llc`, or another that is called like it.
        n_jobs: processes; None for what ``joblib.parallel_config`` says, which is 1 by itself.
        options: of the estimator, for all models.

    Returns:
        The results in the order of ``models``. Every reason not to believe one is a Python warning of category
        :class:`Unreliable` that names the model.

    Raises:
        ValueError: if ``models`` is empty, or ``each`` names no model.
        joblib.externals.loky.process_executor.TerminatedWorkerError: if a process died; finished results are kept.
        KeyboardInterrupt: on Ctrl-C; finished results are kept.
    """
    each = each or {}
    if not models:
        raise ValueError("models is empty: at least one is needed")
    if unknown := set(each) - set(models):
        raise ValueError(f"each names {sorted(unknown)}, and the models are {sorted(models)}")
    folder = Path(cache).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {name: {"progress": False, **options, **each.get(name, {})} for name in models}
    task = _digest(__version__, loss_fn, data, estimator)
    calls = (
        joblib.delayed(_one)(name, model, loss_fn, data, estimator, settings[name], folder, task)
        for name, model in models.items()
    )
    done = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls)
    found = dict(tqdm(done, total=len(models), desc="coefficients", disable=not progress))
    for name in models:
        for reason in getattr(found[name], "warnings", ()):
            warnings.warn(f"{name}: {reason}", Unreliable, stacklevel=2)
    return {name: found[name] for name in models}


def _one(
    name: str,
    model: Model,
    loss_fn: LossFn,
    data: Tensor | tuple[Tensor, ...] | None,
    estimator: Callable,
    options: dict[str, Any],
    folder: Path,
    task: str,
) -> tuple[str, Any]:
    """The name and the result, from the cache where it is there, else computed and written to it.

    Args:
        task: the digest of loss, data and estimator.
    """
    module = model if isinstance(model, nn.Module) else model()
    file = folder / f"{_digest(task, module, options)}.joblib"
    if not file.exists():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Unreliable)
            result = estimator(module, loss_fn, data, **options)
        if any(reason.code == "interrupted" for reason in getattr(result, "warnings", ())):
            raise KeyboardInterrupt
        _write(result, file)
    return name, joblib.load(file)


def _write(result: Any, file: Path) -> None:
    """In one stroke: a file of that name is whole, whatever happens while it is written."""
    handle, partial = tempfile.mkstemp(dir=file.parent, suffix=".partial")
    with os.fdopen(handle, "wb") as stream:
        joblib.dump(result, stream)
    os.replace(partial, file)


def _digest(*values: Any) -> str:
    digest = hashlib.sha256()
    for part in _parts(values):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """What a value is made of, as bytes: arrays by type, shape and numbers, functions by code and what they hold."""
    if isinstance(value, nn.Module):
        yield repr(value).encode()
        tensors = dict([*value.named_parameters(remove_duplicate=False), *value.named_buffers(remove_duplicate=False)])
        modes = [module.training for module in value.modules()]
        yield from _parts((tensors, [t.requires_grad for t in tensors.values()], modes))
    elif isinstance(value, Tensor):
        whole = value.detach().cpu().contiguous()
        yield f"{whole.dtype} {tuple(whole.shape)}".encode()
        yield whole.flatten().view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping):
        for name in sorted(value):
            yield from _parts((name, value[name]))
    elif isinstance(value, (tuple, list)):
        yield f"{len(value)} parts".encode()
        for part in value:
            yield from _parts(part)
    elif isinstance(value, functools.partial):
        yield from _parts((value.func, value.args, value.keywords))
    elif inspect.isfunction(value):
        yield from _parts((value.__qualname__, value.__code__, _held(value)))
    elif inspect.iscode(value):
        yield value.co_code
        yield from _parts((value.co_names, value.co_consts))
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield value.tobytes()
    elif isinstance(value, (set, frozenset)):
        yield from _parts(sorted(value, key=repr))
    else:
        yield _plain(value).encode()


def _held(function: FunctionType) -> list[Any]:
    """The defaults of a function and the values that it encloses; functions among these by their code alone."""
    cells = inspect.getclosurevars(function).nonlocals.values()
    values = [function.__defaults__, function.__kwdefaults__, *cells]
    return [value.__code__ if inspect.isfunction(value) else value for value in values]


def _plain(value: Any) -> str:
    """As it prints, without where it lies in memory."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))
