"""Grading one notebook: its cells are executed in order, and each answer is put to the hidden cases of its question.

An answer is asked where the notebook checks it, and again at the end where it was not right yet: as in the notebook
itself, what was right once keeps its points. A cell or an answer that ends or hangs its process is left out, and what
is not decided by then is graded in a fresh one.

Time counts while a process of the notebook is there: starting one, drawing cases and judging take none of it.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from mechlib.checks.judging import Judgement, judged_no_function
from mechlib.checks.open_task import OpenTask
from mechlib.checks.question import Question
from mechlib.grading.assignment import Asked, Assignment, text
from mechlib.grading.notebook import Cell
from mechlib.grading.results import GradeStatus, QuestionGrade
from mechlib.grading.worker.frames import BadFrame, Blob, Message
from mechlib.grading.workshop import Lost, Worker, Workshop

__all__ = ["Marking"]

STATUS: dict[str, GradeStatus] = {
    "right": "right",
    "partly": "partly",
    "wrong": "wrong",
    "raised": "error",
    "interrupted": "timeout",
    "unanswered": "unanswered",
    "unjudged": "unjudged",
}
MOST_TRIES = 10
"""How often the checks of one question are answered, however often the notebook is run: an answer is not found by
trying out."""

MOST_PROBLEMS = 20
WHOLE = 10.0
"""Time for a notebook, in units of the time for a cell."""
PATIENCE = 2.0
"""The same with the time in which it waited for a processor, in units of ``WHOLE``."""


class Marking:
    """The grades of one notebook in the making."""

    def __init__(self, assignment: Assignment, cells: tuple[Cell, ...], *, timeout: float) -> None:
        self.assignment = assignment
        self.cells = cells
        self.timeout = timeout
        self.judgements: dict[str, Judgement] = {}
        self.problems: dict[str, None] = {}
        """Sentences, without repetition, in order."""
        self.needs_human = False
        self.tries: Counter[str] = Counter()
        """By question, how often its checks were answered."""
        self._decided: set[str] = set()
        self._left_out: dict[int, Lost] = {}
        self._failed: dict[int, str] = {}
        self._lost: dict[str, Lost] = {}
        self.returned: dict[str, str] = {}
        """By question, what a wrong answer that is no known mistake did on the cases that the class has in common."""

    def run(self, workshop: Workshop) -> None:
        """Grade every question.

        Raises:
            OSError: if no worker can be started.
        """
        left, patience = WHOLE * self.timeout, PATIENCE * WHOLE * self.timeout
        while self.open():
            worker = workshop.worker()
            run = Run(self, worker, left, patience)
            try:
                run.through()
                return
            except Hindrance as hindrance:
                left, patience = run.left()
                if min(left, patience) <= 0:
                    self._out_of_time()
                    return
                self._leave_out(hindrance)
            finally:
                worker.end()

    def open(self) -> list[str]:
        """The questions without a final judgement."""
        return [question_id for question_id in self.assignment.asked if question_id not in self._decided]

    def decide(self, question_id: str, judgement: Judgement) -> None:
        """Note a judgement; a right one is final, and one that earns less than an earlier one is not noted."""
        before = self.judgements.get(question_id)
        if before is not None and (before.earned or 0) > (judgement.earned or 0) and judgement.status != "right":
            return
        self.judgements[question_id] = judgement
        self.needs_human |= judgement.status == "unjudged"
        if judgement.status == "right":
            self._decided.add(question_id)

    def is_open(self, question_id: object) -> bool:
        """Whether a question of the assignment has no final judgement."""
        return question_id in self.assignment.asked and question_id not in self._decided

    def cells_left(self) -> list[Cell]:
        """The cells that no worker was lost on."""
        return [cell for cell in self.cells if cell.index not in self._left_out]

    def failed(self, cell: int, kind: str, message: str) -> None:
        """Note that a cell raised."""
        first = (message.strip().splitlines() or [""])[0]
        self._failed[cell] = f"Cell {cell + 1} raised {kind}" + (f": {first}" if first else "")
        self._problem(self._failed[cell] + ".")

    def _leave_out(self, hindrance: Hindrance) -> None:
        lost, self.needs_human = hindrance.lost, True
        if hindrance.question is not None:
            self._decided.add(hindrance.question)
            self._lost[hindrance.question] = lost
            self._problem(f"The answer to {hindrance.question} {lost}.")
        else:
            self._left_out[hindrance.cell] = lost
            self._problem(f"Cell {hindrance.cell + 1} {lost}; the rest was graded without it.")

    def _out_of_time(self) -> None:
        self.needs_human = True
        self._problem(f"The notebook as a whole was stopped after {WHOLE * self.timeout:g} seconds.")
        for question_id in self.open():
            self._lost[question_id] = Lost("was not reached before the time was up", slow=True)

    def _problem(self, sentence: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems[sentence] = None

    def grades(self) -> tuple[QuestionGrade, ...]:
        """The grade of every question, in the order of the notebook."""
        return tuple(self._grade(asked) for asked in self.assignment.asked.values())

    def _grade(self, asked: Asked) -> QuestionGrade:
        question, judgement = asked.question, self.judgements.get(asked.question.id)
        lost = self._lost.get(question.id)
        if lost is not None:
            status: GradeStatus = "timeout" if lost.slow else "error"
            return graded(asked, status, f"your function {lost}.", needs_human=True)
        if judgement is None or (judgement.status == "unanswered" and not judgement.headline):
            return self._missing(asked)
        status = "misconception" if judgement.misconception else STATUS[judgement.status]
        message = "\n".join([judgement.headline, *judgement.details])
        earned, look = judgement.earned or 0.0, status == "unjudged"
        grade = graded(asked, status, message, misconception=judgement.misconception, earned=earned, needs_human=look)
        return replace(grade, returned=self.returned.get(question.id, ""))

    def unnamed(self) -> list[str]:
        """The questions whose answer was wrong, or raised, and is no known mistake."""
        found = ((name, self.judgements.get(name), asked.question) for name, asked in self.assignment.asked.items())
        return [
            name
            for name, judgement, question in found
            if isinstance(question, Question)
            and name not in self._lost
            and judgement is not None
            and judgement.status in ("wrong", "raised")
            and not judgement.misconception
        ]

    def _missing(self, asked: Asked) -> QuestionGrade:
        """The grade where no function was found: a cell that would define it may have failed."""
        name = asked.question.id.partition(".")[2]
        defines = re.compile(rf"^[ \t]*(?:async +)?def {name}\b|^{name} *=", re.MULTILINE)
        for cell in self.cells:
            if defines.search(cell.source) and (lost := self._left_out.get(cell.index)):
                status: GradeStatus = "timeout" if lost.slow else "error"
                return graded(asked, status, f"cell {cell.index + 1}, which defines {name}, {lost}.", needs_human=True)
            if defines.search(cell.source) and cell.index in self._failed:
                return graded(asked, "error", f"{name} is not defined. {self._failed[cell.index]}.")
        unfilled = isinstance(asked.question, OpenTask) and asked.question.cases is None
        return graded(
            asked, "unanswered", "not answered yet" if unfilled else f"not answered: there is no function {name}."
        )


class Hindrance(Exception):
    """A worker was lost, on a cell or on the answer to a question."""

    def __init__(self, lost: Lost, cell: int, question: str | None) -> None:
        super().__init__(str(lost))
        self.lost, self.cell, self.question = lost, cell, question


class Run:
    """One run through the notebook in one worker."""

    def __init__(self, marking: Marking, worker: Worker, left: float, patience: float) -> None:
        """Begin a run.

        Args:
            left: seconds that the notebook as a whole still has.
            patience: the same with those in which it waits for a processor.
        """
        began = time.monotonic()
        self.marking, self.worker, self.ends = marking, worker, began + left
        worker.latest = began + patience
        self.cell = -1
        self.question: str | None = None
        self._until = self.ends
        """When the time of the cell or answer is up."""

    def left(self) -> tuple[float, float]:
        """The seconds that are left of the time of the notebook as a whole, and of the patience with it."""
        now = time.monotonic()
        return self.ends + self.worker.starved - now, self.worker.latest - now

    def through(self) -> None:
        """Execute the cells, then ask what is still open.

        Raises:
            Hindrance: if the worker was lost.
        """
        try:
            self._cells()
            for question_id in self.marking.assignment.asked:
                if self.marking.is_open(question_id):
                    self._ask(question_id, {"question": question_id})
        except Lost as lost:
            if lost.slow:
                lost = Lost(f"was stopped after {self.marking.timeout:g} seconds", slow=True)
            raise Hindrance(lost, self.cell, self.question) from None
        except BadFrame as error:
            raise Hindrance(Lost(f"interfered with grading: {error}"), self.cell, self.question) from None
        self._look_closer()

    def _look_closer(self) -> None:
        """Run the answers that are wrong in no known way on the common cases. All grades stand: whatever becomes of the
        worker here, it changes none."""
        with contextlib.suppress(Lost, BadFrame):
            for question_id in self.marking.unnamed():
                common = self.marking.assignment.asked[question_id].common
                with self._stopped():
                    message = {**common.message, "question": question_id}
                answer, blob = self._put(common, message)
                with self._stopped():
                    if "outcomes" in answer:
                        self.marking.returned[question_id] = common.returned(answer, blob)

    def _cells(self) -> None:
        cells = self.marking.cells_left()
        if not cells:
            return
        self.cell = cells[0].index
        self._begin()
        self.worker.send({"cells": [[cell.index, cell.source] for cell in cells]}, seconds=self._seconds())
        coming = [cell.index for cell in cells]
        while self.marking.open():
            message, _ = self.worker.receive(seconds=self._seconds())
            if coming and message.get("cell") == coming[0]:
                self.cell = coming.pop(0)
                self._begin()
            elif message.get("raised") == self.cell:
                self.marking.failed(self.cell, text(message.get("kind"), 80), text(message.get("message"), 300))
            elif isinstance(message.get("asks"), str):
                self._asked(message["asks"])
            elif message.get("done") is True and not coming:
                return
            else:
                raise BadFrame("a message that does not belong here")

    def _asked(self, question_id: str) -> None:
        """The notebook checks an answer."""
        if self.marking.is_open(question_id) and self.marking.tries[question_id] < MOST_TRIES:
            self.marking.tries[question_id] += 1
            left = self._until + self.worker.starved - time.monotonic()
            self._ask(question_id, {})
            self._begin(left)
        else:
            self.worker.send({}, seconds=self._seconds())

    def _ask(self, question_id: str, message: Message) -> None:
        asked, self.question = self.marking.assignment.asked[question_id], question_id
        with self._stopped():
            message = {**asked.message, **message}
        answer, blob = self._put(asked, message)
        with self._stopped():
            self.marking.decide(question_id, _judged(asked, answer, blob))
        self.question = None

    def _put(self, asked: Asked, message: Message) -> tuple[Message, Blob]:
        """What the worker says to a question."""
        self._begin()
        self.worker.send(message, asked.blob, seconds=self._seconds())
        return self.worker.receive(seconds=self._seconds())

    @contextlib.contextmanager
    def _stopped(self) -> Iterator[None]:
        """Stop the clocks of the notebook as a whole while the grader works."""
        began = time.monotonic()
        try:
            yield
        finally:
            worked = time.monotonic() - began
            self.ends += worked
            self.worker.latest += worked

    def _begin(self, seconds: float | None = None) -> None:
        """From now on there is the time of a cell or an answer, or what was left of it."""
        self._until = time.monotonic() + (self.marking.timeout if seconds is None else seconds) - self.worker.starved

    def _seconds(self) -> float:
        """Time for the next step.

        Raises:
            Lost: if there is none: however fast a cell's messages come, it ends.
        """
        left = min(self.worker.latest, min(self.ends, self._until) + self.worker.starved) - time.monotonic()
        if left <= 0:
            raise Lost("is too slow", slow=True)
        return left


def _judged(asked: Asked, message: Message, blob: Blob) -> Judgement:
    if "no_answer" not in message:
        return asked.judged(message, blob)
    kind = text(message["no_answer"], 80)
    return judged_no_function(kind) if kind else Judgement("unanswered", "")


def graded(
    asked: Asked,
    status: GradeStatus,
    message: str,
    *,
    misconception: str | None = None,
    earned: float = 0.0,
    needs_human: bool = False,
) -> QuestionGrade:
    """A grade with the score that its status earns, which for a part of an open task is what was ``earned``."""
    question = asked.question
    score = question.points if status == "right" else earned if status == "partly" else 0
    return QuestionGrade(
        question.id, question.title, question.points, score, status, misconception, message, needs_human
    )
