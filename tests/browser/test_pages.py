"""Every page of the book as a reader without a network sees it."""

import re

import pytest

from mechlib.authoring import catalogue, checkout, reference
from tests.browser.conftest import serious

ROOT = checkout.root()
PAGES = [
    *re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8")),
    *(path.relative_to(ROOT).with_suffix("").as_posix() for path in checkout.notebooks(ROOT, "book")),
    *(f"{reference.FOLDER}/{room}" for room in catalogue.rooms(ROOT)),
]


@pytest.fixture(scope="module", params=PAGES)
def page(request, browser):
    """The browser, with one page after the other open."""
    browser.open(request.param)
    return browser


def test_nothing_is_asked_of_another_host_and_nothing_fails(page):
    assert page.strangers() == []
    assert page.errors() == []


def test_every_image_is_drawn_and_told_in_words(page):
    for image in page.all("img"):
        words = image.get_attribute("alt")
        assert words and not re.fullmatch(r"[\w./:-]+\.(png|svg|jpe?g|gif)", words), image.get_attribute("outerHTML")[
            :200
        ]
        assert image.get_property("naturalWidth") > 0, words


def test_every_formula_is_set(page):
    for formula in page.all(".math"):
        assert len(formula.find_elements("css selector", "mjx-container")) == 1, formula.text
        assert not formula.find_elements("css selector", "mjx-merror"), formula.text


def test_there_is_one_search_box(page):
    def visible():
        return [box for box in page.all(".search-button-field, input[type=search]") if box.is_displayed()]

    assert len(visible()) == 1


def test_a_phone_does_not_scroll_sideways(page):
    page.resize(390, 800)
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 390
    page.resize(1300, 1000)


AT_ONCE = """
    const style = document.createElement("style");
    style.textContent = "* { transition: none !important }";
    document.head.append(style);
    document.documentElement.dataset.theme = arguments[0];"""
"""Another theme, whose colours are there at once."""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_has_no_serious_complaint(page, axe, theme):
    page.driver.execute_script(AT_ONCE, theme)
    found = serious(page.driver, axe)
    page.driver.execute_script("document.documentElement.dataset.theme = 'light'")
    assert found == []


def test_on_paper_code_is_broken_over_lines_and_pages_and_a_widget_has_its_picture(browser):
    browser.open("book/part1/02_logit_lens")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.resize(700, 1000)
    wider = browser.driver.execute_script("""
        const blocks = [...document.querySelectorAll("article pre")];
        return blocks.filter((pre) => pre.scrollWidth > pre.clientWidth + 1).length;""")
    whole = browser.driver.execute_script("""
        const boxes = [...document.querySelectorAll("article .cell_input, article .cell_input *")];
        return boxes.filter((box) => {
            const { overflow, breakInside } = getComputedStyle(box);
            return overflow !== "visible" || breakInside === "avoid";
        }).length;""")
    folded = [part for part in browser.all("details.hide:not([open])") if part.is_displayed()]
    cells = browser.all(".mechlib-lens .ml-map .ml-cell")
    exact = {cell.value_of_css_property("print-color-adjust") for cell in cells[:20]}
    drawn = browser.one(".mechlib-lens .ml-map").is_displayed()
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert wider == whole == 0 and folded == [] and drawn and exact == {"exact"}


def test_a_request_to_another_host_would_be_seen(browser):
    browser.open("book/intro")
    browser.driver.execute_async_script("fetch('https://example.org/x.js').catch(() => 0).then(arguments[0])")
    assert browser.strangers() == ["https://example.org/x.js"]
    assert any("example.org" in message for message in browser.errors())
