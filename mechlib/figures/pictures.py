"""A figure as a page shows it: with an alternative text and a caption, wherever the notebook is read."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from mechlib.figures.house import style
from mechlib.figures.lettering import settle

PNG = "mechlib_png"
"""Under this name the metadata of an output hold the drawing as PNG, in base64, which no page shows."""
DOTS = 200
"""An inch, of the drawings as PNG."""


@dataclass(frozen=True)
class Picture:
    """A figure as a page shows it: an image with its alternative text, and a caption."""

    svg: str
    """The drawing, a whole SVG document."""
    alt: str
    caption: str
    width: float
    """Natural width in CSS pixels."""
    png: bytes = b""
    """The same for where no SVG is drawn, as on the code host; none if it was not made."""

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, str]]:
        source = base64.b64encode(self.svg.encode()).decode()
        size = f"width:100%;max-width:{self.width:.0f}px;height:auto;background:#fff"
        image = f'<img src="data:image/svg+xml;base64,{source}" alt="{html.escape(self.alt)}" style="{size}">'
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>"
        page = f'<figure class="mechlib-figure">{image}{caption}</figure>'
        metadata = {PNG: base64.b64encode(self.png).decode()} if self.png else {}
        return {"text/html": page, "text/plain": f"[Figure: {self.alt}]\n{self.caption}"}, metadata


def show(figure: Figure | Axes, *, caption: str, alt: str) -> None:
    """Display a figure with its caption and alternative text, and close it.

    Args:
        figure: the figure, or any axes of it.
        caption: what one sees and over what it varies (seeds, files); the figure must be understood from it.
        alt: what the figure shows, for a reader who does not see it: the kind of plot and what it says, with numbers.

    Raises:
        ValueError: if the caption or the alternative text is empty.
    """
    display(picture(figure, caption=caption, alt=alt))


def picture(figure: Figure | Axes, *, caption: str, alt: str) -> Picture:
    """The ``Picture`` that ``show`` displays; arguments and errors are the same."""
    if not caption.strip() or not alt.strip():
        raise ValueError(f"a figure needs a caption and an alternative text, got caption={caption!r} and alt={alt!r}")
    fig = (figure.figure if isinstance(figure, Axes) else figure).figure  # the whole one, of axes in a part of it
    drawing, dots = io.StringIO(), io.BytesIO()
    with style():
        settle(fig)
        frame = Bbox.union([fig.bbox_inches, fig.get_tightbbox().padded(0.03)])
        fig.savefig(dots, format="png", dpi=DOTS, metadata={"Software": None}, bbox_inches=frame, facecolor="white")
        fig.savefig(drawing, format="svg", metadata={"Date": None}, bbox_inches=frame)
    plt.close(fig)
    words = " ".join(alt.split()), " ".join(caption.split())
    return Picture(drawing.getvalue(), *words, 116 * frame.width, dots.getvalue())
