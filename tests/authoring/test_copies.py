"""A chapter's copy shows no markup, has only whole addresses, and computes what the chapter does."""

import base64
import io
import re
from urllib.parse import urlsplit

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from mechlib.authoring import address, checkout, copies, markdown, needed
from mechlib.figures import plots

ROOT = checkout.root()
CHAPTERS = [path.relative_to(ROOT).as_posix() for path in checkout.notebooks(ROOT, "book")]
LINKS = re.compile(r"\]\(([^)]*)\)")
ENTRIES = """\
@article{two, author = {{\\'E}mile Borel and Maurice Fr{\\'e}chet}, title = {T}, year = {1909}, doi = {10.1/x(2)}}
@misc{many, author = {Vaswani, Ashish and Shazeer, Noam and Parmar, Niki}, title = {T}, year = {2017}, url = {https://a.org/1}}
@misc{forum, author = {{gwern}}, title = {T}}
"""
PATH = "book/part1/02_lens.ipynb"
PAGE = "https://pages.example.org/something/book"


@pytest.fixture
def plain(checkout_folder):
    """``plain(text, ...)``: the texts of a chapter as its copy has them."""
    (checkout_folder / "book/references.bib").write_text(ENTRIES)
    (checkout_folder / "book/notation.md").write_text("# Notation\n")
    (checkout_folder / "_config.yml").write_text((ROOT / "_config.yml").read_text(encoding="utf-8"))

    def convert(*texts):
        notebook = new_notebook(cells=[new_markdown_cell(text) for text in texts])
        return [cell["source"] for cell in copies.plainly(notebook, PATH, checkout_folder)["cells"]]

    return convert


@pytest.mark.parametrize("path", CHAPTERS)
def test_no_markup_of_the_pages_is_left_in_a_chapter(path):
    copied = copies.plainly(checkout.read_notebook(ROOT / path), path, ROOT)
    for cell in (cell for cell in copied["cells"] if cell["cell_type"] == "markdown"):
        source = cell["source"]
        tokens = [part for token in markdown.parser().parse(source) for part in (token, *(token.children or ()))]
        assert not re.search(r"\{[\w:-]+\}`|^:::|^\([\w-]+\)=$|^:[\w-]+:", source, re.MULTILINE)
        assert not [token.type for token in tokens if token.type in ("myst_role", "myst_target", "colon_fence")]
        for target in LINKS.findall(source):
            parts = urlsplit(target)
            assert parts.scheme == "https" and "." in parts.netloc and " " not in target, target


@pytest.mark.parametrize("path", CHAPTERS)
def test_a_copy_has_the_chapters_code_in_its_order_without_cells_that_only_compare(path):
    chapter = checkout.read_notebook(ROOT / path)
    code = {cell["id"]: cell for cell in chapter["cells"] if cell["cell_type"] == "code"}
    copied = [cell for cell in copies.plainly(chapter, path, ROOT)["cells"] if cell["cell_type"] == "code"]
    assert [cell["source"] for cell in copied] == [code[cell["id"]]["source"] for cell in copied]
    left = [name for name in code if name not in {cell["id"] for cell in copied}]
    assert [name for name in code if name not in left] == [cell["id"] for cell in copied]
    assert all(code[name]["metadata"]["tags"] == ["remove-cell"] for name in left)
    assert copied[0]["source"] == address.bootstrap_cell(ROOT)


def test_citations_are_links_with_authors_and_years(plain):
    (text,) = plain("It is so {cite:p}`two,many`; {cite:t}`many` and {cite:author}`forum` say so {cite:p}`forum`.")
    two, many, forum = "https://doi.org/10.1/x%282%29", "https://a.org/1", f"{PAGE}/references.html"
    assert text == (
        f"It is so ([Borel and Fréchet 1909]({two}); [Vaswani et al. 2017]({many})); "
        f"[Vaswani et al. (2017)]({many}) and [gwern]({forum}) say so ([gwern]({forum}))."
    )


def test_boxes_are_quotations_with_their_titles(plain):
    (text,) = plain(
        "Before.\n\n:::{exercise} By hand\n:label: ex-1\nDo {cite:t}`many`.\n\n- one\n:::\n\n"
        ":::{admonition} The claims\n:class: claim\nIt holds.\n:::\nAfter."
    )
    assert text == (
        "Before.\n\n> **Exercise: By hand**\n>\n> Do [Vaswani et al. (2017)](https://a.org/1).\n>\n> - one\n\n"
        "> **The claims**\n>\n> It holds.\nAfter."
    )


def test_links_within_the_book_lead_to_its_pages(plain):
    (text,) = plain("[here](02_lens.ipynb#a), [](../notation.md), [there](https://b.org), `[x](y)`-less.")
    assert text.startswith(
        f"[here]({PAGE}/part1/02_lens.html#a), [Notation]({PAGE}/notation.html), [there](https://b.org)"
    )


def test_named_formulas_keep_their_numbers(plain):
    texts = plain("$$\na\n$$ (eq-a)\n\nand\n\n$$\nb\n$$ (eq-b)\n", "By {eq}`eq-b`.")
    assert "b \\tag{2}\n$$\n" in texts[0] and texts[1] == "By (2)."


def test_code_is_left_alone(plain):
    source = "```\n{cite:p}`two` [a](b)\n```\n"
    assert plain(source) == [source]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{cite:p}`none`", "no entry 'none'"),
        ("{ref}`there`", r"the role \{ref\}"),
        (":::{figure} x.png\n:::", r"the directive \{figure\}"),
        ("[a](nowhere.md)", "leads nowhere"),
        ("[a](../references.bib)", "leads to no page"),
    ],
)
def test_what_has_no_plain_form_is_named_with_its_page(plain, text, problem):
    with pytest.raises(ValueError, match=f"{PATH}: .*{problem}"):
        plain(text)


def removed(source):
    return new_code_cell(source, metadata={"tags": ["remove-cell"]})


MUST_STAY = [
    ("helper = 2", "helper + x"),
    ("def helper(): return 2", "helper()"),
    ("import math as helper", "helper.pi"),
    ("x.append(3)", "x"),
    ("x[0] = 5", "x"),
    ("x += [1]", "x"),
    ("del x", "'x' in globals()"),
    ("y = next(stream)", "next(stream)"),
    ("y = x.pop()", "x"),
    ("random.seed(3)", "random.random()"),
    ("y = random.random()", "random.random()"),
    ("for helper in x: pass", "helper"),
    ("scale = 7", "scaled()"),
    ("print(x)", "x"),
]
MAY_GO = [
    "quoted(x[0], 1, within=0.1)",
    "name = x[0]\nfor each in x:\n    stated(each >= name)",
    "y = [name for name in x]\nquoted(len(y), 2)",
    "if x:\n    stated(True)",
]
START = """\
import random
random.seed(0)
x, scale, stream = [1, 2], 1, iter(range(9))
def scaled(): return scale * 2
def quoted(*_, **__): pass
stated = quoted"""


@pytest.mark.parametrize(("source", "later"), MUST_STAY)
def test_a_cell_that_matters_later_stays(source, later):
    notebook = new_notebook(cells=[new_code_cell(START), removed(source), new_code_cell(later)])
    assert needed.idle(notebook) == []


@pytest.mark.parametrize("source", MAY_GO)
def test_a_cell_that_compares_goes_and_the_rest_computes_the_same(source):
    later = "y = [each for each in x]\nname = 3\n(y, name, scaled(), next(stream), random.random())"
    cells = [new_code_cell(START), removed(source), new_code_cell(later)]
    assert needed.idle(new_notebook(cells=cells)) == [cells[1]["id"]]
    results = []
    for kept in (cells, [cells[0], cells[2]]):
        shell = InteractiveShell()
        results.append([shell.run_cell(cell.source).result for cell in kept][-1])
    assert results[0] == results[1] is not None


def test_a_cell_that_only_a_removed_cell_reads_goes_too():
    cells = [new_code_cell(START), removed("low = x[0]"), removed("quoted(low, 1)"), new_code_cell("x")]
    assert needed.idle(new_notebook(cells=cells)) == [cell["id"] for cell in cells[1:3]]


def test_the_cell_that_installs_stays():
    cell = new_code_cell("1", metadata={"tags": ["bootstrap", "remove-cell"]})
    assert needed.idle(new_notebook(cells=[cell])) == []


def test_outputs_are_shown_everywhere(plain, checkout_folder):
    picture = plots.picture(
        plots.curves([0, 1], {"a": [[0], [1]]}, xlabel="x", ylabel="y"), caption="One.", alt="A <line>."
    )
    data, metadata = picture._repr_mimebundle_()
    outputs = [
        new_output("display_data", data=data, metadata=metadata),
        new_output("execute_result", data={copies.WIDGET: {"model_id": "1"}, "text/plain": "Explorer()"}),
        new_output(
            "execute_result", data={"text/html": "<b>2</b>", "text/plain": "2"}, metadata={"mechlib_verdict": {}}
        ),
        new_output("stream", text="printed\n"),
    ]
    cells = [new_markdown_cell("# A lens\n\n[Open in Colab](https://c.org)"), new_code_cell("1", outputs=outputs)]
    notebook = new_notebook(cells=cells, metadata={"widgets": {"state": {}}})
    copied = nbformat.from_dict(copies.plainly(notebook, PATH, checkout_folder))
    nbformat.validate(copied)
    title, code = copied.cells
    assert title.source.endswith(f"(https://c.org) · [Read it as a page]({PAGE}/part1/02_lens.html)")
    drawn, caption, moving, plainest, printed = code.outputs
    assert Image.open(io.BytesIO(base64.b64decode(drawn.data["image/png"]))).width > 300
    assert drawn.data["text/plain"] == "A <line>." and caption.data["text/html"] == "<p>One.</p>"
    assert f"{PAGE}/part1/02_lens.html" in moving.data["text/markdown"]
    assert plainest.data["text/html"] == "<b>2</b>" and plainest.metadata == {} and printed.text == "printed\n"
    assert "widgets" not in copied.metadata and notebook.metadata.widgets == {"state": {}}


def test_a_guess_is_folded_where_the_page_shows_its_form(plain, checkout_folder):
    cell = new_code_cell("guess('02a')", metadata={"tags": ["remove-input"]})
    (copied,) = copies.plainly(new_notebook(cells=[new_markdown_cell("# A"), cell]), PATH, checkout_folder)["cells"][1:]
    assert copied["metadata"]["jupyter"] == {"source_hidden": True} and copied["metadata"]["cellView"] == "form"


def test_the_copies_of_a_version_lie_in_its_folder_and_install_it(plain, checkout_folder, monkeypatch):
    address.write(checkout_folder)
    monkeypatch.setattr(copies.Outputs, "read", lambda self, path: nbformat.read(self.folder / path, as_version=4))
    written = copies.write(checkout_folder)
    out = checkout_folder / "_build/notebooks"
    assert written == [out / "README.md", out / "v1.2.3" / PATH] and copies.write(checkout_folder) == []
    title, first = nbformat.read(written[1], as_version=4).cells[:2]
    assert f"/somebody/something/blob/notebooks/v1.2.3/{PATH})" in title.source
    assert "@v1.2.3" in first.source and PAGE.removesuffix("/book") in (out / "README.md").read_text()


def test_a_chapter_that_was_not_executed_is_not_copied(plain, checkout_folder):
    with pytest.raises(FileNotFoundError, match=r"02_lens\.ipynb has not been executed as it now stands"):
        copies.write(checkout_folder)
