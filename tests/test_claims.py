"""Verdicts keep their fields through a notebook, refuse what makes no sense, and quoted numbers are compared."""

import dis
import inspect
import json
import math
import platform
import sys

import pytest
import torch
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from mechlib import claims
from mechlib.claims import METADATA, WORDS, Verdict, outcome, quoted, stated, verdict
from mechlib.stats import Estimate

FIELDS = {
    "claim": "Layers < 3 & > 1 matter.",
    "source": "somebody 2020 (S9)",
    "measure": "loss with it minus loss without",
    "effect": -0.125,
    "interval": (-0.25, 0.5),
    "unit": "nats per token",
    "note": "One seed.",
}


@pytest.mark.parametrize("word", WORDS)
def test_the_fields_come_back_from_a_notebooks_json(word):
    given = verdict("02a", word, **FIELDS)
    _, metadata = given._repr_mimebundle_()
    assert Verdict.from_data(json.loads(json.dumps(metadata[METADATA]))) == given


def test_every_field_is_the_argument_of_its_name():
    _, metadata = verdict("02a", "refuted", **FIELDS)._repr_mimebundle_()
    assert metadata[METADATA] == {"claim_id": "02a", "verdict": "refuted", **FIELDS}


def test_page_and_terminal_say_the_same():
    data, _ = verdict("02a", "refuted", **FIELDS)._repr_mimebundle_()
    for part in ("02a", "✗ refuted", "-0.125 nats per token", "-0.25 to +0.5", "somebody 2020 (S9)", "One seed."):
        assert part in data["text/html"].replace("<strong>", "").replace("</strong>", "")
        assert part in data["text/plain"]
    assert "Layers &lt; 3 &amp; &gt; 1 matter." in data["text/html"]
    assert 'class="mechlib-verdict refuted"' in data["text/html"]
    other = verdict("02a", "supported", **FIELDS | {"effect": 0.125, "unit": "nats < bits"})
    assert "+0.125 nats < bits" in str(other) and "+0.125 nats &lt; bits" in other._repr_mimebundle_()[0]["text/html"]


@pytest.mark.parametrize("effect", FIELDS["interval"])
def test_an_effect_may_be_an_end_of_its_interval(effect):
    assert verdict("02a", "supported", **FIELDS | {"effect": effect}).effect == effect


def test_an_effect_may_be_a_tensor_of_one_element():
    given = verdict("02a", "supported", **FIELDS | {"effect": torch.tensor(0.25), "interval": torch.tensor([0.0, 1.0])})
    assert (given.effect, given.interval) == (0.25, (0.0, 1.0))


def test_an_estimate_brings_its_interval():
    fields = {name: value for name, value in FIELDS.items() if name not in ("effect", "interval")}
    given = verdict("02a", "refuted", effect=Estimate(-0.125, -0.25, 0.5, 8), **fields)
    assert given == verdict("02a", "refuted", **FIELDS)
    for twice_or_never in ({"effect": Estimate(0, 0, 0, 8), "interval": (0, 0)}, {"effect": 0.0}):
        with pytest.raises(TypeError, match="as an Estimate or beside its interval, got"):
            verdict("02a", "refuted", **fields, **twice_or_never)


@pytest.mark.parametrize(
    ("supported", "refuted", "control", "word"),
    [
        (True, False, True, "supported"),
        (False, True, True, "refuted"),
        (False, False, True, "undecided"),
        (True, False, False, "undecided"),
        (False, True, False, "undecided"),
        (True, None, True, "supported"),
        (False, None, True, "refuted"),
        (False, None, False, "undecided"),
    ],
)
def test_a_rule_comes_to_one_of_three_words(supported, refuted, control, word):
    assert outcome(supported=supported, refuted=refuted, control=control) == word in WORDS


def test_a_rule_that_says_both_is_refused():
    with pytest.raises(ValueError, match="both supports and refutes"):
        outcome(supported=True, refuted=True)


@pytest.mark.parametrize(
    ("claim_id", "word", "change", "message"),
    [
        ("2a", "supported", {}, "two digits and a letter.*'2a'"),
        ("02a", "proved", {}, "supported, refuted, undecided, not 'proved'"),
        ("02ab", "supported", {}, "two digits and a letter.*'02ab'"),
        ("02a", "supported", {"interval": (0.0, 1.0)}, "-0.125 does not lie in its interval"),
        ("02a", "supported", {"interval": (-1.0, -0.5)}, "-0.125 does not lie in its interval"),
        ("02a", "supported", {"interval": (-1.0, 1.0, 2.0)}, "does not lie in its interval"),
        ("02a", "supported", {"effect": math.nan}, "does not lie"),
        ("02a", "supported", {"interval": (-math.inf, 1.0)}, "not finite"),
        *(("02a", "supported", {name: " "}, f"02a has no {name}") for name in ("claim", "source", "measure", "unit")),
    ],
)
def test_what_is_no_verdict_is_refused(claim_id, word, change, message):
    with pytest.raises(ValueError, match=message):
        verdict(claim_id, word, **FIELDS | change)


@pytest.fixture(params=["a reader", "another Python"])
def lenient(request, monkeypatch):
    """Where the numbers of the prose need not hold."""
    if request.param == "a reader":
        monkeypatch.delenv("MECHLIB_STRICT")
    else:
        monkeypatch.setattr(claims, "WRITTEN_FOR", (2, 7))
    return ".".join(map(str, claims.WRITTEN_FOR))


@pytest.fixture
def strict(monkeypatch):
    """The tests of the book on the Python that it was written for."""
    monkeypatch.setenv("MECHLIB_STRICT", "1")
    monkeypatch.setattr(claims, "WRITTEN_FOR", sys.version_info[:2])


@pytest.mark.parametrize("measured", [3.0, 3.6, math.nan])
def test_a_quoted_number_outside_its_tolerance_fails_the_tests(strict, measured):
    quoted(torch.tensor(3.5), 3.25, within=0.25)
    quoted(5.0, 3.25, within=2)
    with pytest.raises(AssertionError, match=r"the text says 3.3 \(within 0.2\), this run gives"):
        quoted(measured, 3.3, within=0.2)


@pytest.mark.parametrize("measured", [3.0, 3.6, math.nan])
def test_elsewhere_it_warns_and_names_both_numbers_and_both_versions(lenient, measured, recwarn):
    quoted(torch.tensor(3.5), 3.25, within=0.25)
    assert not recwarn.list
    with pytest.warns(claims.ProseWarning, match=rf"says 3.3 \(within 0.2\), this run gives {measured:g};") as warned:
        quoted(measured, 3.3, within=0.2)
    assert f"Python {lenient}" in str(warned[0].message) and platform.python_version() in str(warned[0].message)
    assert warned[0].filename == __file__


def test_what_is_stated_is_told_as_it_stands(strict):
    gap = torch.tensor([1.0, 2.0])
    stated(gap.max() < 3)
    with pytest.raises(AssertionError, match=r"rests on \(gap\.max\(\) < 1\.5\), and in this run that is not so"):
        stated(gap.max() < 1.5)


def test_where_python_keeps_no_ranges_of_code_the_first_line_is_told(strict, monkeypatch):
    """As with ``python -X no_debug_ranges``."""
    whole = inspect.getframeinfo

    def bare(frame):
        info = whole(frame)
        info.positions = dis.Positions(lineno=info.lineno)
        return info

    monkeypatch.setattr(inspect, "getframeinfo", bare)
    with pytest.raises(AssertionError, match=r"rests on \(1 \+ 1 == 3\), and in this run that is not so"):
        stated(1 + 1 == 3)


def test_what_is_stated_is_warned_of_elsewhere(lenient):
    with pytest.warns(claims.ProseWarning, match=rf"rests on \( 1 \+ 1 == 3 \).*Python {lenient}.*Python 3"):
        stated(
            1 + 1
            == 3
        )  # fmt: skip


def test_a_notebook_goes_on_and_shows_the_statement(monkeypatch, tmp_path):
    """In a kernel, where a cell is no file."""
    monkeypatch.delenv("MECHLIB_STRICT")
    sources = ["from mechlib.claims import stated", "x = 4\nfor y in (5, 3):\n    stated(x < y)", "print('on')"]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    (warned,) = notebook.cells[1].outputs
    assert warned.name == "stderr" and "the text rests on (x < y)" in warned.text
    assert notebook.cells[2].outputs[0].text == "on\n"
