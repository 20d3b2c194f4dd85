"""Slides of a chapter for a lecture, from its executed notebook: one HTML file that needs no network, and the figures.

One idea a slide: a heading with the text that opens it, a question to guess, a figure, a verdict. What a chapter says
between them is the lecturer's to say. The figures lie beside the file, as SVG and as PNG, with their captions.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.authoring import address, checkout, citations, markdown, overview, plain
from mechlib.authoring.checkout import Notebook
from mechlib.authoring.outputs import Outputs
from mechlib.figures import plots

__all__ = ["Figure", "Slide", "figures", "page", "slides", "write"]

FOLDER = "_build/slides"
MATHJAX = "book/static/vendor/mathjax"
STATIC = Path(__file__).with_name("static")
FONT = re.compile(r"%%URL%%/([\w-]+\.woff)")
HEADING = re.compile(r"^#{2,3} (.+)$")
SENTENCES = 3
"""So many lines, which are sentences, of the paragraph under a heading stand on its slide."""
KINDS = {
    "mechlib-guess": "guess",
    "mechlib-answer": "answer",
    "mechlib-figure": "figure",
    "mechlib-verdict": "verdict",
    "mechlib-claim": "claim",
}
"""What an output is that becomes a slide, by the class of its HTML."""
SVG = re.compile(r'src="data:image/svg\+xml;base64,([^"]+)"')
ALT = re.compile(r'<img [^>]*?alt="([^"]*)"')
CAPTION = re.compile(r"<figcaption>(.*?)</figcaption>", re.DOTALL)
WIDGETS_BY_HAND = re.compile(r'<p class="ml-by-hand">.*?</p>', re.DOTALL)
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<script>window.MathJax = {{ options: {{ enableMenu: false }} }};</script>
<script>{mathjax}</script>
</head>
<body>
<main>
{slides}
</main>
<nav>
<button type="button" id="before">Back</button><output></output><button type="button" id="after">Next</button>
</nav>
<script>{script}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Slide:
    """What is shown at once."""

    kind: str
    """``"title"``, ``"heading"``, or of ``KINDS``."""
    heading: str
    """That of the section that it belongs to, as HTML."""
    body: str
    """HTML."""


@dataclass(frozen=True)
class Figure:
    """A figure of a chapter."""

    svg: bytes
    png: bytes
    """Empty where the chapter was executed without."""
    alt: str
    caption: str


def write(number: str, folder: Path | None = None, out: Path | None = None) -> list[Path]:
    """Write the slides and the figures of a chapter; the files that changed.

    Args:
        number: of the chapter, such as ``"02"``.
        folder: the checkout.
        out: the folder; by default ``_build/slides/NN``.

    Raises:
        ValueError: if there is no chapter of this number.
        FileNotFoundError: if it has not been executed as it now stands.
    """
    folder = folder or checkout.root()
    found = {path.name[:2]: path for path in reversed(list(checkout.notebooks(folder, "book")))}
    if number not in found:
        raise ValueError(f"there is no chapter {number!r}; there are {', '.join(sorted(found))}")
    path = found[number].relative_to(folder)
    out = out or folder / FOLDER / number
    notebook = Outputs(folder).read(path)
    files: dict[Path, str | bytes] = {out / "slides.html": page(notebook, path.as_posix(), folder)}
    told = [f"# Figures of chapter {number}\n"]
    for place, figure in enumerate(figures(notebook), 1):
        name = f"{number}-{place:02}"
        files[out / "figures" / f"{name}.svg"] = figure.svg
        if figure.png:
            files[out / "figures" / f"{name}.png"] = figure.png
        told.append(f"## {name}\n\n{figure.caption}\n\nIn words: {figure.alt}\n")
    files[out / "figures" / "captions.md"] = "\n".join(told)
    return checkout.write_changed(files)


def page(notebook: Notebook, path: str, folder: Path) -> str:
    """The slides of a chapter as one HTML file.

    Args:
        notebook: the chapter with its outputs.
        path: its place in the checkout.
        folder: the checkout.
    """
    shown = "\n".join(
        f'<section class="{slide.kind}">{slide.heading}<div class="body">{slide.body}</div></section>'
        for slide in slides(notebook, path, folder)
    )
    return PAGE.format(
        title=html.escape(f"{Path(path).name[:2]} {checkout.title(notebook)}"),
        style=(STATIC / "slides.css").read_text(encoding="utf-8"),
        mathjax=_mathjax(folder),
        slides=shown,
        script=(STATIC / "slides.js").read_text(encoding="utf-8"),
    )


def slides(notebook: Notebook, path: str, folder: Path) -> Iterator[Slide]:
    """The slides of a chapter in their order."""
    pages = address.pages(folder)
    texts = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    known = citations.references(folder, pages)
    convert = plain.Plain(folder, path, pages, known, plain.numbers(texts))
    yield _title(notebook, path, folder)
    heading = ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            for level, opening in _sections(cell["source"]):
                heading = f"<h2>{_set(convert.text(level), folder).removeprefix('<p>').removesuffix('</p>')}</h2>"
                yield Slide("heading", heading, _set(convert.text(opening), folder))
        elif cell["cell_type"] == "code":
            for kind, body in _shown(cell):
                yield Slide(kind, heading, body)


def figures(notebook: Notebook) -> Iterator[Figure]:
    """The figures of a chapter in their order."""
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", ())):
        source = _html(output)
        if drawing := SVG.search(source):
            alt, caption = ALT.search(source), CAPTION.search(source)
            yield Figure(
                base64.b64decode(drawing[1]),
                base64.b64decode(output["metadata"].get(plots.PNG, "")),
                html.unescape(alt[1]) if alt else "",
                html.unescape(caption[1]) if caption else "",
            )


def _title(notebook: Notebook, path: str, folder: Path) -> Slide:
    number = Path(path).name[:2]
    lines = {entry.number: entry.line for entry in overview.chapters(folder)}
    link = f"{address.pages(folder)}/{path.removesuffix('.ipynb')}.html"
    heading = f"<h1>{html.escape(f'{number} {checkout.title(notebook)}')}</h1>"
    return Slide("title", heading, f'<p>{html.escape(lines.get(number, ""))}</p><p><a href="{link}">{link}</a></p>')


def _sections(source: str) -> Iterator[tuple[str, str]]:
    """The headings of a text below its title, each with the whole sentences that open its section."""
    lines = source.split("\n")
    for at, line in enumerate(lines):
        if heading := HEADING.match(line):
            rest = "\n".join(lines[at + 1 :]).strip("\n")
            first = rest.split("\n\n", 1)[0]
            opening = "" if HEADING.match(first) or first.startswith((":::", "```", "|")) else first
            yield heading[1], "\n".join(_whole(opening.split("\n")[:SENTENCES]))


def _whole(sentences: list[str]) -> list[str]:
    """Sentences without a last one that a formula or a list would end."""
    return sentences[:-1] if re.search(r"[\w:,]$", sentences[-1]) else sentences


def _shown(cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for output in cell.get("outputs", ()):
        source = _html(output)
        for name, kind in KINDS.items():
            if re.match(rf'<\w+ class="{name}\b', source):
                yield kind, WIDGETS_BY_HAND.sub("", source)


def _html(output: dict[str, Any]) -> str:
    return output.get("data", {}).get("text/html", "")


def _set(text: str, folder: Path) -> str:
    """Markdown as HTML, with the marks by which MathJax finds formulas."""
    source = markdown.parser(folder).render(text).strip() if text.strip() else ""
    source = re.sub(r'<span class="math inline">(.*?)</span>', r"\\(\1\\)", source, flags=re.DOTALL)
    return re.sub(r'<div class="math block">(.*?)</div>', r"\\[\1\\]", source, flags=re.DOTALL)


def _mathjax(folder: Path) -> str:
    """MathJax with its fonts in it."""

    def font(found: re.Match[str]) -> str:
        content = (folder / MATHJAX / "output/chtml/fonts/woff-v2" / found[1]).read_bytes()
        return f"data:font/woff;base64,{base64.b64encode(content).decode()}"

    script = (folder / MATHJAX / "tex-mml-chtml.js").read_text(encoding="utf-8")
    return FONT.sub(font, script).replace("</script", r"<\/script")
