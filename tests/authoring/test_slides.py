"""Slides have one idea each, in the order of the chapter, and carry everything that they show."""

import io
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from mechlib.authoring import checkout, slides
from mechlib.claims import verdict
from mechlib.figures import plots
from mechlib.guesses import PAGE, answer, guess

ROOT = checkout.root()
PATH = "book/part1/02_logit_lens.ipynb"
TEXT = """\
## 02a. Does it fall?

It falls by $x^2 < 3$ {cite:p}`nostalgebraist2020logitlens`.
Two.
Three.
Four.

Another paragraph.

### Then

:::{exercise} No text for a slide
Here.
:::
"""


@pytest.fixture
def chapter(monkeypatch):
    """A chapter that has everything of which slides are made."""
    monkeypatch.setenv(PAGE, "1")
    axes = plots.curves([0, 1], {"a": [[0], [1]]}, xlabel="x", ylabel="y")
    picture = plots.picture(axes, caption="It <falls>.", alt='A "line".')
    found = verdict("02a", "refuted", claim="So.", source="x", measure="gap", effect=1, interval=(0, 2), unit="nats")
    asked = guess("02a", "How much?", unit="nats", between=(0, 8))
    parts = [asked, picture, answer("02a", 4.0, within=1, below="a", above="b"), found]
    cells = [new_markdown_cell("# A lens\n\nWhat is asked."), new_markdown_cell(TEXT)]
    for part in parts:
        data, metadata = part._repr_mimebundle_()
        cells.append(new_code_cell("1", outputs=[new_output("display_data", data=data, metadata=metadata)]))
    table = new_output("display_data", data={"text/html": "<table></table>", "text/plain": ""})
    cells.append(new_code_cell("2", outputs=[table, new_output("stream", text="printed")]))
    return new_notebook(cells=cells)


def test_there_is_a_slide_for_each_idea_in_the_chapters_order(chapter):
    found = list(slides.slides(chapter, PATH, ROOT))
    kinds = ["title", "heading", "heading", "guess", "figure", "answer", "verdict"]
    assert [slide.kind for slide in found] == kinds
    assert "02 A lens" in found[0].heading and "if it stopped after layer k" in found[0].body
    assert found[3].heading == "<h2>Then</h2>" and "How much?" in found[3].body
    assert "refuted" in found[6].body


def test_a_heading_has_the_sentences_that_open_its_section(chapter):
    _, first, second, *_ = slides.slides(chapter, PATH, ROOT)
    assert first.heading == "<h2>02a. Does it fall?</h2>"
    assert r"\(x^2 &lt; 3\)" in first.body and "lesswrong.com" in first.body
    assert "Three." in first.body and "Four." not in first.body and "Another" not in first.body
    assert second.heading == "<h2>Then</h2>" and second.body == ""


@pytest.mark.parametrize(("last", "stays"), [("Take", False), ("So:", False), ("— nostalgebraist (a comment)", True)])
def test_a_sentence_that_something_below_would_end_is_not_on_the_slide(chapter, last, stays):
    chapter.cells[1].source = f"## Why\n\nOne.\n{last}\n\n$$x$$"
    heading = list(slides.slides(chapter, PATH, ROOT))[1]
    assert "One." in heading.body and (last.split()[0] in heading.body) == stays


def test_figures_come_out_as_svg_and_png_with_their_words(chapter):
    (figure,) = slides.figures(chapter)
    assert figure.svg.startswith(b"<?xml") and b"</svg>" in figure.svg
    assert Image.open(io.BytesIO(figure.png)).width > 300
    assert (figure.caption, figure.alt) == ("It <falls>.", 'A "line".')


def test_the_file_asks_for_nothing(chapter):
    page = slides.page(chapter, PATH, ROOT)
    script = (ROOT / slides.MATHJAX / "tex-mml-chtml.js").read_text(encoding="utf-8")
    fonts = script.count('url("%%URL%%/MathJax')
    assert fonts > 15 and page.count('url("data:font/woff;base64,') == fonts and "%%URL%%/MathJax" not in page
    assert not re.search(r'<(?:script|img|link)[^>]*(?:src|href)="(?!data:)', page)
    assert page.count("<section") == 7 and page.count("</script>") == page.count("<script>") == 3


def test_a_chapter_is_written_with_its_figures_and_then_up_to_date(chapter, tmp_path, monkeypatch):
    monkeypatch.setattr(slides.Outputs, "read", lambda self, path: nbformat.from_dict(chapter))
    written = slides.write("02", ROOT, tmp_path)
    names = ["slides.html", "figures/02-01.svg", "figures/02-01.png", "figures/captions.md"]
    assert [path.relative_to(tmp_path).as_posix() for path in written] == names
    assert '## 02-01\n\nIt <falls>.\n\nIn words: A "line".' in written[-1].read_text(encoding="utf-8")
    assert slides.write("02", ROOT, tmp_path) == []


def test_a_chapter_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"no chapter '99'; there are 01, 02"):
        slides.write("99", ROOT, tmp_path)
