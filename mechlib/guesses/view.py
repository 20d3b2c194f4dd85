"""A guess or an answer in a notebook: the HTML and the script of a page, with a trait for what was said."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from mechlib.guesses.asked import Said

__all__ = ["STATIC", "View"]

STATIC = Path(__file__).with_name("static")
"""The script and the style; the book's pages load the same files."""


class View(anywidget.AnyWidget):
    """Shows the HTML of a guess or of an answer, and what was said."""

    _esm = (STATIC / "guess.js").read_text(encoding="utf-8") + "\nexport default { render: mechlibGuess.render };\n"
    _css = (STATIC / "guess.css").read_text(encoding="utf-8")

    html = traitlets.Unicode().tag(sync=True)
    """As ``Guess.page`` and ``Answer.page`` have it."""
    kept = traitlets.Dict().tag(sync=True)
    """What was said to which question, as ``mechlib.guesses.kept.entry`` has it, or nothing."""

    @property
    def said(self) -> Said | None:
        """What was said; ``None`` if nothing was."""
        return self.kept.get("said")
