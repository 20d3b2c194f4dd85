"""Executing the cells of a notebook, and calling the answers that they define.

Everything here shares its process with the notebook's code and may be changed by it. Nothing depends on its honesty:
it holds no right answer, and the grader believes nothing that it says but the numbers.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import math
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch

import mechlib.checks
from mechlib.checks import asking
from mechlib.checks.plain import Plain, plain
from mechlib.checks.question import Case, Field
from mechlib.checks.running import Raised, Returned, run
from mechlib.checks.values import Unreadable, read_fields
from mechlib.grading.worker.frames import Blob, Message, decode, encode, receive, send

__all__ = ["Notebook"]

LARGEST = 4 * 10**6
"""Numbers that an answer may return in all."""

LONGEST = 1000
"""Characters of any text about an answer."""

MAGICS_WITH_CODE = ("time", "timeit", "capture")


class Shell:
    """Stands where IPython's shell is: line magics and shell commands do nothing, timing magics run their cell."""

    def __init__(self, execute: Callable[[str], None]) -> None:
        self._execute = execute

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        """The cell under a magic, if that would have run it."""
        if name in MAGICS_WITH_CODE:
            self._execute(cell)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **keywords: None


class Notebook:
    """A notebook being executed, at the end of the grader's channel."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.process = os.getpid()
        self.module = ModuleType("__main__")
        self.answers: dict[str, list[str]] = {}
        """For every question id, the expressions that the notebook checks, in order."""
        sys.modules["__main__"] = self.module
        shell = Shell(lambda source: exec(_transformed(source), self.names))
        self.names.update(get_ipython=lambda: shell, display=lambda *objects, **keywords: None)
        _replace_checks(self._asked)
        _keep_to_one_thread()

    @property
    def names(self) -> dict[str, Any]:
        """The global names of the notebook."""
        return vars(self.module)

    def serve(self) -> None:
        """Do what the grader asks for until it hangs up."""
        while True:
            try:
                message, blob = receive(self.channel)
            except (EOFError, OSError):
                return
            if "cells" in message:
                for index, source in message["cells"]:
                    self._say({"cell": index})
                    self._execute(index, source)
                self._say({"done": True})
            else:
                self._call(message, blob)

    def _say(self, message: Message, blob: Blob | None = None) -> None:
        """Tell the grader something; a process that a cell forked, and that comes here, ends instead."""
        if os.getpid() != self.process:
            os._exit(0)
        send(self.channel, message, blob)

    def _execute(self, index: int, source: str) -> None:
        name = f"<cell {index + 1}>"
        try:
            text = _transformed(source)
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
            tree = ast.parse(text, name)
            self._note_checks(tree)
            code = compile(tree, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            _seed()
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, self.names))
            else:
                exec(code, self.names)
        except BaseException as error:
            self._say({"raised": index, "kind": type(error).__name__[:80], "message": _text(error)})

    def _note_checks(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "check":
                match node.args:
                    case [ast.Constant(str(question_id)), answer]:
                        self.answers.setdefault(question_id, []).append(ast.unparse(answer))

    def _asked(self, question_id: object, answer: object, *, seed: object = None) -> None:
        """What ``check`` does here: the grader may send cases, the answer runs on them, nothing is said."""
        if not isinstance(question_id, str) or answer is None:
            return
        self._say({"asks": question_id})
        message, blob = receive(self.channel)
        if "cases" in message:
            self._answer(answer, message, blob)

    def _call(self, message: Message, blob: Blob) -> None:
        """Run the answer to a question as it is now: what the notebook checks last, or the function of its name."""
        question_id, answer = message["question"], None
        for expression in [*self.answers.get(question_id, [])[::-1], question_id.partition(".")[2]]:
            try:
                answer = eval(expression, self.names)
            except BaseException:
                continue
            if answer is not None:
                break
        self._answer(answer, message, blob)

    def _answer(self, answer: object, message: Message, blob: Blob) -> None:
        """Run a function on the cases, or hand in a value where one is asked for."""
        if answer is not None and message["takes"] == "value":
            self._run(lambda: answer, message, blob)
        elif callable(answer):
            self._run(answer, message, blob)
        else:
            self._say({"no_answer": "" if answer is None else type(answer).__name__[:80]})

    def _run(self, answer: Callable[..., object], message: Message, blob: Blob) -> None:
        """Fields are the quantities that are read off what comes back; without any it is plain data."""
        fields = [Field(name) for name in message["fields"]]
        returned, numbers = Blob(), Numbers()
        outcomes: list[Message] = []
        for inputs in message["cases"]:
            _seed()
            case = Case("", {name: decode(value, blob) for name, value in inputs})
            outcomes.append(told(run(answer, case), fields, returned, numbers))
            if "raised" in outcomes[-1]:
                break
        self._say({"outcomes": outcomes}, returned)


class Numbers:
    """How many numbers an answer has returned so far."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, shape: tuple[int, ...]) -> None:
        """Count one array.

        Raises:
            Unreadable: if there are too many.
        """
        self.count += math.prod(shape)
        if self.count > LARGEST:
            raise Unreadable(f"more than {LARGEST} numbers in all, which is more than are read")


def told(outcome: Returned | Raised, fields: list[Field], returned: Blob, numbers: Numbers) -> Message:
    """What the grader is told of an outcome; tensors go into ``returned``."""
    if isinstance(outcome, Raised):
        about = {name: _cut(value) for name, value in vars(outcome).items()}
        return {"raised": about}
    changed = list(outcome.changed)
    if outcome.value is None:
        return {"changed": changed, "none": True}
    try:
        if not fields:
            given = plain(outcome.value)
            for array in arrays_of(given):
                numbers.add(array.shape)
            return {"changed": changed, "plain": encode(given, returned)}
        readings = read_fields(outcome.value, fields)
        for reading in readings:
            numbers.add(reading.values.shape)
    except Unreadable as error:
        return {"changed": changed, "unreadable": _text(error)}
    arrays = [{**returned.put(reading.values), "precision": reading.precision} for reading in readings]
    return {"changed": changed, "arrays": arrays}


def arrays_of(value: Plain) -> Iterator[torch.Tensor]:
    """The arrays in plain data."""
    if isinstance(value, torch.Tensor):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from arrays_of(part)


def _replace_checks(asked: Callable[..., None]) -> None:
    """Put in place of what a notebook imports from ``mechlib.checks`` what asks the grader, or nothing."""
    for name in mechlib.checks.__all__:
        stand_in = {"check": asked, "solved": lambda *ids: False, "as_tensor": mechlib.checks.as_tensor}.get(
            name, lambda *arguments, **keywords: None
        )
        for module in (mechlib.checks, asking):
            setattr(module, name, stand_in)


def _keep_to_one_thread() -> None:
    """Let torch start no pools of threads: they would take turns on the one processor that a notebook has, and use up
    the processes that it may start."""
    for name in ("set_num_threads", "set_num_interop_threads"):
        setattr(torch, name, lambda number: None)


def _seed() -> None:
    """The same randomness for every notebook, so that grading twice gives the same."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _transformed(source: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(source)


def _text(error: BaseException) -> str:
    try:
        return _cut(str(error))
    except Exception:
        return ""


def _cut(value: Any) -> Any:
    return value[:LONGEST] if isinstance(value, str) else value
