"""The reference is made from docstrings, with links to the chapters and back, and read only where it changed."""

import html
import inspect
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from mechlib import stats
from mechlib.authoring import checkout, reference

CHAPTER = "book/part1/02_lens"
LIBRARY = f"{reference.FOLDER}/stats"
CONFIGURATION = """\
extensions = ["myst_nb", "mechlib.authoring.reference"]
master_doc = "index"
nb_execution_mode = "off"
nitpicky = True
exclude_patterns = ["out", "jupyter_execute"]
"""
INDEX = "# A book\n\n```{toctree}\n:glob:\nbook/library\nbook/library/*\nbook/part1/*\n```\n"


class Book:
    """A small book on two rooms of the library."""

    def __init__(self, folder: Path):
        self.folder = folder
        shutil.copytree(checkout.root() / "mechlib" / "stats", folder / "mechlib" / "stats")
        shutil.copy(checkout.root() / "mechlib" / "patterns.py", folder / "mechlib")
        (folder / "mechlib" / "__init__.py").touch()
        (folder / "pyproject.toml").write_text(
            '[project]\nversion = "1.2.3"\n[project.urls]\nRepository = "https://example.org/a/b"\n'
        )
        (folder / "conf.py").write_text(CONFIGURATION)
        (folder / "index.md").write_text(INDEX)
        (folder / "book/part1").mkdir(parents=True)
        self.chapter("stats.over_runs([1.0, 2.0])")

    def chapter(self, code: str, text: str = "Text.") -> None:
        """Write the chapter anew."""
        cells = [new_markdown_cell(f"# A lens\n\n{text}"), new_code_cell(f"from mechlib import stats\n{code}", id="c1")]
        cells[0].id = "c0"
        metadata = {"language_info": {"name": "python", "pygments_lexer": "python"}}
        nbformat.write(new_notebook(cells=cells, metadata=metadata), self.folder / f"{CHAPTER}.ipynb")

    def build(self) -> set[str]:
        """Build the pages, a warning being an error; the pages that were read for it."""
        read: list[str] = []
        out = self.folder / "out"
        folders = (self.folder, self.folder, out, out / "doctrees")
        with patch_docutils(self.folder), docutils_namespace():
            app = Sphinx(*folders, "html", status=None, warningiserror=True, keep_going=True)
            app.connect("env-before-read-docs", lambda app, env, docnames: read.extend(docnames))
            app.build()
        assert app.statuscode == 0
        return set(read)

    def page(self, name: str) -> str:
        return (self.folder / "out" / f"{name}.html").read_text(encoding="utf-8")


def entry(book: Book, name: str) -> str:
    """What the page of the library has on one function."""
    return book.page(LIBRARY).partition(f'id="mechlib.stats.{name}"')[2].partition('id="mechlib.stats.')[0]


def text(book: Book, name: str) -> str:
    """The same as it is read."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", "", entry(book, name)).split()))


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Book:
    """The book, built once."""
    built = Book(tmp_path_factory.mktemp("reference"))
    assert {CHAPTER, LIBRARY, reference.FOLDER} <= built.build()
    return built


def test_a_function_has_its_signature_with_shapes_its_sections_and_its_errors(book):
    by_unit = text(book, "by_unit")
    assert (
        "values: Float[Tensor, '... row pos']" in by_unit
        and "unit: Int[Tensor, 'row']" in by_unit
        and "Float[Tensor, '... unit']" in by_unit
    )
    assert "The mean over the rows and positions" in by_unit and "Raises" in by_unit
    assert "Parameters" in text(book, "estimate") and "level: float = 0.95" in text(book, "estimate")


def test_what_a_signature_calls_by_a_name_of_ours_is_said_behind_it(book):
    page = html.unescape(re.sub(r"<[^>]+>", "", book.page(f"{reference.FOLDER}/patterns")))
    assert "Here Kind is Literal['previous_token', 'duplicate_token', 'induction']." in " ".join(page.split())
    assert "Here" not in text(book, "by_unit")


def test_the_fields_of_a_dataclass_have_their_types_and_their_texts_once(book):
    page = html.unescape(re.sub(r"<[^>]+>", "", book.page(LIBRARY)))
    assert "Estimate(mean, low, high, n, level=0.95)" in " ".join(page.split())
    assert "Number of units: files, texts or seeds." in page and "Type:" not in page


def test_function_and_chapter_lead_to_each_other(book):
    assert "In chapter 02." in text(book, "over_runs") and "In chapter" not in text(book, "by_unit")
    assert f'href="../part1/{Path(CHAPTER).name}.html"' in entry(book, "over_runs")
    assert 'href="../library/stats.html#mechlib.stats.over_runs"' in book.page(CHAPTER)
    assert "mechlib.stats.by_unit" not in book.page(CHAPTER)


def test_the_index_has_the_first_sentence_of_every_room(book):
    said = inspect.getdoc(stats).partition("\n\n")[0]
    assert 'href="library/stats.html"' in book.page(reference.FOLDER) and said in book.page(reference.FOLDER)


def test_a_function_leads_to_the_lines_that_define_it():
    found = reference.source(checkout.root(), {"module": "mechlib.stats", "fullname": "over_runs"})
    _, first = inspect.getsourcelines(stats.over_runs)
    assert found and found.endswith(f"/mechlib/stats/estimates.py#L{first}-{found.rpartition('-')[2]}")
    assert reference.source(checkout.root(), {"module": "mechlib.stats", "fullname": "Estimate.mean"}) is None


def test_only_what_changed_is_read_again(book):
    assert book.build() == set()
    book.chapter("stats.over_runs([1.0, 2.0])", text="Another text.")
    assert book.build() == {CHAPTER}
    book.chapter("stats.share(1, 2)")
    assert book.build() == {CHAPTER, LIBRARY}
    assert "mechlib.stats.share" in book.page(CHAPTER) and "over_runs" not in book.page(CHAPTER)


def test_a_room_that_is_gone_has_no_page(book):
    stray = book.folder / reference.FOLDER / "lens.md"
    stray.write_text("# Gone\n")
    book.build()
    assert not stray.exists()
