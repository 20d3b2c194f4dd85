"""Slides in a browser, opened from a disk: one is shown, keys and the address turn them, formulas are set."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from mechlib.authoring import checkout, slides
from tests.browser import small
from tests.browser.conftest import SETTLED, Browser

ROOT = checkout.root()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    cells = [{**cell, "id": f"c{number}"} for number, cell in enumerate(small.cells())]
    path = tmp_path_factory.mktemp("slides") / "slides.html"
    path.write_text(
        slides.page({"cells": cells, "metadata": {}}, "book/part1/02_logit_lens.ipynb", ROOT), encoding="utf-8"
    )
    return path


@pytest.fixture
def page(file, chromium):
    chromium.get_log("browser"), chromium.get_log("performance")
    browser = Browser(chromium, "")
    browser.resize(1300, 800)
    chromium.get("about:blank")
    chromium.get(file.as_uri())
    chromium.execute_async_script(SETTLED)
    return browser


def shown(page):
    """The number of the slide that is seen, of how many."""
    (slide,) = [slide for slide in page.all("main > section") if slide.is_displayed()]
    assert page.all("main > section").index(slide) + 1 == int(page.one("nav output").text.partition(" / ")[0])
    return page.one("nav output").text


def test_one_slide_is_shown_and_keys_and_buttons_turn(page):
    count = len(page.all("main > section"))
    body = page.one("body")
    seen = [shown(page)]
    for key in (Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.SPACE, Keys.PAGE_UP, Keys.END, Keys.ARROW_RIGHT, Keys.HOME):
        body.send_keys(key)
        seen.append(shown(page))
    assert seen == [f"{n} / {count}" for n in (1, 1, 2, 3, 2, count, count, 1)]
    page.one("#after").click()
    assert shown(page) == f"2 / {count}" and page.driver.current_url.endswith("#2")
    page.one("#before").click()
    assert shown(page) == f"1 / {count}"


def test_what_is_long_is_set_smaller_until_it_is_seen_whole(page):
    page.driver.execute_script("document.querySelectorAll('main > section')[1].innerHTML = '<p>line</p>'.repeat(13)")
    page.one("body").send_keys(Keys.ARROW_RIGHT)
    size, height = page.driver.execute_script("""
        const size = getComputedStyle(document.querySelector("main > section.shown")).fontSize;
        return [parseFloat(size), document.documentElement.scrollHeight];""")
    assert height <= page.driver.execute_script("return innerHeight") and 0.6 * 21.6 <= size < 21.6


def test_an_address_leads_to_its_slide(page, file):
    page.driver.get("about:blank")
    page.driver.get(f"{file.as_uri()}#3")
    assert shown(page).startswith("3 / ")


def test_a_guess_is_put_before_what_came_and_waits_for_nothing(page):
    kinds = [slide.get_attribute("class").split()[0] for slide in page.all("main > section")]
    assert kinds.index("guess") < kinds.index("figure") < kinds.index("answer")
    assert page.all("main .mechlib-waiting") == []


def test_formulas_are_set_in_fonts_that_the_file_brings(page):
    formulas = page.all("main mjx-container")
    assert formulas and page.all("mjx-merror") == []
    loaded = page.driver.execute_script("return [...document.fonts].filter((f) => f.status === 'error').length")
    assert loaded == 0
    for slide in page.all("main > section"):
        assert slide.find_elements(By.CSS_SELECTOR, ".math") == []


def test_the_file_asks_nobody_and_nothing_fails(page, file):
    page.one("body").send_keys(Keys.END)
    assert [url for url in page.strangers() if not url.startswith(file.as_uri())] == []
    assert page.errors() == []
