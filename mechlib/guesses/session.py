"""Asking and answering in a kernel: what was asked in it, and the widgets that keep and show a guess."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mechlib.guesses import kept
from mechlib.guesses.asked import SIDES, Answer, Guess, Said
from mechlib.guesses.view import View
from mechlib.stats import Estimate
from mechlib.stats.tables import number

__all__ = ["PAGE", "Shown", "answer", "forget", "guess"]

PAGE = "MECHLIB_PAGE"
"""The variable of the environment that is set where outputs are made for a page of the book: its reader is not here."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a cell shows: on a page HTML that asks or answers by itself, in a notebook a widget."""

    part: Guess | Answer
    view: View | None
    """Of a notebook."""

    def __str__(self) -> str:
        said = self.view.said if self.view else None
        if isinstance(self.part, Answer):
            return self.part.told(said)
        words = f"You said {self.part.in_words(said)}." if said is not None else "Say it with mine=... in this cell."
        return f"{self.part}\n{words}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if self.view is None:
            return {"text/html": self.part.page(), "text/plain": str(self)}, {}
        bundle = self.view._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/plain": str(self)}, metadata


class _Asked:
    """A question of this kernel, what was said to it, and all that shows it or its answer."""

    def __init__(self, guess: Guess, said: Said | None):
        self.guess, self.said = guess, said
        self._views: list[View] = []

    def view(self, html: str) -> View:
        view = View(html=html, kept=kept.entry(self.guess, self.said))
        view.observe(lambda _: self._hear(view.said), "kept")
        self._views.append(view)
        return view

    def _hear(self, said: Said | None) -> None:
        if said != self.said:
            kept.keep(self.guess, said)
            self.show(said)

    def show(self, said: Said | None) -> None:
        """What was said from now on, in every view."""
        self.said = said
        for view in self._views:
            view.kept = kept.entry(self.guess, said)


_ASKED: dict[str, _Asked] = {}
"""The questions of this kernel."""


def guess(
    guess_id: str,
    question: str,
    *,
    unit: str = "",
    between: tuple[float, float] | None = None,
    options: Sequence[str] = (),
    mine: Said | None = None,
) -> Shown:
    """Ask for a guess, as the last expression of the cell before the result; ``answer`` comes after it.

    Args:
        guess_id: the chapter's two digits and more, such as ``"02a"``; once in a chapter.
        question: what is asked, in one plain sentence. Code stands in backticks; formulas are not set.
        unit: of a number, such as ``"nats per token"``.
        between: the smallest and the largest number that can be the answer, such as ``(0, 1)`` for a share. The reader
            is told, and what lies outside is not kept.
        options: makes the question a choice of one of these.
        mine: the reader's guess, where the front end of the notebook has no widgets.

    Raises:
        ValueError: for another form of id, an empty question, options that are fewer than two or alike, or that have a
            unit or a range, a range without inside, or a ``mine`` that is no answer to the question.
    """
    asked, on_page = Guess(guess_id, question, unit, between, tuple(options)), bool(os.environ.get(PAGE))
    if guess_id not in _ASKED or _ASKED[guess_id].guess != asked:
        _ASKED[guess_id] = _Asked(asked, None if on_page else kept.said(asked))
    if mine is not None:
        _ASKED[guess_id].show(asked.accepted(mine))
    return Shown(asked, None if on_page else _ASKED[guess_id].view(asked.page()))


def answer(
    guess_id: str,
    value: float | Tensor | Estimate | str,
    *,
    within: float = 0.0,
    below: str = "",
    above: str = "",
    otherwise: Mapping[str, str] | None = None,
) -> Shown:
    """The answer to a guess, as the last expression of a cell: beside what was said, with a line for whoever was off.

    Each line follows the words "you probably thought" and has no full stop: ``"of the last layer alone"``.

    Args:
        guess_id: of a ``guess`` of this kernel.
        value: what came out: a number, a tensor of one element, an option, or an ``Estimate``, whose interval is shown
            with its level.
        within: how far from a number a guess may be and count as right.
        below, above: the lines for whoever said less or more.
        otherwise: the lines for whoever chose another option, by option.

    Raises:
        ValueError: if the question was not asked in this kernel, the value is not finite, outside of the range or none
            of the options; if one of the possible ways of being off has no line; if a line is of the other kind of
            question (``below`` and ``above`` are for numbers, ``otherwise`` is for options) or of no option.
    """
    if guess_id not in _ASKED:
        raise ValueError(f"guess {guess_id} has not been asked in this session: run the cell with guess({guess_id!r})")
    asked = _ASKED[guess_id]
    lines = {**(otherwise or {})} if asked.guess.options else {"below": below, "above": above}
    if (asked.guess.options and (below or above)) or (not asked.guess.options and otherwise):
        raise ValueError(f"the lines of {guess_id} are {'otherwise' if asked.guess.options else 'below and above'}")
    came, shown = _measured(asked.guess, value)
    span = _span(value) if isinstance(value, Estimate) else ""
    made = Answer(asked.guess, came, shown, within, _thought(asked.guess, came, within, lines), span)
    return Shown(made, None if os.environ.get(PAGE) else asked.view(made.page()))


def forget() -> None:
    """Forget every guess that was made in this kernel or in earlier ones."""
    for asked in _ASKED.values():
        asked.show(None)
    kept.forget()


def _span(found: Estimate) -> str:
    return f"{100 * found.level:g} % interval {number(found.low)} to {number(found.high)}"


def _measured(asked: Guess, value: float | Tensor | Estimate | str) -> tuple[Said, str]:
    """What came out, and how it is written."""
    if isinstance(value, Estimate):
        value = value.mean
    came = asked.accepted(value.item() if isinstance(value, Tensor) else value)
    return came, asked.in_words(came) if isinstance(came, str) else asked.measured(number(came))


def _thought(asked: Guess, came: Said, within: float, lines: Mapping[str, str]) -> dict[str, str]:
    """The lines for the ways of being off that are possible.

    Raises:
        ValueError: if one of them has no line, or a line belongs to no option.
    """
    if asked.options:
        if strange := [option for option in lines if option not in asked.options]:
            raise ValueError(f"guess {asked.guess_id} has the options {list(asked.options)}, and not {strange}")
        possible = [option for option in asked.options if option != came]
    else:
        low, high = asked.between or (-torch.inf, torch.inf)
        open_ = {"below": low < float(came) - within, "above": high > float(came) + within}
        possible = [way for way in SIDES if open_[way]]
    if missing := [way for way in possible if not lines.get(way, "").strip()]:
        raise ValueError(f"the answer to {asked.guess_id} has no line for whoever said {' or '.join(missing)}")
    return {way: lines[way].strip().removesuffix(".") for way in possible}
