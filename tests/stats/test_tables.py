"""Tables say the same as text and as a page, name every column, and write as many digits as mean something."""

from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from mechlib import stats
from mechlib.stats.tables import number


class Cells(HTMLParser):
    """The cells of a page, row by row: tag, scope and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows, self.open = [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.open = [tag, dict(attrs).get("scope"), ""]

    def handle_data(self, data):
        if self.open:
            self.open[2] += data

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.rows[-1].append(tuple(self.open))
            self.open = None


LOSSES = {
    "one layer": {"loss": 7.6312, "gain": stats.Estimate(0.5, 0.4, 0.61, 8)},
    "a < b": {"loss": torch.tensor(0.02468), "steps": 12000},
}


def test_it_is_aligned_as_text():
    assert str(stats.table(LOSSES, head="model", caption="Losses")).splitlines() == [
        "Losses",
        "model        loss               gain   steps",
        "one layer    7.63  0.50 [0.40, 0.61]",
        "a < b      0.0247                     12,000",
    ]


def test_every_header_cell_says_what_it_heads():
    page = stats.table(LOSSES, head="model", caption="Losses & gains")._repr_mimebundle_()["text/html"]
    head, *body = Cells(page).rows
    assert head == [("th", "col", name) for name in ("model", "loss", "gain", "steps")]
    assert [row[0] for row in body] == [("th", "row", "one layer"), ("th", "row", "a < b")]
    assert [[text for _, _, text in row[1:]] for row in body] == [
        ["7.63", "0.50 [0.40, 0.61]", ""],
        ["0.0247", "", "12,000"],
    ]
    assert all(tag == "td" for row in body for tag, _, _ in row[1:])
    assert "<caption>Losses &amp; gains</caption>" in page and "a &lt; b" in page


def test_page_and_text_hold_the_same_cells():
    shown = stats.table(LOSSES, head="model")._repr_mimebundle_()
    for row in Cells(shown["text/html"]).rows:
        assert all(text in shown["text/plain"] for _, _, text in row)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (torch.tensor([1.0, 0.25]), ["1.00", "0.250"]),
        (np.array([3, 1234567]), ["3", "1,234,567"]),
        (("refuted", None), ["refuted", ""]),
        ((True, float("nan")), ["yes", "nan"]),
    ],
)
def test_a_row_may_be_given_in_the_order_of_the_columns(row, text):
    assert stats.table({("seed", 1): row}, ["x", 2], head="run").rows == {"seed, 1": tuple(text)}


@pytest.mark.parametrize("cell", [0.5, "0.500", torch.tensor(0.5), np.float64(0.5)])
def test_one_column_needs_no_list(cell):
    assert stats.table({"a": cell}, ["share"], head="model").rows == {"a": ("0.500",)}


def test_a_format_is_for_all_columns_or_for_one():
    row = {"a": {"x": 0.123456, "y": stats.Estimate(1, 0.5, 1.25, 3), "z": "as it is"}}
    assert stats.table(row, head="h", fmt=".1f").rows["a"] == ("0.1", "1.0 [0.5, 1.2]", "as it is")
    assert stats.table(row, head="h", fmt={"x": ".0%"}).rows["a"] == ("12%", "1.00 [0.50, 1.25]", "as it is")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (-0.98765, "-0.988"),
        (0.9996, "1.00"),
        (99.96, "100"),
        (123456.7, "123,457"),
        (0.00012345, "0.000123"),
        (0.000012345, "1.23e-05"),
        (7, "7"),
        (float("inf"), "inf"),
    ],
)
def test_a_number_has_three_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        ((0.5, 0.5, 0.5), "0.500 [0.500, 0.500]"),
        ((12.3456, 11.0, 13.5), "12.3 [11.0, 13.5]"),
        ((1234.5, 1100, 1400), "1,234 [1,100, 1,400]"),
        ((0.0123, 0.0101, 0.0149), "0.0123 [0.0101, 0.0149]"),
        ((2e-6, 1e-6, 3e-6), "2.00e-06 [1.00e-06, 3.00e-06]"),
    ],
)
def test_an_estimate_is_written_as_finely_as_its_interval(estimate, text):
    assert stats.table({"a": stats.Estimate(*estimate, 9)}, ["x"], head="h").rows["a"] == (text,)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ({"a": [1]}, {"columns": ["x"], "head": " "}, "every column needs a name, got head=' '"),
        ({"a": [1]}, {"columns": [""], "head": "model"}, r"columns=\[''\]"),
        ({"a": [1, 2]}, {"columns": ["x"], "head": "model"}, r"'a' has 2 cells, the table has the columns \['x'\]"),
        ({"a": {"y": 1}}, {"columns": ["x"], "head": "model"}, r"'a' has the columns \['y'\], the table has \['x'\]"),
    ],
)
def test_a_table_that_would_mislead_is_refused(rows, options, message):
    with pytest.raises(ValueError, match=message):
        stats.table(rows, **options)
