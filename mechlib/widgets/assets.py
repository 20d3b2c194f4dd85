"""The browser side of a widget, put together from the files beside this one."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def script(*names: str) -> str:
    """One JavaScript module: ``common.js``, then the files of these names, which build on each other in order."""
    return _joined(names, "js")


def style(*names: str) -> str:
    """One style sheet: ``common.css``, then the files of these names."""
    return _joined(names, "css")


def _joined(names: tuple[str, ...], kind: str) -> str:
    return "\n".join((HERE / f"{name}.{kind}").read_text(encoding="utf-8") for name in ("common", *names))
