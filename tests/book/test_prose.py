"""Every measured number in a chapter's text is held by its code, and what the code quotes stands in the text."""

import pytest

from mechlib.authoring import checkout
from tests.book import prose

ROOT = checkout.root()
CHAPTERS = {checkout.label(path): path for path in checkout.notebooks(ROOT, "book")}

NAMES = {page: {f"{layer}.{head}" for layer in range(4) for head in range(6)} for page in ("06", "06 (more)")}
NAMES["08 (more)"] = {f"{layer}.{head}" for layer in range(16, 30) for head in range(9)}
NAMES["07"] = {f"{layer}.{head}" for layer in range(4) for head in range(8)} | {"18.6", "18.7"}
"""Numbers that are names, of heads: before a unit they count as numbers all the same."""

UNITS = ("nats", "of", "times", "%", "per", "to")

NOT_HELD = {
    ("07", "its best 24 keep −0.07"): "a search that takes minutes, made once",
    ("15", "at 0.3 with 5,000 steps (two starts of each kind)"): "a longer run, made once",
}
"""Sentences with a number that no code holds, and why."""

SAID_OTHERWISE = {
    ("15", 0.34): "lower the estimates by a third",
}
"""Numbers of ``quoted`` that the text says in other words, and those words."""

SEEN_ELSEWHERE: dict[tuple[str, float], str] = {}
"""Numbers of ``quoted`` that are compared although no text says them, and where they are seen."""


@pytest.fixture(params=CHAPTERS)
def chapter(request) -> tuple[str, list[dict]]:
    return request.param, checkout.read_notebook(CHAPTERS[request.param])["cells"]


def texts(cells: list[dict]) -> list[str]:
    return [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]


def is_name(chapter: str, found: prose.Found) -> bool:
    after = found.sentence.partition(found.text)[2].split()
    return found.text in NAMES.get(chapter, ()) and not (after and after[0].strip(".,;:)") in UNITS)


def excused(chapter: str, found: prose.Found) -> str | None:
    """The words of ``NOT_HELD`` that a number stands in."""
    return next((words for number, words in NOT_HELD if number == chapter and words in found.sentence), None)


def test_a_number_in_the_text_is_held_by_the_code(chapter):
    number, cells = chapter
    literals = prose.literals(cells)
    loose = [
        f"{found.text!r} in: {found.sentence}"
        for text in texts(cells)
        for found in prose.measured(text)
        if not (found.cited or prose.held(found, literals) or is_name(number, found) or excused(number, found))
    ]
    assert loose == []


def test_what_is_excused_is_still_there_and_still_needs_it(chapter):
    number, cells = chapter
    literals = prose.literals(cells)
    used = {
        excused(number, found)
        for text in texts(cells)
        for found in prose.measured(text)
        if not (found.cited or prose.held(found, literals))
    }
    assert used - {None} == {words for name, words in NOT_HELD if name == number}


def test_what_the_code_quotes_stands_in_the_text(chapter):
    number, cells = chapter
    said = prose.spoken(texts(cells))
    unsaid = {(number, value) for _, value in prose.quotations(cells) if not prose.stands(value, said)}
    assert unsaid == {key for key in (*SAID_OTHERWISE, *SEEN_ELSEWHERE) if key[0] == number}


def test_what_is_said_in_other_words_is_said(chapter):
    number, cells = chapter
    text = " ".join(" ".join(texts(cells)).split())
    assert [words for (name, _), words in SAID_OTHERWISE.items() if name == number and words not in text] == []


def markdown(text: str) -> dict:
    return {"cell_type": "markdown", "id": "m", "metadata": {}, "source": text}


def code(text: str, *tags: str) -> dict:
    return {"cell_type": "code", "id": "c", "metadata": {"tags": list(tags)}, "source": text}


def unheld(text: str, *cells: dict) -> list[str]:
    literals = prose.literals(cells)
    return [found.text for found in prose.measured(text) if not found.cited and not prose.held(found, literals)]


ASSERTIONS = code(
    "quoted(x, 0.49, within=0.3)\n"
    "for value, said in zip(values, (1.5, -0.14), strict=True):\n    quoted(value, said, within=0.7)\n"
    "stated(a < 29.9 and n == 1 / 8)\nother = 0.77",
    "remove-cell",
)


@pytest.mark.parametrize(
    ("text", "loose"),
    [
        ("It is 0.49, or .49, or 49 %, or 49 per cent.", []),
        ("It is 0.48, or .48, or 48 %.", ["0.48", ".48", "48 %"]),
        ("From 0.49 to 1.5; −0.14 and -.14 and 0.14.", []),
        ("From 0.49 to 1.6.", ["1.6"]),
        ("It is 29.9 or 4.9e-1, not 4.8e-1 nor 1e-5.", ["4.8e-1", "1e-5"]),
        ("An eighth is 0.125 or 12.5 %; an excess of 50 %, a lack of 51 %.", []),
        ("A tolerance holds nothing: 0.3, 0.7. Nor what is no assertion: 0.77.", ["0.3", "0.7", "0.77"]),
        ("Seen: 0.003 is set. Folded: 0.004 is drawn.", ["0.004"]),
        ("`0.1` and $0.2$ and [this](https://a.b/0.3) and Python 3.11 or version 1.2.3 are none.", []),
        ("A link's own [0.4](x).", ["0.4"]),
        ("They say 0.5 {cite:p}`a2020b`. We say 0.6.", ["0.6"]),
        ("17 of 20 runs, and 16 of the 20.", ["16 of the 20"]),
        ("- An item of 0.51.\n\n> A quotation of 0.52.\n\n## A heading of 0.53", ["0.51", "0.52", "0.53"]),
        ("| here | there {cite:t}`a2020b` |\n|---|---|\n| 0.55 | 0.56 |", ["0.55"]),
        (":::{admonition} Title\n:class: claim\nA box of 0.57.\n:::", ["0.57"]),
        ("It is 1,234.5 or 0.49x or a0.58.", ["1,234.5"]),
    ],
)
def test_the_reader_finds_what_is_planted(text, loose):
    seen, drawn = code("lr = 0.003\nruns = 17, 20"), code("ax.text(0.004)", "hide-input")
    assert unheld(text, ASSERTIONS, seen, drawn) == loose


def test_a_number_changed_in_the_text_or_in_the_code_is_found():
    text = "The loss is 0.49 nats, 1.5 before."
    assert unheld(text, ASSERTIONS) == []
    assert unheld(text.replace("0.49", "0.94"), ASSERTIONS) == ["0.94"]
    changed = code(ASSERTIONS["source"].replace("(1.5,", "(1.4,"), "remove-cell")
    assert unheld(text, changed) == ["1.5"]


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("quoted(x[3], -0.5, within=0.1)", [-0.5]),
        ("quoted(x, 1 / 3, within=0.1)\nquoted(x, y, within=0.2)", [1 / 3]),
        ("for x, said in zip(xs, (0.1, 0.2), strict=True):\n    quoted(x, said, within=1)", [0.1, 0.2]),
        ("for key, a, b in (('k', 1.5, 2), ('l', 3, 4)):\n    quoted(f(key), b, within=a)", [2, 4]),
        ("for kind, said in {'a': 5, 'b': 6}.items():\n    quoted(t[kind], said, within=1)", [5, 6]),
        ("[quoted(s, said, within=1) for s, said in zip(ss, (7, 8))]", [7, 8]),
        (
            "for v, two in zip(vs, ((1, 2), (3, 4))):\n    for w, x in zip(v, two):\n        quoted(w, x, within=1)",
            [1, 2, 3, 4],
        ),
    ],
)
def test_what_is_quoted_is_followed_through_loops(source, values):
    assert [value for _, value in prose.quotations([code(source)])] == values


@pytest.mark.parametrize("value", [0.49, 1.29, 0.71, 13_040, 2_650_000, 0.5, 2, 0.153, 0.002])
def test_a_quoted_number_stands_in_digits_or_in_words(value):
    said = prose.spoken(["It is .49, 29 %, 13,040 of 2.65 million, half or both, 0.15 and $2 \\cdot 10^{-3}$ or 0.002"])
    assert prose.stands(value, said)
    assert not prose.stands(0.48, said) and not prose.stands(0.31, said)
