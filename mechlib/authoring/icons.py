"""The icons of the pages, and no others: a Sphinx extension.

The theme brings two thousand icons in three fonts, and again as a script, 1.9 MB that every page loads. What stands on
no page is taken out of its style sheet and its fonts when the pages are built, and what is left is one small file.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

__all__ = ["SHEET", "setup", "style_sheet"]

SHEET = "_static/icons.css"
TEMPLATES = Path(__file__).with_name("templates")
"""Where the theme's template for what a page loads has its place taken."""
THEIRS = "_static/vendor/fontawesome"
FONTS = {"fa-solid-900.ttf": ("Free", 900), "fa-regular-400.ttf": ("Free", 400), "fa-brands-400.ttf": ("Brands", 400)}
"""The files of the theme with the last word of their family's name and their weight."""
NAME = re.compile(r"\bfa-[a-z0-9-]+")
"""A class that names an icon, or says how one is shown."""
SIGN = re.compile(r"""(?<=["']\\)f[0-9a-f]{3}(?=["'])|[\uf000-\uf8ff]""")
"""An icon in another style sheet: its place in the fonts, or itself."""
RULE = re.compile(r'(?P<names>(?:\.fa-[\w-]+::?before,?)+)\{content:"\\(?P<sign>[0-9a-f]+)"\}')
"""A rule of the sheet that gives an icon to names."""
FACE = re.compile(r"@font-face\{[^}]*\}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.connect("config-inited", lambda app, config: config.templates_path.insert(0, str(TEMPLATES)))
    app.connect("build-finished", _write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def style_sheet(theirs: str, fonts: Path, names: Set[str], signs: Set[str]) -> str:
    """The rules and letters of an icon font that are needed, as one style sheet with the fonts in it.

    Args:
        theirs: the whole style sheet.
        fonts: the folder of the whole fonts, as TrueType.
        names: the classes that stand on a page, such as ``fa-bars``.
        signs: the places in the fonts that other style sheets use, such as ``f107``.

    Raises:
        ValueError: if the sheet gives no icon to any name, so that it is not one of these.
    """
    if not RULE.search(theirs):
        raise ValueError("the style sheet of the theme's icons gives no icon to a name: it has another form")
    used = set(signs)

    def kept(rule: re.Match[str]) -> str:
        if names.isdisjoint(NAME.findall(rule["names"])):
            return ""
        used.add(rule["sign"])
        return rule[0]

    rules = RULE.sub(kept, FACE.sub("", theirs))
    return "".join(_faces(fonts, used)) + rules


def _faces(folder: Path, used: Set[str]) -> Iterator[str]:
    """The fonts with the signs alone that are used, each where there is one."""
    for name, (family, weight) in FONTS.items():
        with TTFont(folder / name) as font:
            there = {int(sign, 16) for sign in used} & set(font.getBestCmap())
            if not there:
                continue
            options = subset.Options(flavor="woff", hinting=False, layout_features=[], notdef_outline=False)
            subsetter = subset.Subsetter(options)
            subsetter.populate(unicodes=there)
            subsetter.subset(font)
            written = io.BytesIO()
            font.flavor = "woff"
            font.save(written)
        data = base64.b64encode(written.getvalue()).decode()
        yield (
            f'@font-face{{font-family:"Font Awesome 6 {family}";font-weight:{weight};font-display:block;'
            f'src:url(data:font/woff;base64,{data}) format("woff")}}'
        )


def _write(app: Sphinx, failure: Exception | None) -> None:
    """Write the sheet for the built pages and take the theme's away."""
    if failure is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    theirs = out / THEIRS
    (sheet,) = theirs.glob("*/css/all.min.css")
    pages = (path.read_text(encoding="utf-8") for path in out.rglob("*.html"))
    names = {name for page in pages for name in NAME.findall(page)}
    others = (path for path in (out / "_static").rglob("*.css") if theirs not in path.parents and path != out / SHEET)
    found = {sign for path in others for sign in SIGN.findall(path.read_text(encoding="utf-8"))}
    signs = {sign if len(sign) > 1 else f"{ord(sign):x}" for sign in found}
    told = style_sheet(sheet.read_text(encoding="utf-8"), sheet.parent.parent / "webfonts", names, signs)
    (out / SHEET).write_text(told, encoding="utf-8")
    shutil.rmtree(theirs)
