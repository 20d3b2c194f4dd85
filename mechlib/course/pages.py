"""HTML pages that stand alone: nothing loaded, every text escaped by construction; no script but one that is named."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["SCRIPTS", "Markup", "data", "element", "page", "printable", "table"]

SCRIPTS = Path(__file__).with_name("static")
"""The folder of what pages may run."""

LONGEST = 20_000
"""Characters of one text that are shown."""

UNSEEN = {"Cc", "Cs", "Co", "Cn"} | {"Cf", "Zl", "Zp"}
"""Unicode categories that are not shown: they steer terminals, turn the direction of text or are no characters."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --page: #fff; --muted: #555; --line: #767676; --bar: #14213d; }
@media (prefers-color-scheme: dark) {
  :root { --text: #eee; --page: #161616; --muted: #bbb; --line: #8a8a8a; --bar: #9dbfd6; }
}
body { font: 1rem/1.55 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 0;
  overflow-wrap: anywhere; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 0.3rem; }
.scroll { overflow-x: auto; margin-bottom: 1.4rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding: 0 0 0.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.9rem 0.3rem 0;
  border-bottom: 1px solid var(--line); }
th { overflow-wrap: break-word; } td { min-width: 3.5rem; }
th[scope="row"] { font-weight: 400; } .number { text-align: right; white-space: nowrap; }
pre { white-space: pre-wrap; font-size: 0.9rem; margin: 0.3rem 0;
  border-left: 0.25rem solid var(--line); padding: 0.1rem 0 0.1rem 0.8rem; }
a { color: inherit; } .muted { color: var(--muted); }
.bar { display: inline-block; height: 0.75em; background: var(--bar); vertical-align: baseline; margin-right: 0.4em; }
@media print { .bar { print-color-adjust: exact; } }
"""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def printable(text: str, longest: int = LONGEST) -> str:
    """The text with characters that cannot be seen replaced by U+FFFD, cut after ``longest`` characters."""
    shown = "".join(c if c in "\n\t" or unicodedata.category(c) not in UNSEEN else "\ufffd" for c in text[:longest])
    return shown if len(text) <= longest else f"{shown}\n[cut: {len(text)} characters in all]"


def element(tag: str, *children: str, **attributes: str) -> Markup:
    """An element; children and attributes are escaped, unless they are ``Markup``.

    Attributes are named as in Python: ``class_`` is ``class``, ``aria_label`` is ``aria-label``.
    """
    inside = "".join(child if isinstance(child, Markup) else html.escape(printable(child)) for child in children)
    names = "".join(f' {_name(key)}="{html.escape(printable(value))}"' for key, value in attributes.items())
    return Markup(f"<{tag}{names}>{inside}</{tag}>")


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> Markup:
    """A table whose first column names the rows; the columns in ``numbers`` stand to the right."""
    right = set(numbers)

    def cell(column: int, text: str, head: bool) -> Markup:
        attributes = {"class_": "number"} if column in right else {}
        if head or column == 0:
            return element("th", text, scope="col" if head else "row", **attributes)
        return element("td", text, **attributes)

    def row(cells: Sequence[str], head: bool = False) -> Markup:
        return element("tr", *(cell(column, text, head) for column, text in enumerate(cells)))

    body = element("tbody", *(row(cells) for cells in rows))
    whole = element("table", element("caption", caption), element("thead", row(header, head=True)), body)
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def data(name: str, value: Any) -> Markup:
    """What the page's script reads: an element of this id with JSON, which no text in it can end."""
    text = json.dumps(value, ensure_ascii=True).replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="{html.escape(name)}">{text}</script>')


def page(title: str, *content: Markup, script: str = "", style: str = "") -> str:
    """A whole page with a heading of the same text as its title.

    Args:
        script: the name of a file in ``SCRIPTS``; the browser runs this text and no other.
        style: rules beside those of every page.
    """
    code = (SCRIPTS / script).read_text(encoding="utf-8") if script else ""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"{POLICY}; script-src 'sha256-{digest}'" if script else POLICY
    head = Markup(
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"{element('title', title)}<style>{STYLE}{style}</style>"
    )
    main = element("main", element("h1", title), *content)
    body = element("body", main, Markup(f"<script>{code}</script>" if script else ""))
    return f"<!DOCTYPE html>\n{element('html', element('head', head), body, lang='en')}\n"
