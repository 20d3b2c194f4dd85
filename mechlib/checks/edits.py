"""Misconceptions as edits of the reference: what is done otherwise, and beside it what a good tutor says to it.

    def mean(x, weights, *, divide=torch.div):
        return divide((x * weights).sum(), weights.sum())

    on = edits_of(mean)
    MISCONCEPTIONS = {
        "unweighted": on("the weights are not used.", weights=torch.ones_like),
        "summed": on("this is the sum; divide by that of the weights.", divide=lambda total, weight: total),
        "sign": on("the sign is turned.", result=torch.neg),
    }

An edit names an argument of the reference, one of its keyword-only steps, or ``result``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable

from mechlib.checks.question import Answer, Misconception

__all__ = ["edits_of"]


def edits_of(reference: Answer) -> Callable[..., Misconception]:
    """``on(sentence, **edits)``: the misconception that is ``reference`` with these edits.

    An edit of an argument, or of ``result``, which is what comes back, is a function of it, or else a constant that is
    put in its place. An edit of a keyword-only parameter, a step of the reference, is put in its place as it is. A
    mistake that goes another way is a function of its own: ``Misconception(function, sentence)``.

    Raises, when ``on`` is called:
        TypeError: for an edit of a name that the reference does not have; the message shows the nearest.
        ValueError: without any edit.
    """
    parameters = inspect.signature(reference).parameters
    arguments = [name for name, each in parameters.items() if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    known = [*parameters, "result"]

    def on(sentence: str, **edits: object) -> Misconception:
        _check(reference, known, edits)
        steps = {name: edit for name, edit in edits.items() if name in parameters and name not in arguments}

        def answer(*inputs: object) -> object:
            named = zip(arguments, inputs, strict=True)
            given = [_edited(edits[name], value) if name in edits else value for name, value in named]
            result = reference(*given, **steps)
            return _edited(edits["result"], result) if "result" in edits else result

        return Misconception(answer, sentence)

    return on


def _check(reference: Answer, known: list[str], edits: dict[str, object]) -> None:
    name = getattr(reference, "__name__", "the reference")
    if not edits:
        raise ValueError(f"nothing of {name} is edited; it has {', '.join(known)}")
    for edit in edits:
        if edit not in known:
            nearest = difflib.get_close_matches(edit, known, n=3, cutoff=0.4) or known
            raise TypeError(f"{name} has no {edit!r} to edit; the nearest: {', '.join(nearest)}")


def _edited(edit: object, value: object) -> object:
    return edit(value) if callable(edit) else edit
