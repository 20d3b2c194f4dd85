"""What is public, and which chapters use it, is read off the sources."""

from importlib import import_module

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mechlib.authoring import checkout
from mechlib.authoring.catalogue import TOOLS, catalogue, rooms
from tests.test_floors import FLOOR

FILES = {
    "mechlib/__init__.py": "",
    "mechlib/cli.py": "def main(): ...\n",
    "mechlib/grading/__init__.py": "",
    "mechlib/stats.py": (
        "def mean(x): ...\n\ndef unused(x): ...\n\ndef _hidden(x): ...\n\nclass Estimate: ...\n\nLIMIT = 3\n"
    ),
    "mechlib/llc/__init__.py": (
        "from mechlib.llc.estimate import Result, estimate\nfrom mechlib.llc.names import KIND\n\n"
        '__all__ = ["KIND", "Result", "estimate"]\n'
    ),
    "mechlib/llc/estimate.py": (
        "from torch import nn\nfrom mechlib.llc.inputs import Data as Given\n\nclass Result: ...\n\n"
        "def estimate(model: nn.Module, *, data: list[Given]) -> Result: ...\n\ndef inner(model): ...\n"
    ),
    "mechlib/llc/names.py": "KIND = 1\n",
    "mechlib/llc/inputs.py": "Part = Tensor | None\nData = dict[str, Part]\n",
    "mechlib/llc/samplers.py": '__all__ = ["sgld"]\n\ndef sgld(w): ...\n\ndef helper(w): ...\n',
    "mechlib/llc/unread.py": "def never(): ...\n",
}
CELLS = (
    "%pip install mechlib",
    "from mechlib import stats\nfrom mechlib.llc.estimate import estimate as run\nimport numpy",
    "from mechlib.llc import samplers\n\ndef f():\n    return samplers.sgld(stats.mean(numpy.mean(1)))",
)


@pytest.fixture
def found(tmp_path):
    """The catalogue of a small library and one chapter."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    chapter = new_notebook(cells=[new_markdown_cell("# A lens"), *map(new_code_cell, CELLS)])
    (tmp_path / "book/part1").mkdir(parents=True)
    nbformat.write(chapter, tmp_path / "book/part1/02_lens.ipynb")
    return catalogue(tmp_path)


def test_public_is_what_a_room_exports_and_what_a_chapter_reaches_into(found):
    sections = {section.module: section for sections in found.rooms.values() for section in sections}
    assert list(sections) == ["mechlib.llc", "mechlib.llc.samplers", "mechlib.stats"]
    assert sections["mechlib.stats"].functions == ("mechlib.stats.mean", "mechlib.stats.unused")
    assert sections["mechlib.stats"].classes == ("mechlib.stats.Estimate",)
    assert sections["mechlib.llc"].names == ("mechlib.llc.estimate", "mechlib.llc.Result")
    assert sections["mechlib.llc.samplers"].names == ("mechlib.llc.samplers.sgld",)


def test_a_chapter_uses_what_it_imports_or_reaches_through_a_module(found):
    chapter = "book/part1/02_lens.ipynb"
    assert found.uses == {chapter: ("mechlib.llc.estimate", "mechlib.llc.samplers.sgld", "mechlib.stats.mean")}
    assert found.users("mechlib.llc.estimate") == (chapter,)
    assert found.users("mechlib.stats.unused") == ()


def test_a_name_of_ours_in_a_signature_is_followed_to_where_it_is_made(found):
    assert found.types["mechlib.llc.estimate"] == {"Given": "dict[str, Part]", "Part": "Tensor | None"}
    assert found.types["mechlib.stats.mean"] == {}


def test_every_public_name_of_the_library_is_there():
    found = catalogue(checkout.root()).rooms
    assert tuple(found) == rooms(checkout.root()) and {*found, *TOOLS, "__init__"} == set(FLOOR)
    for sections in found.values():
        for section in sections:
            module = import_module(section.module)
            assert all(hasattr(module, name.rpartition(".")[2]) for name in section.names)
