"""What a notebook reaches is found without running it; what cannot be known counts as reached."""

import ast
import inspect
import shutil
from pathlib import Path

import pytest

from mechlib.authoring import checkout, reach
from mechlib.authoring.reach import Library
from mechlib.course import release
from mechlib.llc import names
from mechlib.stream import logit_lens
from mechlib.zoo import shelf
from tests.authoring.conftest import FILES

ROOT = checkout.root()
WHOLE = {
    ".".join(Path(name).with_suffix("").parts).removesuffix(".__init__")
    for name in FILES
    if name.startswith("mechlib") and name.endswith(".py")
}


def notebook(*cells):
    return {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}


def reached(book, *cells):
    return Library(book).reached(notebook(*cells))


@pytest.mark.parametrize(
    ("cell", "modules"),
    [
        ("import torch", set()),
        ("import mechlib.stream", {"mechlib", "mechlib.stream"}),
        ("from mechlib.lens import read_out", {"mechlib", "mechlib.lens", "mechlib.stream"}),
        ("if False:\n    from mechlib import lens as eye", {"mechlib", "mechlib.lens", "mechlib.stream"}),
        ("def later():\n    import mechlib.stream", {"mechlib", "mechlib.stream"}),
        ("%pip install x\nimport mechlib", {"mechlib"}),
        ("import platform\nplatform.system()\nmodel.eval()", set()),
        ("import importlib\nimportlib.import_module('mechlib.stream')", {"mechlib", "mechlib.stream"}),
    ],
)
def test_imports_are_followed(book, cell, modules):
    assert reached(book, cell) == modules


def test_imports_inside_functions_and_of_packages_are_followed(book):
    widgets = {"mechlib", "mechlib.widgets", "mechlib.widgets.explorer", "mechlib.lens", "mechlib.stream"}
    assert reached(book, "import mechlib.widgets.explorer") == widgets


def test_the_questions_are_reached_through_their_engine_alone(book):
    bank = {name for name in WHOLE if name.startswith("mechlib.questions")}
    assert bank <= reached(book, "from mechlib.checks import check")
    assert not bank & reached(book, "from mechlib import lens, zoo")


@pytest.mark.parametrize(
    "cell",
    [
        "from mechlib import *",
        "name = 'lens'\nimport_module('mechlib.' + name)",
        "__import__(name)",
        "import_module('.lens', 'mechlib')",
        "exec(code)",
        "%run other.py",
        "%%capture\nfrom mechlib import lens",
        "!python -m mechlib.cli",
    ],
)
def test_what_cannot_be_known_reaches_all(book, cell):
    assert reached(book, cell) == WHOLE


def test_a_star_reaches_the_whole_package(book):
    assert {"mechlib.widgets.explorer", "mechlib.lens"} <= reached(book, "from mechlib.widgets import *")


def test_data_come_with_their_package(book):
    def data(cell):
        found = Library(book).made_with(notebook(cell))
        return {name for name in found if not name.endswith(".py")} - {"Python", "constraints.txt"}

    assert data("import torch") == set()
    assert data("from mechlib import stream") == {"mechlib/tokenizer.json"}
    assert data("from mechlib import widgets") == {"mechlib/tokenizer.json", "mechlib/widgets/explorer.js"}


@pytest.mark.parametrize(
    ("cell", "models"),
    [
        ("zoo.load('small-1')", {"small-1"}),
        ("MODELS = {'a': 'small-2'}", {"small-2"}),
        ("[zoo.load(f'small-{i}') for i in (1, 2)]", {"small-1", "small-2"}),
        ("zoo.load('small' + end)", {"small-1", "small-2"}),
        ("zoo.load('%s-2' % kind)", {"small-2"}),
        ("zoo.load('{}-1'.format(kind))", {"small-1"}),
        ("zoo.load(name)", {"small-1", "small-2"}),
        ("print('*', f'{a}{b}')\nzoo.load('small-1')", {"small-1"}),
    ],
)
def test_weights_are_reached_by_name(book, cell, models):
    assert Library(book).models(notebook("from mechlib import zoo", cell)) == models


def test_who_loads_no_model_reaches_no_weights(book):
    assert Library(book).models(notebook("from mechlib import lens\nprint('small')")) == set()


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("mechlib/lens.py", "# a comment\n" + FILES["mechlib/lens.py"] + "\n\n", False),
        ("mechlib/lens.py", FILES["mechlib/lens.py"].replace("stream.entries()", "1"), True),
        ("mechlib/zoo/weights/small-1/card.json", "another", True),
        ("mechlib/zoo/weights/small-2/card.json", "another", False),
        ("mechlib/zoo/weights/small-1/new.bin", "", True),
        ("mechlib/tokenizer.json", "[]", True),
        ("mechlib/widgets/explorer.js", "2", False),
        ("mechlib/course/__init__.py", "", False),
        ("constraints.txt", "torch==2", True),
    ],
)
def test_outputs_are_made_with_what_is_reached(book, name, text, changed):
    chapter = notebook("from mechlib import lens, zoo\nzoo.load('small-1')")
    before = Library(book).made_with(chapter)
    (book / name).write_text(text)
    assert (Library(book).made_with(chapter) != before) == changed


def test_outputs_are_made_with_a_python(book, monkeypatch):
    before = Library(book).made_with(notebook())
    monkeypatch.setattr(reach.platform, "python_version", lambda: "3.99.0")
    assert Library(book).made_with(notebook()) != before


def test_the_rooms_named_in_the_rules_are_where_they_should_be():
    library = Library(ROOT)
    assert ROOT / reach.WEIGHTS == shelf.SHIPPED
    assert set(library.modules.values()) >= {
        Path(inspect.getsourcefile(names)),
        Path(inspect.getsourcefile(logit_lens)),
    }
    for follower in reach.FOLLOWERS:
        assert reach.ANY in set(reach.imported(ast.parse(library.modules[follower].read_text())))


@pytest.fixture(scope="module")
def touched(tmp_path_factory):
    """``touched(file)``: the chapters whose outputs are made with something else once the file says something else."""
    folder = tmp_path_factory.mktemp("checkout")
    left_out = shutil.ignore_patterns("weights", "__pycache__")
    shutil.copytree(ROOT / reach.PACKAGE, folder / reach.PACKAGE, ignore=left_out)
    chapters = {path: checkout.read_notebook(path) for path in checkout.notebooks(ROOT, "book")}

    def made_with():
        library = Library(folder)
        return {path: library.made_with(chapter) for path, chapter in chapters.items()}

    before = made_with()

    def find(file):
        path = folder / file.relative_to(ROOT)
        text = path.read_text()
        path.write_text(f"{text}\nTOUCHED = True\n")
        after = made_with()
        path.write_text(text)
        return {path for path in chapters if after[path] != before[path]}

    return find


def test_a_change_of_the_lens_concerns_the_chapters_that_read_with_it(touched):
    chapters = set(checkout.notebooks(ROOT, "book"))
    naming = {path for path in chapters if "logit_lens(" in path.read_text()}
    found = touched(Path(inspect.getsourcefile(logit_lens)))
    assert naming and naming <= found and 0 < len(found) < len(chapters)


def test_a_change_of_the_course_kit_concerns_no_chapter(touched):
    assert touched(Path(inspect.getsourcefile(release))) == set()


def test_no_chapter_reaches_what_grades_writes_or_commands():
    library = Library(ROOT)
    reached = {
        name for path in checkout.notebooks(ROOT, "book") for name in library.reached(checkout.read_notebook(path))
    }
    rooms = {name.split(".")[1] for name in reached if "." in name}
    assert {"bridge", "claims", "figures"} <= rooms
    assert rooms.isdisjoint({"authoring", "checks", "cli", "course", "grading", "questions"})
