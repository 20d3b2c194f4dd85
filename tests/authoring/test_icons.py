"""The icons' style sheet keeps what is used, in rules and in fonts, and nothing else."""

import base64
import io
import re
from pathlib import Path

import pydata_sphinx_theme
import pytest
from fontTools.ttLib import TTFont

from mechlib.authoring.icons import style_sheet

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme"


@pytest.fixture(scope="module")
def theirs():
    """The theme's style sheet and the folder of its fonts."""
    (sheet,) = THEME.rglob("fontawesome/*/css/all.min.css")
    return sheet.read_text(encoding="utf-8"), sheet.parent.parent / "webfonts"


def letters(sheet):
    """The places in the fonts for which a sheet brings letters."""
    found = set()
    for data in re.findall(r"data:font/woff;base64,([A-Za-z0-9+/=]+)", sheet):
        found |= set(TTFont(io.BytesIO(base64.b64decode(data))).getBestCmap())
    return found


def test_what_is_used_is_there_with_its_letter_and_nothing_else(theirs):
    sheet = style_sheet(*theirs, {"fa-bars", "fa-github", "fa-lg"}, {"f107"})
    assert letters(sheet) == {0xF0C9, 0xF09B, 0xF107}
    assert '.fa-bars:before,.fa-navicon:before{content:"\\f0c9"}' in sheet and "fa-rocket" not in sheet
    assert ".fa-lg{" in sheet and len(sheet) < 25_000 < 100_000 < len(theirs[0])


def test_an_unused_font_is_left_out(theirs):
    assert "Brands" not in "".join(re.findall(r"@font-face\{[^}]*\}", style_sheet(*theirs, {"fa-bars"}, set())))


def test_a_sheet_of_another_form_is_refused(theirs):
    with pytest.raises(ValueError, match="another form"):
        style_sheet(".icon { color: red }", theirs[1], {"fa-bars"}, set())
