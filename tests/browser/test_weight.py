"""What a page costs before anything is moved, and that what was left out of it is not missed."""

import json

import pytest

from mechlib.authoring import checkout
from tests.browser import small

WITH_WIDGETS = (
    "book/part1/02_logit_lens",
    "book/part2/06_induction_heads",
    "book/part2/07_a_circuit_for_docstrings",
    "book/part2/08_self_repair_more",
    "book/part4/15_estimating_more",
)
MOST_BYTES, MOST_REQUESTS = 3_000_000, 30
ICONS = """
return [...document.querySelectorAll("[class*='fa-']")].filter((node) => node.offsetWidth).map((node) => {
  const { content, fontFamily } = getComputedStyle(node, "::before");
  return [node.className, content.codePointAt(1) ?? 0, fontFamily];
});
"""
FACES = """
const done = arguments[0];
document.fonts.ready.then(() => done([...document.fonts].filter(({ family }) => family.includes("Font Awesome"))
  .map(({ status }) => status)));
"""


def loaded(browser, page):
    """What a page asks for when it is opened for the first time: the bytes that came, by the address."""
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    browser.driver.get("about:blank")
    browser.open(page, guessed=False)
    browser.driver.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})
    events = [json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")]
    parts = {
        event["params"]["requestId"]: event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    sizes = {
        event["params"]["requestId"]: event["params"]["encodedDataLength"]
        for event in events
        if event["method"] == "Network.loadingFinished"
    }
    return {url: sizes.get(part, 0) for part, url in parts.items() if url.startswith(browser.address)}


@pytest.mark.parametrize("page", WITH_WIDGETS)
def test_a_chapter_with_widgets_is_light(browser, page):
    found = loaded(browser, page)
    assert sum(found.values()) <= MOST_BYTES and len(found) <= MOST_REQUESTS, found


def test_every_chapter_with_widgets_is_weighed():
    cells = {path: path.read_text(encoding="utf-8") for path in checkout.notebooks(checkout.root(), "book")}
    shown = {
        path.relative_to(checkout.root()).with_suffix("").as_posix()
        for path, text in cells.items()
        if "_explorer(" in text
    }
    assert shown == set(WITH_WIDGETS)


def test_a_page_loads_the_scripts_of_others_not(small_book):
    chapter, ledger = (loaded(small_book, page) for page in (small.CHAPTER, "book/claims"))
    assert len(chapter) <= MOST_REQUESTS and sum(chapter.values()) <= MOST_BYTES
    assert {url for url in chapter if "bundles" in url} != {url for url in ledger if "bundles" in url}


def test_every_icon_has_its_letter(small_book):
    small_book.open(small.CHAPTER)
    shown = small_book.driver.execute_script(ICONS)
    assert len(shown) >= 5
    for name, sign, family in shown:
        assert 0xE000 <= sign <= 0xF8FF and "Font Awesome" in family, (name, sign, family)
    assert set(small_book.driver.execute_async_script(FACES)) >= {"loaded"}
