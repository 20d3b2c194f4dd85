"""A book of one chapter, built in seconds with the configuration of the book itself."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mechlib.authoring import checkout, site
from mechlib.guesses import PAGE, answer, guess
from mechlib.stats import Estimate

CHAPTER = "book/part1/02_lens"
COPIED = ("_config.yml", "pyproject.toml", "book/static", "mechlib/guesses", "mechlib/authoring/static")
CONTENTS = """\
format: jb-book
root: book/intro
parts:
  - caption: "I. Reading"
    chapters:
      - glob: book/part1/*
  - caption: Ledger
    chapters:
      - file: book/claims
      - file: book/review
  - caption: Reference
    chapters:
      - file: book/library
        sections:
          - glob: book/library/*
"""
ROW = "| {} | {} | {} | {} | {} |\n"
WHERE = "([chapter 02](part1/02_lens.ipynb))"
LEDGER = "".join(
    ROW.format(*cells)
    for cells in (
        ("said", "tested", "verdict", "effect, with its 95 % interval", "what could turn it"),
        ("---", "---", "---", "---", "---"),
        (
            f"**02a** {WHERE} “It falls.” (nostalgebraist (S2), comment)",
            "It falls here.",
            "✓ supported",
            "fall: +4.2 [+4, +4.4] nats; supported above 1",
            "Nothing that was varied: lens (3 settings).",
        ),
        ("**02a on another**", "the same", "✗ refuted", "fall: -1 [-2, -0.5] nats; supported above 1", ""),
        (f"**02b** {WHERE} A claim of our own.", "It is so.", "✗ refuted", "share: +0.1 [+0, +0.2] of all", ""),
        (f"**02c** {WHERE} Lens et al. 2020; in our words.", "It helps.", "↔ depends on lens", "", "lens = x."),
    )
)
CARDS = [("02a", "What falls?", "The loss <1>."), ("02b", "Which?", "The guess."), ("ch02.refute", "Why?", "So.")]
COLAB = "https://colab.research.google.com/github"
BEFORE = f"[Open in Colab]({COLAB})\n\nWhat is asked, and why. No result stands here.\n\n"
FALL = "By how much does the `loss` fall from layer 0 to the end?"
MOST = "Which of these is most readable halfway up?"
OPTIONS = ("the wrong guess", "the true next token", "the current token")
FIGURE = '<figure class="mechlib-figure"><p class="figure">The loss falls by 4.2 nats.</p></figure>'


def shown(source: str, part: object, *tags: str) -> dict:
    """A cell that was executed and showed ``part``: HTML, or what brings its own."""
    data = {"text/html": part} if isinstance(part, str) else part._repr_mimebundle_()[0]
    output = new_output("execute_result", data=data, execution_count=1)
    return new_code_cell(source, outputs=[output], execution_count=1, metadata={"tags": list(tags)})


@contextmanager
def for_a_page():
    with mock.patch.dict(os.environ, {PAGE: "1"}):
        yield


def cells() -> list[dict]:
    """A chapter with a number to guess, a choice, and exercises."""
    with for_a_page():
        return [
            new_markdown_cell(f"# A lens\n\n{BEFORE}"),
            new_markdown_cell("## 02a. Does it fall?\n\nHow it is measured: $x^2$."),
            shown('guess("02a", ...)', guess("02a", FALL, unit="nats per token"), "remove-input"),
            shown("draw()", FIGURE, "hide-input"),
            new_markdown_cell("The loss falls by 4.2 nats, which is\n\n$$\n\\sum_i x_i .\n$$ (eq-fall)"),
            shown(
                'answer("02a", fall, ...)',
                answer(
                    "02a",
                    Estimate(4.2, 4.0, 4.4, 30),
                    within=0.5,
                    below="of the last layer alone",
                    above="that layer 0 knows nothing",
                ),
                "hide-input",
            ),
            new_markdown_cell("## 02b. Which?\n\nThe second question."),
            shown('guess("02b", ...)', guess("02b", MOST, options=OPTIONS), "remove-input"),
            new_markdown_cell("Halfway up it is the wrong guess."),
            shown(
                'answer("02b", most, ...)',
                answer(
                    "02b",
                    OPTIONS[0],
                    otherwise={OPTIONS[1]: "that layers know better", OPTIONS[2]: "of layer 0"},
                ),
                "hide-input",
            ),
            new_markdown_cell("## Exercises\n\nThey are in the notebook `exercises/02_lens.ipynb`."),
        ]


def build(folder: Path) -> Path:
    """Build the small book in a folder, a warning being an error; the folder of its pages."""
    for name in COPIED:
        source, target = checkout.root() / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    configuration = (folder / "_config.yml").read_text(encoding="utf-8")
    (folder / "_config.yml").write_text(configuration.replace("execute_notebooks: cache", 'execute_notebooks: "off"'))
    (folder / "_toc.yml").write_text(CONTENTS)
    (folder / "mechlib/__init__.py").touch()
    (folder / "book/references.bib").touch()
    (folder / "book/intro.md").write_text("# A book\n\nIts first page.\n")
    (folder / "book/review.md").write_text("# Review\n\n```{mechlib-cards}\n```\n")
    (folder / "book/cards").mkdir()
    cards = "".join(f'[[card]]\nof = "{of}"\nfront = "{front}"\nback = "{back}"\n' for of, front, back in CARDS)
    (folder / "book/cards/02.toml").write_text(cards)
    (folder / "book/claims.md").write_text(f"# Claims\n\n{LEDGER}", encoding="utf-8")
    metadata = {"language_info": {"name": "python", "pygments_lexer": "python"}}
    exercise = new_notebook(cells=[new_markdown_cell("# Exercises: a lens")])
    for path, notebook in ((CHAPTER, new_notebook(cells=cells(), metadata=metadata)), ("exercises/02_lens", exercise)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, folder / f"{path}.ipynb")
    python, *program = site.JUPYTER_BOOK
    status = site.build(folder, commands=[[python, "-P", *program, "build", ".", *site.STRICT]])
    assert status == 0, "the small book was not built"
    return site.pages(folder)
