"""The ledger is what executed chapters say, up to numbers that differ between machines."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from nbformat.v4 import new_output

from mechlib.authoring import ledger
from mechlib.authoring.outputs import Outputs
from mechlib.claims import Line, ProseWarning, Verdict, prose, verdict, withdrawn

CHAPTER = "book/part1/02_lens.ipynb"
FIELDS = {"claim": "It | holds.", "source": "somebody 2020 (S9)", "measure": "gap", "unit": "nats", "note": "One seed."}


@pytest.fixture
def executed(checkout_folder):
    """``executed(verdict, ...)`` leaves the chapter executed with these verdicts in its output."""

    def leave(*found, edit=""):
        outputs = Outputs(checkout_folder)
        chapter = outputs.chapter(Path(CHAPTER))
        cell = next(cell for cell in chapter.notebook.cells if cell.cell_type == "code")
        for one in found:
            data, metadata = one._repr_mimebundle_()
            cell.outputs.append(new_output("display_data", data=data, metadata=metadata))
        cell.source += edit
        outputs.keep(chapter)
        return checkout_folder

    return leave


def measured(effect, *, word="supported", low=1.0, high=2.0, **change):
    return verdict("02a", word, effect=effect, interval=(low, high), **FIELDS | change)


def test_the_page_has_a_row_for_every_verdict_and_is_then_up_to_date(executed):
    folder = executed(measured(1.5))
    assert ledger.write(folder) == [folder / ledger.PAGE]
    row = next(line for line in (folder / ledger.PAGE).read_text().splitlines() if "02a" in line)
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert cells == [
        "**02a** ([chapter 02](part1/02_lens.ipynb)) somebody 2020 (S9); in our words.",
        r"It \| holds.",
        "✓ supported",
        "gap: +1.5 [+1, +2] nats",
        "One seed.",
    ]
    assert ledger.write(folder) == [] and ledger.stale(folder) == []


@pytest.mark.parametrize(
    ("now", "problem"),
    [
        (measured(1.9), None),
        (measured(1.5, low=1.1, high=2.4), None),
        (measured(3.4, low=2.9, high=3.9), None),
        (measured(3.6, low=3.1, high=4.0), "says 1.5, the chapter 3.6"),
        (measured(1.5, word="refuted"), "refuted"),
        (measured(1.5, note="Two seeds."), "Two seeds"),
    ],
)
def test_words_are_compared_exactly_and_numbers_within_the_interval(executed, now, problem):
    ledger.write(executed(measured(1.5)))
    found = ledger.stale(executed(now))
    assert len(found) == (problem is not None)
    assert all(problem in line and "02a" in line for line in found)


def test_on_another_python_what_differs_is_warned_of(executed, monkeypatch):
    folder = executed(measured(1.5))
    ledger.write(folder)
    monkeypatch.setattr(prose, "WRITTEN_FOR", (2, 7))
    with pytest.warns(ProseWarning, match="02a"):
        assert ledger.stale(executed(measured(3.6, low=3.1, high=4.0))) == []
    (folder / ledger.PAGE).write_text("")
    assert len(ledger.stale(folder)) == 1


WHOLE = Verdict(
    "02a",
    "depends on probe",
    source="somebody 2020 (S9)",
    words="It | holds.",
    place="section 3",
    tested="It holds here.",
    narrower="One model.",
    measure="gap",
    unit="nats",
    line=Line("supported", 1.5, (1.0, 2.0)),
    knobs={"probe": {"weak": Line("refuted", -1.5, (-2.0, -1.0)), "strong": Line("supported", 1.5, (1.0, 2.0))}},
    also={"smollm2-135m": Line("refuted", -3.0, (-3.5, -2.5))},
    open="Another text.",
)


def test_what_was_said_what_is_tested_and_what_could_turn_it_have_their_cells(executed):
    folder = executed(WHOLE)
    ledger.write(folder)
    rows = [line for line in (folder / ledger.PAGE).read_text().splitlines() if "**02a" in line]
    assert [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows] == [
        [
            r"**02a** ([chapter 02](part1/02_lens.ipynb)) “It \| holds.” (somebody 2020 (S9), section 3)",
            "It holds here. One model.",
            "↔ depends on probe",
            "gap: +1.5 [+1, +2] nats",
            "probe = weak makes it refuted.<br>Another text.",
        ],
        ["**02a on smollm2-135m**", "the same", "✗ refuted", "gap: -3 [-3.5, -2.5] nats", ""],
    ]
    assert ledger.stale(folder) == [] and ledger.recorded(folder) == {"02a": "↔ depends on probe"}


def test_each_system_has_the_tolerance_of_its_own_interval(executed):
    ledger.write(executed(WHOLE))
    near, far = (replace(WHOLE, also={"smollm2-135m": Line("refuted", m, (m - 0.5, m + 0.5))}) for m in (-4.9, -5.1))
    assert ledger.stale(executed(near)) == []
    (problem,) = ledger.stale(executed(far))
    assert "claim 02a on smollm2-135m: the page says -3, the chapter -5.1" in problem


def test_a_setting_that_becomes_undecided_elsewhere_is_no_difference_and_what_is_left_open_is(executed):
    ledger.write(executed(WHOLE))
    knobs = {"probe": {"weak": Line("refuted", -1.5, (-2.0, -1.0)), "strong": Line("undecided", 1.5, (0.0, 2.0))}}
    assert ledger.stale(executed(replace(WHOLE, knobs=knobs))) == []
    (problem,) = ledger.stale(executed(replace(WHOLE, knobs=knobs, open="Another model.")))
    assert "Another model." in problem and "makes it" not in problem


def test_a_claim_that_was_not_measured_stands_with_its_reason(executed):
    folder = executed(withdrawn("02a", said="our own", tested="It helps.", reason="Nothing reads that place."))
    ledger.write(folder)
    row = "| It helps. | – withdrawn |  | Nothing reads that place. |"
    assert row in (folder / ledger.PAGE).read_text() and ledger.stale(folder) == []


def test_a_missing_row_and_a_row_too_many_are_told(executed):
    folder = executed(measured(1.5))
    (folder / ledger.PAGE).parent.mkdir(exist_ok=True)
    (folder / ledger.PAGE).write_text("| **09c** Something. | x |\n")
    first, second = ledger.stale(folder)
    assert "no row for claim 02a" in first and "09c" in second


def test_a_chapter_that_was_not_executed_as_it_stands_is_named(executed, checkout_folder):
    for prepare in (lambda: checkout_folder, lambda: executed(measured(1.5), edit="  # another")):
        with pytest.raises(FileNotFoundError, match=f"{CHAPTER} has not been executed as it now stands: .*make html"):
            ledger.write(prepare())


def test_two_verdicts_on_one_claim_are_refused(executed):
    with pytest.raises(ValueError, match="02a has one verdict in"):
        ledger.write(executed(measured(1.5), measured(1.6)))
