"""The panels of a figure stand below each other on a phone, and beside each other on a desk."""

import matplotlib.pyplot as plt
import pytest

from mechlib.authoring import checkout
from mechlib.figures import plots
from tests.browser.conftest import served

STATIC = checkout.root() / "mechlib" / "authoring" / "static"
SHOWN = """
return [...document.querySelectorAll("img")].filter((image) => image.offsetWidth)
  .map((image) => [image.offsetWidth, image.naturalWidth, image.offsetTop]);
"""


def figure(columns, width):
    with plots.style():
        drawn, axes = plt.subplots(1, columns, figsize=(width, 3), squeeze=False)
        for place, ax in enumerate(axes[0]):
            ax.plot([0, 1, 9], [0, 5, 1])  # the last point is cut off
            ax.set(xlim=(0, 2), title=f"panel {place}", xlabel="x", ylabel="y")
    return plots.picture(drawn, caption="A caption.", alt="An alternative text.")._repr_mimebundle_()[0]["text/html"]


@pytest.fixture(scope="module")
def pages(chromium, tmp_path_factory):
    """A page for each figure: by the number of its panels."""
    folder = tmp_path_factory.mktemp("panels")
    style = f"figure {{ margin: 0 }} {(STATIC / 'pages.css').read_text(encoding='utf-8')}"
    script = (STATIC / "panels.js").read_text(encoding="utf-8")
    head = f"<style>{style}</style><script>{script}</script>"
    for columns, width in ((1, 9), (2, 9), (3, 9.5), (4, 3)):
        page = f"<!doctype html><meta charset='utf-8'><meta name='viewport' content='width=device-width'>{head}"
        (folder / f"{columns}.html").write_text(page + figure(columns, width), encoding="utf-8")
    with served(folder, chromium) as browser:
        yield browser


def shown(pages, page, width):
    pages.resize(width, 900)
    pages.driver.get(f"{pages.address}/{page}.html")
    pages.driver.execute_async_script("setTimeout(arguments[0], 300)")
    return pages.driver.execute_script(SHOWN)


@pytest.mark.parametrize("columns", [2, 3])
def test_panels_are_stacked_where_there_is_no_room(pages, columns):
    found = shown(pages, columns, 390)
    assert len(found) == columns and all(330 <= width <= 390 and 100 < natural < 500 for width, natural, _ in found)
    tops = [top for _, _, top in found]
    assert tops == sorted(set(tops))
    assert pages.driver.execute_script("return document.documentElement.scrollWidth") <= 390
    assert len(shown(pages, columns, 1300)) == 1


def test_one_wide_panel_can_be_moved(pages):
    ((width, _, _),) = shown(pages, 1, 390)
    assert width == 620
    assert pages.driver.execute_script("return document.documentElement.scrollWidth") <= 390


def test_a_narrow_figure_stays_as_it_is(pages):
    assert len(shown(pages, 4, 390)) == 1
