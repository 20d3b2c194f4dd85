"""What a notebook hands in: itself without its outputs, after saying what is still unanswered."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mechlib.checks.question import Task
from mechlib.checks.record import NOT_TRIED, Record
from mechlib.checks.registry import find

__all__ = ["CHECK", "INVITATION", "WRITTEN", "Hand", "unsaved"]

CHECK = re.compile(r"^check\(\s*[\"']([\w.]+)[\"']", re.MULTILINE)
"""The line that checks an answer, at the margin of a cell; the group is the question's id."""

WRITTEN = re.compile(r"<!-- written: ([\w-]+) -->(?=\n)")
"""The first line of a text cell that holds a written answer; the group is its name."""

SUBMITTED = "mechlib_submission"
"""Where a notebook's metadata hold the digest of the cells that were handed in."""

INVITATION = "*Write your answer here.*"
"""What stands below that line until it is answered."""


def _source(cell: Mapping[str, Any]) -> str:
    return "".join(cell.get("source", ""))


@dataclass(frozen=True)
class Hand:
    """A notebook about to be handed in."""

    notebook: Mapping[str, Any]
    """As ``json`` reads it, format 4."""

    @property
    def code(self) -> list[str]:
        """The sources of its code cells."""
        return [_source(cell) for cell in self.notebook["cells"] if cell.get("cell_type") == "code"]

    @property
    def questions(self) -> list[Task]:
        """The questions and open tasks whose checks stand in it, in its order.

        Raises:
            LookupError: if it checks a question that there is not.
        """
        return [find(question_id) for question_id in dict.fromkeys(CHECK.findall("\n".join(self.code)))]

    @property
    def written(self) -> dict[str, str]:
        """The written answers by name, empty where there is none yet."""
        texts = [_source(cell) for cell in self.notebook["cells"] if cell.get("cell_type") == "markdown"]
        marked = [(found[1], text[found.end() :].strip()) for text in texts if (found := WRITTEN.match(text))]
        return {name: "" if answer == INVITATION else answer for name, answer in marked}

    def open(self, record: Record) -> list[str]:
        """One line for everything that is not answered right as far as this session knows, the emptiest first."""
        states = {
            "not answered": ("unanswered", "interrupted"),
            "not checked in this session": (NOT_TRIED,),
            "not right yet": ("wrong", "raised", "unjudged"),
            "earned in part": ("partly",),
        }
        lines = [
            f"{said}: {question.title} ({question.id})"
            for said, statuses in states.items()
            for question in self.questions
            if record.entry(question.id).status in statuses
        ]
        written = [f"not answered: the written answer {name!r}" for name, answer in self.written.items() if not answer]
        return [*written, *lines]

    @property
    def altered(self) -> bool:
        """Whether this is not, cell for cell, what ``stripped`` once made."""
        return self.notebook.get("metadata", {}).get(SUBMITTED) != self._digest()

    def _digest(self) -> str:
        cells = [(cell.get("cell_type"), _source(cell)) for cell in self.notebook["cells"]]
        return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]

    def stripped(self) -> str:
        """The text of a notebook without outputs and traces of execution: nothing in it but what was written."""

        def bare(cell: Mapping[str, Any]) -> dict[str, Any]:
            kept = {**cell, "metadata": {k: v for k, v in cell.get("metadata", {}).items() if k == "tags"}}
            return {**kept, "outputs": [], "execution_count": None} if cell.get("cell_type") == "code" else kept

        metadata = {key: value for key, value in self.notebook.get("metadata", {}).items() if key != "widgets"}
        metadata[SUBMITTED] = self._digest()
        whole = {**self.notebook, "metadata": metadata, "cells": [bare(cell) for cell in self.notebook["cells"]]}
        return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def unsaved(hand: Hand, executed: Iterable[str]) -> list[str]:
    """Names of the functions that were last executed with another text than they have in the notebook's file."""
    saved, run = _functions(hand.code), _functions(executed)
    return [name for name, text in saved.items() if run.get(name, text) != text]


def _functions(cells: Iterable[str]) -> dict[str, str]:
    """The text of every function at the margin of a cell; of several with one name, the last."""
    found: dict[str, str] = {}
    for cell in cells:
        try:
            tree = ast.parse(cell)
        except (SyntaxError, ValueError):
            continue
        found |= {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    return found
