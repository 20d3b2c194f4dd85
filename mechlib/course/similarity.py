"""How alike the code of a class is, and that of earlier years, as the plagiarism detector copydetect reports it.

Only what stands in the answers' notebooks is compared, without the cells of the exercise that everybody has.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.grading import collect
from mechlib.grading.notebook import Handed, read

__all__ = ["compared", "report"]

TOOL = "copydetect"


def _code(handed: Handed) -> str:
    """The code of a notebook as one file; magic commands are left out, as no parser of Python reads them."""
    lines = (line for cell in handed.cells for line in [*cell.source.split("\n"), ""])
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!"))) + "\n"


def compared(submissions: Path, fewest: int = 2) -> dict[str, str]:
    """The code of the submissions that count, by a name for its file; what cannot be read is left out.

    Raises:
        ValueError: if fewer than ``fewest`` notebooks can be read.
    """
    found: dict[str, str] = {}
    for submission in collect(submissions):
        if submission.superseded:
            continue
        try:
            code = _code(read(submission.notebook_bytes))
        except ValueError:
            continue
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in submission.student)[:80]
        found[f"{safe}-{len(found):03}.py"] = code
    if len(found) < fewest:
        raise ValueError(
            f"{submissions} holds {len(found)} readable notebooks; at least {fewest} are needed to compare"
        )
    return found


def _years(earlier: Sequence[Path]) -> dict[str, dict[str, str]]:
    """The code of every earlier year by the year's name."""
    names = ["".join(c if c.isalnum() or c in "-_" else "_" for c in path.stem)[:40] or "earlier" for path in earlier]
    if len(set(names)) < len(names):
        raise ValueError(f"several earlier years are called alike: {', '.join(names)}; rename a folder")
    return {name: compared(path, 1) for name, path in zip(names, earlier, strict=True)}


def report(
    submissions: Path,
    out: Path,
    *,
    exercise: Path | None = None,
    threshold: float = 0.5,
    earlier: Sequence[Path] = (),
) -> Path:
    """Compare a class and write copydetect's page to ``out``, which is returned and which only its owner can read.

    Args:
        submissions: a folder or zip, as for grading.
        exercise: the notebook that the students were given; what is in it counts for nobody.
        threshold: share of copied code, 0 to 1, from which a pair is shown.
        earlier: the submissions of other years, with which those of this class are compared too, but not among
            themselves; the page calls their files by the names of these folders or zips.

    Raises:
        FileNotFoundError: if copydetect is not installed; the message says how to.
        ValueError: if there are not two notebooks, or none of an earlier year; if two of these are called alike, or if
            ``exercise`` is no notebook.
    """
    tool = shutil.which(TOOL)
    if tool is None:
        raise FileNotFoundError(f"the program {TOOL} is not installed: pip install {TOOL}, in any environment")
    files = compared(submissions, 1 if earlier else 2)
    years = _years(earlier)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkout.write_changed({folder / "class" / file: code for file, code in files.items()})
        for year, code_of in years.items():
            folder_of = folder / "earlier" / year
            checkout.write_changed({folder_of / f"{year}-{file}": code for file, code in code_of.items()})
        command = [tool, "-t", str(folder / "class"), "-e", "py", "-d", str(threshold), "-O", str(folder / "page.html")]
        if years:
            command += ["-r", str(folder / "class"), *(str(folder / "earlier" / year) for year in years)]
        if exercise is not None:
            checkout.write_changed({folder / "given" / "exercise.py": _code(read(exercise.read_bytes()))})
            command += ["-b", str(folder / "given")]
        subprocess.run([*command, "-a"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
        checkout.write_changed({out: (folder / "page.html").read_bytes()}, private=True)
    return out
