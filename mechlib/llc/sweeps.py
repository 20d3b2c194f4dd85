"""Coefficients of many models in one call, on as many processes or machines as there are.

The work goes through joblib, so where it runs is joblib's matter: ``n_jobs=4`` for four processes here, or, for a Dask
cluster, ``with joblib.parallel_config(backend="dask"):`` around the call while a ``distributed.Client`` is connected.

Each result is written to disk, by whoever found it, before anything else is begun. A worker or a whole run that dies
takes no finished result with it, and the same call made again computes only what is missing.
"""

from __future__ import annotations

import pickle
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import joblib
import torch
from torch import nn
from tqdm.auto import tqdm

from mechlib import __version__
from mechlib.files import written_whole
from mechlib.llc.arguments import named_as_here
from mechlib.llc.data import Data
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.keys import NoKey, key
from mechlib.llc.result import Unreliable
from mechlib.llc.surface import LossFn

__all__ = ["Failure", "coefficients"]

Model = nn.Module | Callable[[], nn.Module]


@dataclass(frozen=True)
class Failure:
    """What a sweep has in place of the result of a model for which there is none; prints as model and reason."""

    name: str
    """The model's."""
    error: Exception
    """What the estimator, or the function that makes the model, raised."""
    traceback: str
    """Where."""

    @classmethod
    def of(cls, name: str, error: Exception) -> Failure:
        """The failure with an error that can be sent, and holds on to nothing that was computed."""
        try:
            sent = pickle.loads(pickle.dumps(error))
        except Exception:
            sent = RuntimeError(f"{type(error).__name__}: {error}")
        return cls(name, sent, "".join(traceback.format_exception(error)))

    def __str__(self) -> str:
        return f"{self.name}: {type(self.error).__name__}: {self.error}"

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        raise AttributeError(f"there is no {attribute}: no result for {self}")


@named_as_here
def coefficients(
    models: Mapping[str, Model],
    loss_fn: LossFn,
    data: Data,
    *,
    cache: Path | str,
    each: Mapping[str, Mapping[str, Any]] | None = None,
    estimator: Callable = estimate_llc,
    n_jobs: int | None = None,
    progress: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """``estimator(model, loss_fn, data, **options)`` for every model, by name.

    A result is found again by everything that it depends on (:mod:`mechlib.llc.keys`): the model with its tensors,
    attributes, modes, hooks and code; the samples of the data, the options; ``loss_fn`` and the estimator with what
    they hold, enclose and call, down to the versions of installed packages, torch and mechlib. What a loss reads from
    files, the network or the clock is not seen: after a change there, name another ``cache``. Where something that a
    result depends on has no content to compare, an open file or a generator, a warning names it, and the result is
    computed anew at each call. A loss that counts its calls, or data that come out otherwise every time, are other ones
    at each call, too.

    A model that cannot be loaded or estimated ends nothing: a :class:`Failure` stands in its place, a warning names it
    with the reason, and the next call tries it again. Ctrl-C keeps what is finished, and leaves nothing of an estimate
    that was cut short.

    Args:
        models: by name; a function without arguments that makes the model, such as one that loads a checkpoint, is
            called where the work is done.
        cache: a folder for the results, made if need be; all workers must see it.
        each: options of single models, by name, over ``options``: another seed, or the weights of another head.
        estimator: :func:`mechlib.llc.estimate_llc`, or another that is called like it.
        n_jobs: processes; None for what ``joblib.parallel_config`` says, which is 1 by itself.
        options: of the estimator, for all models.

    Returns:
        The results in the order of ``models``, a :class:`Failure` where there is none. Every reason not to believe one
        is a Python warning of category :class:`Unreliable` that names the model.

    Raises:
        ValueError: if ``models`` is empty, or ``each`` names no model.
        Exception: what the first model raised, if there is a result for none of them.
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
    task = _task(loss_fn, data, estimator)
    calls = (
        joblib.delayed(_one)(name, model, loss_fn, data, estimator, settings[name], folder, task)
        for name, model in models.items()
    )
    done = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")(calls)
    found = {name: rest for name, *rest in tqdm(done, total=len(models), desc="coefficients", disable=not progress)}
    results = {name: found[name][0] for name in models}
    failures = [result for result in results.values() if isinstance(result, Failure)]
    if len(failures) == len(results):
        _raise_first(failures)
    for name, result in results.items():
        if isinstance(result, Failure):
            warnings.warn(f"no result for {result}", UserWarning, stacklevel=3)
        if unkept := found[name][1]:
            warnings.warn(f"{name}: the result is not kept: {unkept}", UserWarning, stacklevel=3)
        for reason in getattr(result, "warnings", ()):
            warnings.warn(f"{name}: {reason}", Unreliable, stacklevel=3)
    return results


def _task(loss_fn: LossFn, data: Any, estimator: Callable) -> str | None:
    """The key of what all models have in common; None, with a warning, if there is none."""
    around = (torch.get_default_dtype(), torch.get_default_device(), torch.get_float32_matmul_precision())
    try:
        return key(
            mechlib=__version__, torch=torch.__version__, around=around, loss_fn=loss_fn, data=data, estimator=estimator
        )
    except NoKey as error:
        warnings.warn(f"the results are not kept, each call computes them anew: {error}", UserWarning, stacklevel=4)
        return None


def _raise_first(failures: list[Failure]) -> NoReturn:
    error = failures[0].error
    error.add_note("\n".join([f"There is a result for none of {len(failures)} models:", *map(str, failures)]))
    error.add_note(failures[0].traceback)
    raise error


def _one(
    name: str,
    model: Model,
    loss_fn: LossFn,
    data: Data,
    estimator: Callable,
    options: dict[str, Any],
    folder: Path,
    task: str | None,
) -> tuple[str, Any, str]:
    """The name, the result, and why it could not be kept: from the cache where it is there, else computed and kept.

    Args:
        task: the key of all but model and options; None if it has none.
    """
    try:
        module = model if isinstance(model, nn.Module) else model()
        file, unkept = _place(folder, task, module, options)
        if file is not None and file.exists():
            return name, joblib.load(file), ""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Unreliable)
            result = estimator(module, loss_fn, data, **options)
    except Exception as error:
        return name, Failure.of(name, error), ""
    if any(reason.code == "interrupted" for reason in getattr(result, "warnings", ())):
        raise KeyboardInterrupt
    if file is None:
        return name, result, unkept
    with written_whole(file) as stream:
        joblib.dump(result, stream)
    return name, joblib.load(file), ""


def _place(folder: Path, task: str | None, module: nn.Module, options: dict[str, Any]) -> tuple[Path | None, str]:
    """The file of a result; or None, and why, if it cannot be found again by what it depends on."""
    if task is None:
        return None, ""
    try:
        return folder / f"{key(task=task, model=module, options=sorted(options.items()))}.joblib", ""
    except NoKey as error:
        return None, str(error)
