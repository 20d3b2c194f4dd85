"""Wrong answers that match no named misconception, put together where they returned the same on the same cases.

The largest groups are the misconceptions that are still to be named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from mechlib.checks.question import Field

__all__ = ["Cluster", "clusters"]


@dataclass(frozen=True)
class Cluster:
    """Wrong answers to one question that returned the same."""

    members: tuple[str, ...]
    """Whose they are, in the order in which they were given."""
    traits: tuple[str, ...]
    """What their common mistake looks like, one phrase each: on which cases they are right, how what they return
    follows from what is right."""


def clusters(returned: Mapping[str, str], fields: Sequence[Field]) -> list[Cluster]:
    """The groups of answers to one question, the largest first.

    Two answers are alike if they raised the same on the same case, or returned the same within the tolerances of the
    question on every case; groups are what such pairs connect.

    Args:
        returned: by answer, what ``mechlib.grading.common.told`` said of it.
        fields: those of the question.
    """
    names = list(returned)
    read = {name: json.loads(returned[name]) for name in names}
    by_form: dict[str, list[str]] = {}
    for name in names:
        by_form.setdefault(_form(read[name]["cases"]), []).append(name)
    found = []
    for alike in by_form.values():
        for label in set(labels := _labels([read[name]["cases"] for name in alike], fields)):
            members = tuple(name for name, mine in zip(alike, labels, strict=True) if mine == label)
            found.append(Cluster(members, _traits(read[members[0]])))
    return sorted(found, key=lambda cluster: (-len(cluster.members), names.index(cluster.members[0])))


def _form(cases: Sequence[dict[str, Any]]) -> str:
    """All of an answer but its numbers; answers of different forms are never alike."""
    forms = [[array["shape"] for array in case["arrays"]] if "arrays" in case else _odd(case) for case in cases]
    return json.dumps(forms)


def _odd(case: dict[str, Any]) -> str:
    if "raised" in case:
        return f"raised {case['raised']}"
    if "unreadable" in case:
        return f"returned {''.join(c for c in case['unreadable'] if not c.isdigit())}"
    return "returned None"


def _labels(answers: Sequence[Sequence[dict[str, Any]]], fields: Sequence[Field]) -> list[int]:
    """For every answer, the number of its group; all are of one form."""
    alike = np.ones((len(answers), len(answers)), bool)
    for number, case in enumerate(answers[0]):
        for place, field in enumerate(fields if "arrays" in case else ()):
            arrays = [answer[number]["arrays"][place] for answer in answers]
            values = np.array([array["values"] for array in arrays], float)
            coarse = np.array([array["precision"] for array in arrays], float)
            for row in range(len(answers)):
                alike[row] &= _near(values[row], values, field, np.maximum(coarse[row], coarse))
    return list(connected_components(alike, directed=False)[1])


def _near(one: np.ndarray, many: np.ndarray, field: Field, coarse: np.ndarray) -> np.ndarray:
    """Which rows of ``many`` agree with ``one``; NaN agrees with NaN."""
    with np.errstate(invalid="ignore"):
        size = np.maximum(np.abs(one), np.abs(many))
        near = np.abs(many - one) <= field.atol + np.maximum(field.rtol, coarse[:, None]) * size
    return ((one == many) | (np.isnan(one) & np.isnan(many)) | (near & np.isfinite(size))).all(1)


def _traits(about: dict[str, Any]) -> tuple[str, ...]:
    cases, relations = about["cases"], about["relations"]
    last = cases[-1]
    if "raised" in last:
        return (f"raises {last['raised']} on the case of {last['description']}",)
    if odd := [case for case in cases if "arrays" not in case]:
        return (f"{_odd(odd[0])} on the case of {odd[0]['description']}",)
    said = [f"{field}: {words}" for field, words in relations.items()]
    right = [case["description"] for case in cases if case["right"]]
    wrong = [case["description"] for case in cases if not case["right"]]
    if right:
        said.append(f"right on {len(right)} of {len(cases)} cases, wrong on: {'; '.join(dict.fromkeys(wrong))}")
    return tuple(said) or ("wrong on every case",)
