"""The page of the ledger: who said what, pictures of intervals, and a table that is chosen from."""

import math
import re

import pytest

from mechlib.authoring import ledger, ledger_page
from mechlib.authoring.checkout import root
from mechlib.authoring.intervals import EDGE, MIDDLE, WIDTH, Interval

PAGE = (root() / ledger.PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("said", "sources"),
    [
        ("02b (chapter 02) “in late layers” (nostalgebraist (S2), comment on x)", ("nostalgebraist (S2)",)),
        ("09a (chapter 09) “a 2020 idea” (von Oswald et al. 2023, section 3)", ("von Oswald et al. 2023",)),
        (
            "12c (chapter 12) Carroll et al. 2025, Murfet (S4); in our words.",
            ("Carroll et al. 2025", "Murfet (S4)"),
        ),
        ("15d (chapter 15) Timaeus on Lau et al. 2023; in our words.", ("Lau et al. 2023",)),
        ("01c (chapter 01 (more)) A claim of our own.", ("our own",)),
        ("03a (chapter 03) a friend; in our words.", ("others",)),
    ],
)
def test_a_claim_is_found_by_each_of_its_sources(said, sources):
    assert ledger_page.said_by(said) == sources


def test_every_claim_of_the_ledger_has_a_source_and_every_effect_a_picture():
    rows = [ledger.cells_of(line) for line in PAGE.splitlines() if ledger.ROW.match(line)]
    own = [cells for cells in rows if "[chapter" in cells[0]]
    assert len(own) > 20 and all(ledger_page.said_by(cells[0]) != ("others",) for cells in own)
    assert all(Interval.told(cells[3]) for cells in rows if cells[3] and "no number" not in cells[3])


def test_the_verdict_in_the_readme_is_that_of_the_ledger():
    readme = " ".join((root() / "README.md").read_text(encoding="utf-8").replace("\n> ", " ").split())
    rows = {match["key"]: line for line in PAGE.splitlines() if (match := ledger.ROW.match(line))}
    assert "**✓ Supported** in three small models. By the same rule **✗ refuted** on a real one" in readme
    assert "| ✓ supported |" in rows["06c"] and "| ✗ refuted |" in rows["06c on smollm2-135m"]
    (words,) = re.findall(r"\*\*Said:\*\* (“.*?decreases\.”)", readme)
    assert words in rows["06c"]


@pytest.mark.parametrize(
    ("text", "supported", "words"),
    [
        ("gap: -1.5 [-2e-01, +2] nats", None, "-1.5, interval -0.2 to 2"),
        ("gap: +1 [0, +2] nats; supported above 0.5", (0.5, math.inf), "1, interval 0 to 2; supported above 0.5"),
        ("gap: +1 [0, +2] nats; supported below -3", (-math.inf, -3.0), "1, interval 0 to 2; supported below -3"),
        (
            "gap: +1 [0, +2] nats; supported between 0.9 and 1.1",
            (0.9, 1.1),
            "1, interval 0 to 2; supported between 0.9 and 1.1",
        ),
    ],
)
def test_an_interval_is_read_from_the_ledgers_words(text, supported, words):
    found = Interval.told(text)
    assert found.supported == supported and found.words == words and f'aria-label="{words}"' in found.svg


def test_what_has_no_interval_has_no_picture():
    assert Interval.told("") is None and Interval.told("share: no number of heads") is None
    assert Interval(0.0, 0.0, 0.0).svg == ""


def test_the_picture_has_everything_in_its_place():
    """Zero, bound, interval and mean at places in proportion to their values."""
    svg = Interval(3.0, 2.0, 4.0, (1.0, math.inf)).svg

    def place(value):
        return EDGE + value / 4 * (WIDTH - 2 * EDGE)

    (line,) = re.findall(rf'M([\d.]+) {MIDDLE}H([\d.]+)" class="interval"', svg)
    assert [float(x) for x in line] == pytest.approx([place(2), place(4)], abs=0.06)
    (dot,) = re.findall(r'<circle cx="([\d.]+)"', svg)
    assert float(dot) == pytest.approx(place(3), abs=0.06)
    ((start, width),) = re.findall(r'<rect x="([\d.]+)" y="2" width="([\d.]+)"', svg)
    assert float(start) == pytest.approx(place(1), abs=0.06) and float(start) + float(width) == pytest.approx(WIDTH)
    assert re.findall(r'class="(bound|zero)">([-\d.]+)<', svg) == [("zero", "0"), ("bound", "1")]


def test_a_label_that_would_touch_the_bounds_is_left_out():
    assert "zero" in Interval(3.0, 2.0, 4.0, (0.01, math.inf)).svg
    assert ">0</text>" not in Interval(3.0, 2.0, 4.0, (0.01, math.inf)).svg


def test_the_choice_offers_what_there_is_with_its_number():
    rows = [
        ledger_page.Row("refuted", ("A 2020", "B (S1)"), "02", False),
        ledger_page.Row("supported", ("A 2020", "B (S1)"), "02", True),
        ledger_page.Row("not tested at this scale", ("A 2020",), "14", False),
    ]
    shown = ledger_page.choice(rows)
    options = re.findall(r'<option value="([^"]+)">([^<]+)<', shown)
    assert ("refuted", "refuted (1)") in options and ("a-2020", "A 2020 (2)") in options and ("02", "02 (1)") in options
    assert not [name for name, _ in options if name == "supported"] and "2 claims" in shown
    assert rows[2].classes == ["verdict-not-tested-at-this-scale", "chapter-14", "source-a-2020"]
    assert rows[1].classes[-1] == "further" and " hidden" in shown
