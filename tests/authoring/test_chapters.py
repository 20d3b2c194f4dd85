"""What the build executed: every chapter as it stands, and its prose says what it measured."""

import pytest

from mechlib.authoring import checkout
from mechlib.authoring.outputs import Outputs
from mechlib.claims import ProseWarning, at_home

ROOT = checkout.root()
CHAPTERS = [path.relative_to(ROOT) for path in checkout.notebooks(ROOT, "book")]


@pytest.fixture(scope="module")
def outputs() -> Outputs:
    return Outputs(ROOT)


@pytest.fixture(params=CHAPTERS, ids=str)
def printed(request, outputs) -> list[str]:
    """What the cells of a chapter printed."""
    cells = outputs.read(request.param).cells
    return [each["text"] for cell in cells for each in cell.get("outputs", ()) if each["output_type"] == "stream"]


def test_its_prose_says_what_it_measured(printed):
    """Where the build only warns a reader, this fails, on the Python that the book was written for."""
    told = [line for text in printed for line in text.splitlines() if ProseWarning.__name__ in line]
    assert told == [] or not at_home()


def test_it_shows_no_place_of_the_machine_that_made_it(printed):
    """Nor the lines of our modules: what comments move in them is no reason to execute a chapter again."""
    assert [text for text in printed if str(ROOT) in text] == []
