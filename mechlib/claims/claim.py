"""A claim as it is declared: what was said, what is tested, and what its rule must get right beside the answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from mechlib.claims import card
from mechlib.claims.results import Line, Record
from mechlib.claims.rules import Rule
from mechlib.claims.said import Said, attribution
from mechlib.claims.words import DECLARED, a_sentence, checked_id

SETTINGS = (3, 5)
"""A knob has at least and at most so many settings."""

BOUND = "bound"
"""The knob that is the rule's own bound, and no keyword of the measure."""

NOTHING = "nothing"
"""What was chosen where nothing was chosen by its result."""

FEW = 6
"""So many units are named; of more, the first and the number."""

WANTED = {
    "nulls": "systems known to make it false",
    "planted": "systems in which it is true by construction",
    "knobs": "settings of the measure's keywords",
}


@dataclass(frozen=True)
class Under:
    """A system, and keywords with which the measure is called on it."""

    system: Any
    options: Mapping[str, Any]


def under(system: object, **options: Any) -> Under:
    """A system to be measured in another way: ``under(model, labels="shuffled")``."""
    return Under(system, options)


@dataclass(frozen=True)
class Chosen:
    """What was chosen by its result, and on what it is judged: on something else."""

    what: str
    """Such as ``"the head"``."""
    on: str | Collection[Any]
    """On what it was chosen: in words, or the units themselves."""
    judged_on: str | Collection[Any]
    """On what it is judged, likewise."""

    def __post_init__(self) -> None:
        a_sentence(self.what, "say what was chosen, such as 'the head'")
        on, judged_on = ({units} if isinstance(units, str) else set(units) for units in (self.on, self.judged_on))
        if not on or not judged_on:
            raise ValueError(f"say on what {self.what} was chosen and judged, got {self.on!r} and {self.judged_on!r}")
        if shared := on & judged_on:
            raise ValueError(f"{self.what} must be judged on others than it was chosen on, got {_few(shared)} in both")

    def __str__(self) -> str:
        return f"{self.what}: chosen on {_few(self.on)}, judged on {_few(self.judged_on)}"


@dataclass(frozen=True)
class Unit:
    """What varies, and of what the interval speaks."""

    name: str
    """Such as ``"files"`` or ``"runs"``."""
    kind: Literal["units", "runs", "each run"] = "units"
    """Units within one system; runs, each one value; or units in each of several runs."""

    @classmethod
    def of(cls, given: str | Unit) -> Unit:
        """The unit of a declaration: ``"runs"`` are runs, any other word names units within one system."""
        if isinstance(given, Unit):
            return given
        a_sentence(given, "name the unit: 'files', 'prompts', 'runs', or each_run('files')")
        return cls(given, "runs" if given == "runs" else "units")


def each_run(name: str) -> Unit:
    """The unit of a claim that is judged in each of several runs: the card says in how many of them it holds.

    Args:
        name: the units within a run, such as ``"files"``.
    """
    return Unit(a_sentence(name, "name the units within a run, such as 'files'"), "each run")


@dataclass(frozen=True)
class Claim:
    """A claim and its test, declared before the result is known; ``judge`` runs it. As the last expression of a cell it
    is shown with its rule."""

    claim_id: str
    """Chapter and letter, such as ``"02a"``."""
    said: Said | str
    """The claim in its author's words; ``"our own"`` where nobody made it."""
    tested: str
    """What is tested, in one sentence."""
    measure: Callable[..., Any]
    """``measure(system, **knobs)`` gives one value for each unit of the system: a tensor, an array, values by arm, or
    ``Evidence``. The first paragraph of its docstring says what the values are."""
    rule: Rule
    unit: str | Unit
    """``"files"``, ``"prompts"``, ...; ``"runs"``, where a system is a list of at least five runs and the measure is
    called on each; ``each_run("files")``."""
    chosen: Chosen | str
    """What was chosen by its result before, or ``"nothing"``."""
    nulls: Mapping[str, Any] | str
    """By name, systems known to make the claim false; or why there is none."""
    planted: Mapping[str, Any] | str
    """By name, systems in which it is true by construction; or why there is none."""
    knobs: Mapping[str, Collection[Any]] | str
    """By name, three to five values of a keyword of the measure, or values by label, its default among them; or why
    there is none. ``"bound"`` is the bound of the rule. The range is fixed before looking."""
    narrower: str = ""
    """How what is tested is narrower than what was said."""
    open: str = ""
    """What could turn the verdict that no knob varies."""

    def __post_init__(self) -> None:
        checked_id(self.claim_id)
        whose = f"claim {self.claim_id}"
        attribution(self.said, self.claim_id)
        a_sentence(self.tested, f"{whose} needs the sentence that is tested")
        if not self.quantity:
            raise ValueError(f"{whose} needs a measure whose docstring says what its values are, got {self.measure!r}")
        if not isinstance(self.rule, Rule):
            raise ValueError(f"{whose} needs a rule, made by above, below, within or exceeds, got {self.rule!r}")
        if not isinstance(self.chosen, Chosen) and self.chosen != NOTHING:
            raise ValueError(f"{whose}: {NOTHING!r} was chosen, or Chosen(what, on=, judged_on=), not {self.chosen!r}")
        Unit.of(self.unit)
        for name in ("nulls", "planted", "knobs"):
            if not getattr(self, name) or isinstance(getattr(self, name), str):
                a_sentence(
                    getattr(self, name), f"{whose} needs {WANTED[name]}, by name, or a sentence on why there is none"
                )
        for name, values in self.settings.items():
            _check_knob(f"{whose}, knob {name!r}", values, self._default(name))

    @property
    def quantity(self) -> str:
        """What the measure's values are: the first paragraph of its docstring."""
        measure = self.measure
        while isinstance(measure, partial):
            measure = measure.func
        paragraph = (inspect.getdoc(measure) or "").partition("\n\n")[0]
        return " ".join(paragraph.split()).removesuffix(".")

    @property
    def over(self) -> Unit:
        """What varies."""
        return Unit.of(self.unit)

    @property
    def record(self) -> Record:
        """What is known of the claim before it is judged."""
        waiting = Line(DECLARED)
        knobs = {name: dict.fromkeys(values, waiting) for name, values in self.settings.items()}
        return Record(
            self.claim_id,
            DECLARED,
            tested=self.tested,
            **attribution(self.said, self.claim_id),
            narrower=self.narrower,
            measure=self.quantity,
            unit=self.rule.unit,
            rule=self.rule.sentence(self.rule.named),
            over=self.over.name,
            chosen=str(self.chosen),
            nulls=self.nulls if isinstance(self.nulls, str) else dict.fromkeys(self.nulls, waiting),
            planted=self.planted if isinstance(self.planted, str) else dict.fromkeys(self.planted, waiting),
            knobs=self.knobs if isinstance(self.knobs, str) else knobs,
            defaults={name: self.default(name) for name in knobs},
            open=self.open,
        )

    def __str__(self) -> str:
        return card.text(self.record)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": card.page(self.record), "text/plain": str(self)}

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """By knob and label, the values of the knobs."""
        knobs = {} if isinstance(self.knobs, str) else self.knobs
        return {
            name: dict(values) if isinstance(values, Mapping) else {str(value): value for value in values}
            for name, values in knobs.items()
        }

    def default(self, knob: str) -> str:
        """The label of a knob's default setting."""
        usual = self._default(knob)
        return next(label for label, value in self.settings[knob].items() if _same(value, usual))

    def _default(self, knob: str) -> object:
        if knob == BOUND:
            return self.rule.bound
        parameter = inspect.signature(self.measure).parameters.get(knob)
        return inspect.Parameter.empty if parameter is None else parameter.default


def _check_knob(whose: str, values: Mapping[str, Any], usual: object) -> None:
    fewest, most = SETTINGS
    if usual is inspect.Parameter.empty:
        raise ValueError(f"{whose} is a keyword of the measure with a default, and the measure has none of this name")
    if not fewest <= len(values) <= most:
        raise ValueError(f"{whose} has {fewest} to {most} settings, its default among them, got {list(values)}")
    if not any(_same(value, usual) for value in values.values()):
        raise ValueError(f"{whose} has its default {usual!r} among its settings, got {list(values)}")


def _same(value: object, other: object) -> bool:
    plain = (bool, int, float, str, tuple, type(None))
    return value is other or (isinstance(value, plain) and isinstance(other, plain) and value == other)


def _few(units: str | Collection[Any]) -> str:
    if isinstance(units, str):
        return units
    names = list(map(str, units))
    return ", ".join(names) if len(names) <= FEW else f"{', '.join(names[:FEW])}, ... ({len(names)})"
