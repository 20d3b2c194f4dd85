"""Whatever must not reach students is found wherever it is hidden."""

import base64

import pytest

from mechlib.course.archive import packed
from mechlib.course.leaks import answer_lines, leaks

SECRET = b"00112233445566778899aabbccddeeff"


def notebook(*cells):
    return {
        "cells": [
            {"cell_type": kind, "id": str(i), "metadata": {"tags": tags}, "source": source}
            for i, (kind, source, *tags) in enumerate(cells)
        ]
    }


SOLUTION = notebook(
    ("markdown", "# Title"),
    (
        "code",
        "import torch\ndef f(x):\n    ### BEGIN SOLUTION\n    import torch\n    return x.softmax(dim=-1).log()\n"
        "    y = 1\n    ### END SOLUTION",
    ),
    ("code", "assert f(torch.ones(3)).sum() < 0", "solution-only"),
    ("markdown", "<!-- written: why -->\n\nBecause the sum is taken in another order."),
)
HIDDEN = [
    "return x.softmax(dim=-1).log()",
    "assert f(torch.ones(3)).sum() < 0",
    "Because the sum is taken in another order.",
]


def test_the_answers_are_what_is_hidden_long_and_nowhere_else():
    assert answer_lines(SOLUTION) == set(HIDDEN)


def test_what_another_exercise_gives_away_is_no_answer():
    other = notebook(("code", "y = 2\nreturn x.softmax(dim=-1).log()"))
    assert answer_lines(SOLUTION, other) == set(HIDDEN[1:])


def test_an_honest_file_has_no_leak():
    honest = b"import torch\ndef f(x):\n    raise NotImplementedError  # your answer here\n"
    assert leaks({"f.py": honest, "students.zip": packed({"f.py": honest})}, SECRET, [SOLUTION]) == []


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        SECRET.upper(),
        bytes.fromhex(SECRET.decode()),
        base64.b64encode(SECRET),
        base64.b64encode(bytes.fromhex(SECRET.decode())),
    ],
)
def test_the_secret_is_found_in_any_form_also_in_a_zip_in_a_zip(form):
    inner = packed({"data.bin": b"some " + form + b" bytes"})
    found = leaks({"students.zip": packed({"more.zip": inner})}, SECRET, [])
    assert "students.zip: more.zip: data.bin holds the secret" in found


def test_a_secret_that_is_not_hexadecimal_is_found():
    assert leaks({"a": b"..correct horse battery.."}, b"correct horse battery", []) == ["a holds the secret"]


@pytest.mark.parametrize("line", HIDDEN)
def test_a_line_of_a_solution_is_found_in_a_notebook_s_cell(line):
    content = ('{"cells": [{"source": ["x = 1\\n", "' + f"  {line}" + '"]}]}').encode()
    assert leaks({"a.ipynb": content}, SECRET, [SOLUTION]) == [f"a.ipynb holds a line of a solution: {line!r}"]


@pytest.mark.parametrize("marker", ["### BEGIN SOLUTION", "### END HIDDEN TESTS"])
def test_a_marker_is_found(marker):
    assert leaks({"a.py": f"x\n{marker}\n".encode()}, SECRET, []) == [f"a.py holds the marker {marker!r}"]
