"""The browser side of a widget, put together from the files beside this one."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def script(*names: str) -> str:
    """One JavaScript module: ``common.js``, then the files of these names, which build on each other in order."""
    return _joined("js", "common", *names)


def style(*names: str) -> str:
    """One style sheet: ``common.css``, then the files of these names."""
    return _joined("css", "common", *names)


def embedded() -> str:
    """The script by which a page without a kernel shows the widgets that a notebook wrote into it."""
    return f"{{\n{_joined('js', 'kept', 'embedded')}}}\n"


def rooms() -> str:
    """The module by which a page shows the rooms of the playground."""
    return _joined("js", "kept", "playground/page")


def _joined(kind: str, *names: str) -> str:
    return "\n".join((HERE / f"{name}.{kind}").read_text(encoding="utf-8") for name in names)
