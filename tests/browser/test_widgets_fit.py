"""Widgets and rooms on a phone and in the dark: nothing is cut off, nothing too small to read, no white box."""

import pytest
from selenium.webdriver.support.ui import WebDriverWait

PAGES = (
    "book/part1/02_logit_lens",
    "book/part2/06_induction_heads",
    "book/part2/07_a_circuit_for_docstrings",
    "book/part2/08_self_repair_more",
    "book/part4/15_estimating_more",
    "book/playground",
    "book/intro",
)
CUT = """
return [...document.querySelectorAll(".mechlib-widget")].flatMap((root) => {
  const { left, right } = root.getBoundingClientRect();
  return [...root.querySelectorAll("*")].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width && !node.closest("pre, textarea, select, details:not([open]), .ml-place, .ml-tree, .ml-tick")
      && (box.left < left - 1 || box.right > right + 1);
  }).map((node) => node.outerHTML.slice(0, 150));
});
"""
SMALL = """
return [...document.querySelectorAll(".mechlib-widget *")].filter((node) => {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  if (!own || !node.getBoundingClientRect().width || node.closest("select")) return false;
  const svg = node.closest("svg");
  const scale = svg && svg.viewBox.baseVal?.width ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
  return parseFloat(getComputedStyle(node).fontSize) * scale < 10.9;
}).map((node) => `${getComputedStyle(node).fontSize} ${node.outerHTML.slice(0, 150)}`);
"""
WHITE = """
const bright = (colour) => {
  const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
  return a > 0.5 && (r + g + b) / 3 > 200;
};
return [...document.querySelectorAll(".mechlib-widget, .mechlib-widget *")].filter((node) => {
  const box = node.getBoundingClientRect();
  const inverted = node.closest(".ml-canvas, .ml-bar, .ml-shares, .ml-map .ml-cell, .ml-scores .ml-cell");
  if (inverted) return !getComputedStyle(inverted).filter.startsWith("invert");
  return box.width * box.height > 4000 && bright(getComputedStyle(node).backgroundColor);
}).map((node) => node.outerHTML.slice(0, 150));
"""


@pytest.fixture(scope="module", params=PAGES)
def page(request, browser):
    """The browser, with every widget and room of one page after the other there."""
    browser.open(request.param)
    for room in browser.all("[data-room]"):
        browser.driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", room)
        WebDriverWait(browser.driver, 30).until(
            lambda _, room=room: room.find_elements("css selector", ".ml-body:not([hidden])")
        )
    return browser


@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_is_cut_off_or_too_small(page, width):
    page.resize(width, 900)
    page.driver.execute_async_script("setTimeout(arguments[0], 400)")
    assert page.driver.execute_script(CUT) == []
    assert page.driver.execute_script(SMALL) == []


def test_there_is_no_white_box_in_the_dark(page):
    page.driver.execute_script("document.documentElement.dataset.theme = 'dark'")
    found = page.driver.execute_script(WHITE)
    page.driver.execute_script("document.documentElement.dataset.theme = 'light'")
    assert found == []
