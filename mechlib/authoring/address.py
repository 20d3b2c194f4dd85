"""The public addresses and the version, from the one place where they stand to everywhere they are shown.

``[project.urls] Repository``, ``Documentation`` (the built pages) and ``version`` in ``pyproject.toml`` are the source.
``write()`` brings them into the first code cell of every notebook (which installs mechlib on Colab and does nothing
elsewhere), the Colab links, the launch buttons of the book, the README and the citation file. A released version is the
git tag ``vVERSION``. A version that ends in ``.devN`` has no tag: its links and its first cells name the branch that it
is developed on.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path

from mechlib.authoring import checkout, overview
from mechlib.authoring.checkout import Notebook
from mechlib.authoring.places import filled, replaced

BRANCH = "main"
TAGS = ["bootstrap", "remove-cell"]
COLAB = "https://colab.research.google.com"
BADGE_IMAGE = f"{COLAB}/assets/colab-badge.svg"
LINK = re.compile(r"^\[Open in Colab\]\(.*\)$", re.MULTILINE)

COPIES = "notebooks"
"""The branch with the copies of the chapters, in a folder for every version (``mechlib.authoring.copies``)."""

ON_COLAB = re.compile(rf"{re.escape(COLAB)}/github/[^/)]+/[^/)]+/blob/(?:{COPIES}/)?[^/)]+/([^)]+)")
"""A link to a notebook on Colab, wherever it stands in Markdown."""

BOOTSTRAP = """\
# Set-up on Colab. Does nothing anywhere else.
import importlib.util
import sys

if "google.colab" in sys.modules and importlib.util.find_spec("mechlib") is None:
    %pip install -q "mechlib @ git+{repository}@{ref}"\
"""


PLACES = (
    ("_config.yml", "  url: ", "repository"),
    ("_config.yml", "  branch: ", "ref"),
    ("CITATION.cff", "repository-code: ", "repository"),
    ("CITATION.cff", "version: ", "version"),
    ("README.md", "git clone ", "repository"),
    ("README.md", "**Read it:** ", "pages"),
)
"""Files with a line that ends in the address, the version or the git reference, how that line begins, and in which."""


def repository(folder: Path) -> str:
    """The public address, ``https://host/owner/name``.

    Raises:
        ValueError: if ``pyproject.toml`` holds no such address.
    """
    address = checkout.project(folder).get("urls", {}).get("Repository", "")
    if not re.fullmatch(r"https://[\w.-]+/[\w.-]+/[\w.-]+[\w]", address):
        raise ValueError(f"[project.urls] Repository in pyproject.toml is {address!r}, not https://host/owner/name")
    return address


def pages(folder: Path) -> str:
    """The address of the built pages.

    Raises:
        ValueError: if ``pyproject.toml`` holds no such address.
    """
    found = checkout.project(folder).get("urls", {}).get("Documentation", "")
    if not re.fullmatch(r"https://[\w.-]+(/[\w.-]+)*", found):
        raise ValueError(f"[project.urls] Documentation in pyproject.toml is {found!r}, not https://host/name")
    return found


def version(folder: Path) -> str:
    """The version, ``X.Y.Z`` of a release or ``X.Y.Z.devN`` on the way to it.

    Raises:
        ValueError: if ``pyproject.toml`` holds no such version.
    """
    found = checkout.project(folder).get("version", "")
    if not re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", found):
        raise ValueError(f"[project] version in pyproject.toml is {found!r}, not X.Y.Z of a release or X.Y.Z.devN")
    return found


def ref(folder: Path) -> str:
    """The git reference under which the repository holds this version: its tag, or the branch before its release."""
    return BRANCH if ".dev" in version(folder) else f"v{version(folder)}"


def bootstrap_cell(folder: Path | None = None) -> str:
    """The source of the first code cell of every notebook."""
    folder = folder or checkout.root()
    return BOOTSTRAP.format(repository=repository(folder), ref=ref(folder))


def colab_link(folder: Path, path: str) -> str:
    """The address that opens the notebook at ``path`` of the repository in Colab; of a chapter, its copy."""
    branch = f"{COPIES}/{ref(folder)}" if path.startswith("book/") else ref(folder)
    return f"{COLAB}/github/{'/'.join(repository(folder).split('/')[-2:])}/blob/{branch}/{path}"


def addressed(notebook: Notebook, path: str, folder: Path) -> Notebook:
    """The notebook with its Colab link under the title and the set-up cell as its first code cell.

    Raises:
        ValueError: if the first cell is not Markdown that begins with a title.
    """
    done = copy.deepcopy(notebook)
    cells = done["cells"]
    if not cells or cells[0]["cell_type"] != "markdown" or not cells[0]["source"].startswith("# "):
        raise ValueError(f"{path}: the first cell is not Markdown with a title ('# ...') as its first line")
    for cell in cells:
        if cell["cell_type"] == "markdown":
            cell["source"] = ON_COLAB.sub(lambda link: colab_link(folder, link[1]), cell["source"])
    cells[0]["source"] = _with_link(cells[0]["source"], f"[Open in Colab]({colab_link(folder, path)})")
    first = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    if first == len(cells) or "bootstrap" not in cells[first]["metadata"].get("tags", ()):
        cells.insert(first, {"cell_type": "code", "id": "bootstrap", "outputs": [], "execution_count": None})
    cells[first]["metadata"] = {"tags": TAGS}
    cells[first]["source"] = bootstrap_cell(folder)
    return done


def unlinked(notebook: Notebook) -> Notebook:
    """The notebook without the Colab link under its title: one that stands in no public place."""
    done = copy.deepcopy(notebook)
    for cell in done["cells"][:1]:
        cell["source"] = re.sub(rf"\n*{LINK.pattern}", "", cell["source"], flags=re.MULTILINE)
    return done


def _with_link(source: str, link: str) -> str:
    if LINK.search(source):
        return LINK.sub(lambda _: link, source, count=1)
    title, _, rest = source.partition("\n")
    return "\n\n".join([title, link, rest.lstrip("\n")]).rstrip("\n")


def expected(folder: Path) -> dict[Path, str]:
    """The text of every file of a checkout that shows the address or the version, by its path.

    Raises:
        ValueError: if a file lacks the place where the address belongs; the message names both.
    """
    texts = {}
    for path in checkout.notebooks(folder):
        notebook = addressed(checkout.read_notebook(path), path.relative_to(folder).as_posix(), folder)
        texts[path] = checkout.dump_notebook(notebook)
    facts = {"repository": repository(folder), "version": version(folder), "ref": ref(folder), "pages": pages(folder)}
    for name, begins, fact in PLACES:
        text = texts.get(folder / name) or (folder / name).read_text(encoding="utf-8")
        pattern = rf"(?m)^{re.escape(begins)}.*$"
        texts[folder / name] = replaced(text, pattern, begins + facts[fact], f"{name}: {begins!r}")
    readme = folder / "README.md"
    texts[readme] = filled(texts[readme], chapter_table(folder), "README.md")
    return texts


def chapter_table(folder: Path) -> str:
    """The README's table of chapters, with what each asks and their Colab badges, and those to come, in Markdown.

    Raises:
        ValueError: if a chapter does not say how long it takes or what it builds on; the message names it.
    """
    rows = ["| chapter | what it asks | hours | points | read and run | exercises |", "|---|---|---|---|---|---|"]
    for chapter in overview.chapters(folder):
        more = chapter.path.replace(".ipynb", f"{checkout.MORE}.ipynb")
        title = f"[{chapter.number} {chapter.title}]({_page(folder, chapter.path)})"
        title += f"<br>[more tests]({_page(folder, more)})" if (folder / more).is_file() else ""
        time = f"{overview.hours(chapter.reading)} + {overview.hours(chapter.exercises)}"
        exercises = f"exercises/{Path(chapter.path).name}"
        badges = [_badge(folder, path) if (folder / path).is_file() else "" for path in (chapter.path, exercises)]
        rows.append("| " + " | ".join([title, chapter.line, time, f"{chapter.points:g}", *badges]) + " |")
    planned = [f"{each.number} {each.title}" for each in overview.to_come(folder)]
    return "\n".join([*rows, *([f"\nStill to come: {', '.join(planned)}."] if planned else [])])


def _page(folder: Path, path: str) -> str:
    return f"{pages(folder)}/{path.removesuffix('.ipynb')}.html"


def _badge(folder: Path, path: str) -> str:
    return f"[![Open in Colab]({BADGE_IMAGE})]({colab_link(folder, path)})"


def write(folder: Path | None = None) -> list[Path]:
    """Write the address and the version wherever they are shown; the files that changed."""
    return checkout.write_changed(expected(folder or checkout.root()))


def stale(folder: Path | None = None) -> list[str]:
    """One line for every file that does not show the address and the version as ``pyproject.toml`` has them."""
    folder = folder or checkout.root()
    return [
        f"{path.relative_to(folder)} does not show the address and the version as it should: run 'mechlib book address'"
        for path, text in expected(folder).items()
        if checkout.differs(path, text)
    ]
