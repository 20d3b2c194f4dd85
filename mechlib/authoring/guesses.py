"""How a chapter asks for guesses: each directly before its result, and answered in the same section.

A cell that ends with ``guess(...)`` has the tag ``remove-input``, for the page asks by itself; one that ends with
``answer(...)`` has ``hide-input``. The page folds what stands between a guess and the next heading.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from mechlib.authoring import markdown
from mechlib.authoring.checkout import Notebook

__all__ = ["TAG", "problems"]

TAG = {"guess": "remove-input", "answer": "hide-input"}
"""The functions of ``mechlib.guesses`` that a chapter calls, each with the tag of its cells."""


@dataclass(frozen=True)
class _Call:
    """A call of one of them as the last expression of a cell."""

    function: str
    guess_id: object
    """Its first argument, if that is written out; ``None`` otherwise."""
    node: ast.Call
    section: int
    """How many headings stand above it."""
    tags: tuple[str, ...]


def problems(notebook: Notebook, name: str) -> list[str]:
    """One sentence for everything that a reader or the page would stumble over.

    Args:
        notebook: a chapter.
        name: of its file, which begins with its number.
    """
    calls = list(_calls(notebook))
    found = [f"{name}: {call.function}({call.guess_id!r}) {said}" for call in calls for said in _of_call(call, name)]
    asked = [call for call in calls if call.function == "guess"]
    answered = [call for call in calls if call.function == "answer"]
    for guess_id in dict.fromkeys(call.guess_id for call in calls):
        places = [
            [(calls.index(call), call.section) for call in each if call.guess_id == guess_id]
            for each in (asked, answered)
        ]
        if [len(each) for each in places] != [1, 1]:
            found.append(f"{name}: {guess_id!r} is asked {len(places[0])} times and answered {len(places[1])} times")
        elif places[0] > places[1] or places[0][0][1] != places[1][0][1]:
            found.append(f"{name}: {guess_id!r} is not answered after its guess and before the next heading")
    return found


def _of_call(call: _Call, name: str) -> Iterator[str]:
    if not isinstance(call.guess_id, str) or not call.guess_id.startswith(name[:2]):
        yield f"is not named by a string that begins with {name[:2]}"
    if TAG[call.function] not in call.tags:
        yield f"stands in a cell without the tag {TAG[call.function]}"
    if any(keyword.arg == "mine" for keyword in call.node.keywords):
        yield "has somebody's guess in it: leave mine= to the reader"
    written = call.node.args[1:2]
    if call.function == "answer" and written and _typed(written[0]):
        yield "is typed: give it the value that was computed"
    if call.function == "guess" and "$" in ast.unparse(call.node):
        yield "has a formula in it, which is not set"


def _typed(node: ast.expr) -> bool:
    """Whether a value has no name in it."""
    return not any(isinstance(part, ast.Name) for part in ast.walk(node))


def _calls(notebook: Notebook) -> Iterator[_Call]:
    section = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            section += sum(passage.kind == "heading" for passage in markdown.passages(cell["source"]))
        elif cell["cell_type"] == "code":
            tags = tuple(cell["metadata"].get("tags", ()))
            for node in _ends(cell["source"]):
                first = node.args[0] if node.args else None
                guess_id = first.value if isinstance(first, ast.Constant) else None
                yield _Call(ast.unparse(node.func), guess_id, node, section, tags)


def _ends(source: str) -> Iterator[ast.Call]:
    """The call with which a cell ends, if it is one of them."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a line for IPython
        return
    match body[-1:]:
        case [ast.Expr(ast.Call(ast.Name(function)) as node)] if function in TAG:
            yield node
