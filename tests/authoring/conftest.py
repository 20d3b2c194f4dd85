"""A checkout small enough to be executed: a library of a few lines, and two chapters that count how often they run."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

LENS, ZOO = Path("book/part1/01_lens.ipynb"), Path("book/part1/02_zoo.ipynb")
COUNT = "with open({0!r}, 'a') as file:\n    _ = file.write('x')\n"
CELLS = {
    LENS: "from mechlib.lens import read_out\nread_out()",
    ZOO: "from mechlib import zoo\nzoo.load('small-1')",
}
FILES = {
    "_config.yml": "execute:\n  timeout: 60\n",
    "constraints.txt": "torch==1\n",
    "mechlib/__init__.py": "",
    "mechlib/tokenizer.json": "{}",
    "mechlib/lens.py": "from mechlib import stream\n\n\ndef read_out():\n    return stream.entries()\n",
    "mechlib/stream.py": "def entries():\n    return 6 * 7\n",
    "mechlib/hidden.py": "",
    "mechlib/widgets/__init__.py": "from .explorer import show",
    "mechlib/widgets/explorer.py": "def show():\n    from mechlib.lens import read_out",
    "mechlib/widgets/explorer.js": "1",
    "mechlib/zoo/__init__.py": "from mechlib.zoo.loading import load",
    "mechlib/zoo/loading.py": "from pathlib import Path\n\n\ndef load(name):\n"
    "    return (Path(__file__).parent / 'weights' / name / 'card.json').read_text()\n",
    "mechlib/zoo/weights/small-1/card.json": "one",
    "mechlib/zoo/weights/small-2/card.json": "two",
    "mechlib/checks/__init__.py": "from importlib import import_module\n\n\ndef check(chapter):\n"
    "    import_module(f'mechlib.questions.{chapter}')\n",
    "mechlib/questions/__init__.py": "",
    "mechlib/questions/ch01.py": "from mechlib import lens",
    "mechlib/questions/ch02.py": "",
    "mechlib/course/__init__.py": "from mechlib import lens, zoo",
}


@pytest.fixture
def book(tmp_path) -> Path:
    """The checkout."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for path, code in CELLS.items():
        write(tmp_path / path, COUNT.format(path.stem) + code)
    return tmp_path


def write(path: Path, code: str) -> None:
    """A notebook with this one cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=[new_code_cell(code)]), path)


def times(book: Path) -> dict[Path, int]:
    """How often each of the two chapters was executed."""
    counts = ((path, book / path.with_name(path.stem)) for path in CELLS)
    return {path: len(count.read_text()) if count.is_file() else 0 for path, count in counts}
