"""What the arguments of the estimators must be, and what to do about those that are not."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "at_least_0",
    "check_loss",
    "explained",
    "named_as_here",
    "number",
    "positive",
    "seed_number",
    "usual_nbeta",
    "whole",
]

ELSEWHERE = {
    "batchsize": "batch_size",
    "bounding_box_size": "nothing here: gamma holds the chains at w*",
    "burnin_steps": "burnin",
    "callables": "on_draw, a function of each chain at each draw; losses are in result.trace",
    "callback": "on_draw, a function of each chain at each draw",
    "callbacks": "on_draw, one function of each chain at each draw; losses are in result.trace",
    "cores": "n_jobs of llc.coefficients, over models",
    "criterion": "loss_fn, as a function loss_fn(f, batch)",
    "criterion_fn": "loss_fn, as a function loss_fn(f, batch)",
    "dataloader": "data",
    "dataset": "data",
    "elasticity": "gamma",
    "epsilon": "lr",
    "evaluate": "loss_fn, as a function loss_fn(f, batch) with one loss for each sample",
    "gpu_idxs": "device",
    "grad_accum_steps": "nothing here: batch_size is all that goes into a step",
    "init_loss": "nothing here: the loss at w* is taken over all the data",
    "learning_rate": "lr",
    "loader": "data",
    "localization": "gamma",
    "noise_level": "nothing here: the noise is that of the posterior",
    "num_burnin_steps": "burnin",
    "num_chains": "chains",
    "num_draws": "draws",
    "num_samples": "nbeta, by default n / log n",
    "num_steps_bw_draws": "nothing here: every step is a draw, and result.ess says what they are worth",
    "online": "nothing here: result.trace holds every draw of every chain",
    "optimize_over": "params",
    "optimize_over_per_model_param": "params, a mask for each weight",
    "optimizer_kwargs": "lr, nbeta and gamma (localization), each an argument",
    "pbar": "progress",
    "sampling_method": "sampler: 'lm', 'sgld' or 'mala'",
    "show_progress": "progress",
    "steps_bw_draws": "nothing here: every step is a draw, and result.ess says what they are worth",
    "temperature": "nbeta, by default n / log n",
    "verbose": "progress",
    "weight_decay": "nothing here: the prior is gamma/2 |w - w*|^2",
}
"""What arguments of devinterp and canonical-interp are called here."""

TORCH_LOSSES = {function for name, function in vars(F).items() if callable(function) and "loss" in name} | {
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.cross_entropy,
    F.kl_div,
}
"""Losses of outputs and targets."""

CALLED = "loss_fn is called as loss_fn(f, batch), where f is called like the model and batch is a part of data"
LANGUAGE_MODEL = (
    "A model of transformers returns an object with logits, and its own loss is one number for the whole batch. For "
    "token ids [sample, position] write lambda f, ids: F.cross_entropy(f(ids).logits[:, :-1].transpose(1, 2), "
    'ids[:, 1:], reduction="none")'
)


def named_as_here(function: Callable) -> Callable:
    """The function, but an argument that it does not have is refused with what it is called here.

    Raises:
        TypeError: if an argument has another name.
    """
    parameters = inspect.signature(function).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    @functools.wraps(function)
    def checked(*given: Any, **options: Any) -> Any:
        unknown = options.keys() - parameters.keys()
        if open_ended:  # what others may be is the matter of what they are passed on to
            unknown = set() if "estimator" in options else unknown & ELSEWHERE.keys()
        if unknown:
            said = "; ".join(f"{name!r} is {_here(name, list(parameters))}" for name in sorted(unknown))
            raise TypeError(f"{function.__name__} has other names for its arguments: {said}")
        return function(*given, **options)

    return checked


def _here(name: str, names: list[str]) -> str:
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    near = difflib.get_close_matches(name, names, n=1)
    return f"no argument; did you mean {near[0]!r}?" if near else f"no argument; there are {', '.join(names)}"


def number(value: Any) -> Any:
    """The number in a tensor or array without axes; everything else as it is."""
    return value.item() if isinstance(value, (Tensor, np.ndarray, np.generic)) and value.ndim == 0 else value


def positive(name: str, value: Any, wanted: str = "a positive number") -> float:
    """A number above 0, also from a tensor without axes.

    Raises:
        ValueError: if it is none, or not finite.
    """
    value = number(value)
    if not (isinstance(value, Real) and 0 < float(value) < math.inf):
        raise ValueError(f"{name} is {wanted}, not {value!r}")
    return float(value)


def whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least ``least``, also from a tensor without axes.

    Raises:
        ValueError: if it is none.
    """
    value = number(value)
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is a whole number of at least {least}, not {value!r}")
    return int(value)


def at_least_0(name: str, value: Any) -> float:
    """A finite number of at least 0, also from a tensor without axes.

    Raises:
        ValueError: if it is none.
    """
    value = number(value)
    if not (isinstance(value, Real) and 0 <= float(value) < math.inf):
        raise ValueError(f"{name} is a number of at least 0, not {value!r}")
    return float(value)


def seed_number(value: Any) -> int:
    """A seed that the generators of a run can be made from, also from a tensor without axes.

    Raises:
        TypeError: if it is no whole number: there is one seed for all chains.
        ValueError: if it is too large.
    """
    value = number(value)
    if not isinstance(value, Integral):
        raise TypeError(
            f"seed is one whole number, from which the noise of all chains follows, not {value!r}. For more chains set "
            "chains; for several runs make a call for each seed, or llc.coefficients with each={name: {'seed': ...}}"
        )
    if not -(2**60) < int(value) < 2**60:
        raise ValueError(f"seed is between -2^60 and 2^60, not {value}")
    return int(value)


def check_loss(loss_fn: Any) -> None:
    """Refuse what cannot be called as ``loss_fn(f, batch)``, as far as that can be seen before it is tried.

    Raises:
        TypeError: if it is no function, a loss of torch's, or does not take two arguments.
    """
    if not callable(loss_fn):
        raise TypeError(f"the arguments are model, loss_fn, data, and loss_fn is a {type(loss_fn).__name__}. {CALLED}")
    inner = loss_fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    if isinstance(inner, nn.modules.loss._Loss):
        kind = type(inner).__name__
        raise TypeError(
            f"{kind} takes outputs and targets. {CALLED}: with data=(inputs, targets), and loss = "
            f'nn.{kind}(reduction="none"), give lambda f, batch: loss(f(batch[0]), batch[1])'
        )
    if inner in TORCH_LOSSES:
        raise TypeError(
            f"{inner.__name__} takes outputs and targets. {CALLED}: with data=(inputs, targets), give "
            f'lambda f, batch: F.{inner.__name__}(f(batch[0]), batch[1], reduction="none")'
        )
    try:
        signature = inspect.signature(loss_fn)
    except ValueError:  # of functions in C there may be none
        return
    try:
        signature.bind(None, None)
    except TypeError:
        raise TypeError(f"{CALLED}; this one takes {signature}") from None


def usual_nbeta(samples: int) -> float:
    """n / log n.

    Raises:
        ValueError: if there is one sample.
    """
    if samples < 2:
        raise ValueError(f"nbeta has the default n / log n only for n > 1 samples, and there is {samples}: pass nbeta")
    return samples / math.log(samples)


@contextmanager
def explained(model: nn.Module) -> Iterator[None]:
    """While a loss is evaluated: errors from its way of using its arguments say how it is called.

    An error with a note has been explained.

    Raises:
        TypeError, AttributeError, ValueError: as raised inside, with more words.
    """
    library = any(base.__module__.startswith("transformers.") for base in type(model).__mro__)
    try:
        yield
    except (TypeError, AttributeError) as error:
        if getattr(error, "__notes__", ()):
            raise
        said = f"{error}\n{CALLED}.{' ' + LANGUAGE_MODEL if library else ''}"
        raise (TypeError if isinstance(error, TypeError) else AttributeError)(said) from error
    except ValueError as error:
        if library and "one loss per sample" in str(error):
            raise ValueError(f"{error}\n{LANGUAGE_MODEL}") from error
        raise
