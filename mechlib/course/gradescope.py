"""An autograder for Gradescope: one zip that its container is set up from, and that grades without a network."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.checks.registry import asked
from mechlib.course.archive import packed
from mechlib.grading.assignment import new_secret, read_secret

__all__ = ["bundle"]

INSTALLED_FROM = ("pyproject.toml", "README.md", "LICENSE", "constraints.txt")
"""Files of the checkout, beside the package, from which it is installed."""

SETUP = """\
#!/usr/bin/env bash
# Runs once, when the container is built; the only step that needs a network.
set -euo pipefail
ROOT="${{AUTOGRADER:-/autograder}}"
apt-get update -q
apt-get install -q -y --no-install-recommends bubblewrap python3 python3-venv
PYTHON=python3
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  apt-get install -q -y --no-install-recommends python3.11 python3.11-venv
  PYTHON=python3.11
fi
"$PYTHON" -m venv "$ROOT/venv"
PIP=("$ROOT/venv/bin/python" -m pip install -q)
"${{PIP[@]}}" --index-url https://download.pytorch.org/whl/cpu torch=={torch} || "${{PIP[@]}}" torch=={torch}
"${{PIP[@]}}" -c "$ROOT/source/mechlib/constraints.txt" "$ROOT/source/mechlib"
chmod 0600 "$ROOT/source/secret"
"""

RUN = """\
#!/usr/bin/env bash
# Runs for every submission and writes results/results.json.
ROOT="${AUTOGRADER:-/autograder}"
mkdir -p "$ROOT/results"
exec "$ROOT/venv/bin/python" -m mechlib.course.autograder "$ROOT"
"""

SCRIPTS = ("setup.sh", "run_autograder")


def bundle(
    *,
    chapter: str | None = None,
    secret: Path | None = None,
    timeout: float = 30.0,
    trusted: bool = False,
    withheld: Mapping[str, datetime.datetime] | None = None,
) -> bytes:
    """The content of ``autograder.zip``. It holds the secret: give it to Gradescope and to nobody else.

    Args:
        chapter: ``"chNN"``, to which every submission is held; ``None`` takes that of each notebook.
        secret: the file that draws the hidden cases; ``None`` draws a new one.
        timeout: seconds for a cell or an answer.
        withheld: by question, from when on students are told the result; who grades again after that tells it.
        trusted: grade without a sandbox where the container allows none; see the page for instructors.

    Raises:
        FileNotFoundError: if mechlib is installed without its checkout.
        LookupError: for a chapter without questions.
        ValueError: for a secret that is too short.
    """
    if chapter is not None:
        asked(chapter)
    folder = checkout.root()
    later = {name: moment.isoformat() for name, moment in (withheld or {}).items()}
    settings = {"chapter": chapter, "timeout": timeout, "trusted": trusted, "withheld": later}
    files = {
        "setup.sh": SETUP.format(torch=_pinned(folder, "torch")).encode(),
        "run_autograder": RUN.encode(),
        "settings.json": (json.dumps(settings) + "\n").encode(),
        "secret": (read_secret(secret) if secret else new_secret()) + b"\n",
    }
    for name in INSTALLED_FROM:
        files[f"mechlib/{name}"] = (folder / name).read_bytes()
    for path in sorted((folder / "mechlib").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            files[f"mechlib/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return packed(files, executable=SCRIPTS, private=("secret",))


def _pinned(folder: Path, name: str) -> str:
    pins = dict(line.split("==") for line in (folder / "constraints.txt").read_text().splitlines() if "==" in line)
    return pins[name]
