"""A reader's files: finding the notebook's own, writing one whole, and on Colab moving them to and from the machine."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from mechlib.files import written_whole

__all__ = ["executed", "fetched", "handed_over", "notebook", "on_colab", "write_whole"]


def on_colab() -> bool:
    """Whether this is Colab, whose machine and files are gone after the session."""
    return "google.colab" in sys.modules


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all, on the disk once this returns."""
    with written_whole(path) as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def handed_over(path: Path) -> None:
    """On Colab, have the browser download the file; elsewhere nothing, as the file stays where it is."""
    if on_colab():
        importlib.import_module("google.colab.files").download(str(path))


def fetched(path: Path) -> Path:
    """The path of a file to read; on Colab, where there is no such file yet, one that the reader uploads becomes it.

    Raises:
        FileNotFoundError: if nothing was uploaded.
    """
    if on_colab() and not path.is_file():
        uploaded: dict[str, bytes] = importlib.import_module("google.colab.files").upload()
        if not uploaded:
            raise FileNotFoundError(f"there is no {path}, and no file was uploaded")
        path.write_bytes(next(iter(uploaded.values())))
    return path


def notebook(path: Path | None = None) -> tuple[str, dict[str, Any]]:
    """File name and content of the notebook that this runs in, as it was last saved; on Colab, as it is.

    Args:
        path: where it is; ``None`` asks Colab, Visual Studio Code or the Jupyter server that started the kernel.

    Raises:
        FileNotFoundError: if nobody knows where the notebook is, or there is no such file.
        ValueError: if the file is no notebook of format 4.
    """
    if path is None and on_colab():
        messages = importlib.import_module("google.colab._message")
        content = messages.blocking_request("get_ipynb", timeout_sec=60)["ipynb"]
        return content.get("metadata", {}).get("colab", {}).get("name") or "notebook.ipynb", content
    path = path or _path()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["nbformat"] != 4 or not isinstance(content["cells"], list):
            raise ValueError(f"its format is {content['nbformat']}")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a notebook of format 4: {error}") from error
    return path.name, content


def _path() -> Path:
    shell = _shell()
    editor = shell.user_ns.get("__vsc_ipynb_file__") if shell else None
    for place in (editor, os.environ.get("JPY_SESSION_NAME")):
        if place and place.endswith(".ipynb") and Path(place).is_file():
            return Path(place)
    raise FileNotFoundError("the notebook does not know its own file here; name it: submit('NAME.ipynb')")


def _shell() -> Any:
    """The shell of the notebook's kernel; ``None`` where there is none, and then nothing has imported IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None


def executed() -> list[str]:
    """The cells that were executed in this session, in order."""
    shell = _shell()
    return list(shell.user_ns.get("In", ())) if shell else []
