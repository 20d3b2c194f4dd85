"""The start page's room, and rooms that an address sets up."""

import re

import pytest
from selenium.webdriver.support.ui import WebDriverWait

SAID = {
    "book/part1/01_residual_columns": "Next, says the model",
    "book/part1/02_logit_lens": "layer 3",
    "book/part2/06_induction_heads": "head 1.1 is out",
    "book/part3/09_one_gradient_step": "At x = 1",
}
"""Chapters that lead to the playground, and what the room says there."""
ASKED = "return performance.getEntriesByType('resource').map(({ name }) => name.split('/').pop())"


def furnished(browser, room):
    """Wait until a room is there."""
    wait = WebDriverWait(browser.driver, 30)
    wait.until(lambda _: browser.all(f"#room-{room} .ml-body:not([hidden])"))


def test_the_start_page_has_a_room_that_is_loaded_once_it_is_near(browser):
    browser.open("book/notation")
    browser.driver.get("about:blank")
    browser.resize(1300, 300)
    browser.driver.get(f"{browser.address}/book/intro.html")
    browser.driver.execute_async_script("setTimeout(arguments[0], 500)")
    assert "code-2l.safetensors" not in browser.driver.execute_script(ASKED)
    node = browser.one("#room-game")
    browser.driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", node)
    furnished(browser, "game")
    assert "Nothing guessed yet." in node.text and "code-2l.safetensors" in browser.driver.execute_script(ASKED)
    assert browser.errors() == [] and browser.strangers() == []


@pytest.mark.parametrize("chapter", SAID)
def test_a_chapter_leads_to_a_room_that_is_set_up(browser, chapter):
    browser.open(chapter)
    (address,) = [link.get_attribute("href") for link in browser.all("a.mechlib-try")]
    room = re.search(r"[?&]room=(\w+)", address)[1]
    browser.driver.get(address)
    furnished(browser, room)
    top = browser.driver.execute_script("return arguments[0].getBoundingClientRect().top", browser.one(f"#room-{room}"))
    assert 0 <= top < 600
    said = " ".join(browser.one(f"#room-{room} .ml-body").text.split())
    assert SAID[chapter] in said
    if room == "regression":
        assert len(browser.all("#room-regression .ml-point")) == 1
    else:
        text = browser.one("#room-explorer .mechlib-room > .ml-field textarea").get_property("value")
        assert text.split()[0] in {"def", "for", "zebra_height"}


@pytest.mark.parametrize(
    "query", ["layer=x&text=import%20os", "name=gpt-9&text=import%20os", "weights=1&text=import%20os"]
)
def test_what_is_no_value_of_a_room_leaves_it_as_it_is(browser, query):
    browser.driver.get(f"{browser.address}/book/playground.html?room=explorer&{query}#room-explorer")
    furnished(browser, "explorer")
    assert browser.one("#room-explorer select").get_property("value") == "code-2l"
    assert browser.one("#room-explorer .mechlib-room > .ml-field textarea").get_property("value") == "import os"
    assert browser.errors() == []
