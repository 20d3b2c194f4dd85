"""Review cards in a browser: asked when they are due, spaced, given out as a file and taken in; on a small book."""

import json
from datetime import date, timedelta

import pytest

from tests.browser import small

REVIEW = "book/review"
FRONTS = [front for _, front, _ in small.CARDS]


@pytest.fixture
def page(small_book):
    """The browser on the page for review, with nothing kept from before."""
    small_book.open(REVIEW)
    small_book.driver.execute_script("localStorage.clear()")
    small_book.open(REVIEW)
    return small_book


def status(page):
    return page.one(".mechlib-review [role=status]").text


def front(page):
    found = page.all(".mechlib-review .ml-front")
    return found[0].text if found else None


def press(page, text):
    (button,) = [each for each in page.all(".mechlib-review button, .mechlib-kept button") if each.text == text]
    button.click()


def grade(page, how):
    press(page, "Show the answer")
    press(page, how)


def kept(page, key="mechlib-cards"):
    return json.loads(page.driver.execute_script("return localStorage.getItem(arguments[0])", key) or "{}")


def in_days(n):
    return (date.today() + timedelta(days=n)).isoformat()


def test_all_cards_are_due_at_first_and_are_asked_one_by_one(page):
    assert status(page) == "3 of 3 cards are due." and front(page) == FRONTS[0]
    press(page, "Show the answer")
    assert "The loss <1>." in page.one(".mechlib-review .ml-back").text
    assert page.one(".mechlib-review .ml-back a").get_attribute("href").endswith("part1/02_lens.html#verdict-02a")
    press(page, "I knew it")
    assert status(page) == "2 of 3 cards are due." and front(page) == FRONTS[1]


def test_what_was_known_waits_longer_each_time_and_what_was_not_comes_again_today(page):
    for how in ("Not yet", "With an effort", "I knew it"):
        grade(page, how)
    assert status(page) == "1 of 3 cards are due." and front(page) == FRONTS[0]
    again, hard, good = kept(page).values()
    assert [each["due"] for each in (again, hard, good)] == [in_days(0), in_days(1), in_days(1)]
    grade(page, "I knew it")
    assert front(page) is None and f"due on {in_days(1)}" in page.one(".ml-asked").text
    waits = []
    for _ in range(7):
        everything = {key: {**entry, "due": in_days(-1)} for key, entry in kept(page).items()}
        page.driver.execute_script("localStorage.setItem('mechlib-cards', arguments[0])", json.dumps(everything))
        page.open(REVIEW)
        grade(page, "I knew it")
        first = next(iter(kept(page).values()))
        waits.append((date.fromisoformat(first["due"]) - date.today()).days)
    assert waits == [3, 7, 16, 35, 90, 90, 90]


def test_what_was_not_known_is_asked_after_the_others(page):
    grade(page, "Not yet")
    grade(page, "Not yet")
    assert front(page) == FRONTS[2]
    grade(page, "I knew it")
    assert front(page) == FRONTS[0]


def test_an_address_chooses_the_chapter_and_the_chapter_leads_here(page):
    page.open(small.CHAPTER)
    (link,) = [each for each in page.all(".mechlib-exercises a") if each.text == "Review cards"]
    link.click()
    assert page.driver.current_url.endswith("book/review.html?chapter=02")
    assert page.one(".mechlib-review select").get_property("value") == "02"


def given_out(page):
    """What the page would save as a file."""
    page.driver.execute_script(
        "URL.createObjectURL = (blob) => { window.saved = blob.text(); return '#'; };"
        "HTMLAnchorElement.prototype.click = () => {};"
    )
    press(page, "Save to a file")
    return page.driver.execute_async_script("window.saved.then(arguments[0])")


def take_in(page, text, tmp_path):
    path = tmp_path / "kept.json"
    path.write_text(text, encoding="utf-8")
    page.one(".mechlib-kept input").send_keys(str(path))
    page.driver.execute_async_script("setTimeout(arguments[0], 200)")
    return page.one(".mechlib-kept [role=status]").text


def test_what_is_kept_goes_out_and_comes_in_again(page, tmp_path):
    guess = {"02a": {"question": "How?", "said": 3}}
    page.driver.execute_script("localStorage.setItem('mechlib-guesses', arguments[0])", json.dumps(guess))
    page.driver.execute_script("localStorage.setItem('theirs', 'x')")
    grade(page, "I knew it")
    before, text = kept(page), given_out(page)
    assert "theirs" not in text
    page.driver.execute_script("localStorage.clear()")
    page.open(REVIEW)
    assert take_in(page, text, tmp_path) == "2 taken in; 0 that were here stay as they are."
    assert kept(page) == before and kept(page, "mechlib-guesses") == guess
    assert status(page) == "2 of 3 cards are due."


def test_nothing_that_is_there_is_overwritten_and_of_a_card_the_later_look_counts(page, tmp_path):
    mine = {
        "a": {"box": 1, "due": in_days(1), "seen": "2026-01-02"},
        "b": {"box": 1, "due": in_days(1), "seen": "2026-01-02"},
    }
    theirs = {
        "a": {"box": 3, "due": in_days(7), "seen": "2026-01-03"},
        "b": {"box": 0, "due": in_days(0), "seen": "2026-01-01"},
        "c": {"box": 2, "due": in_days(3), "seen": "2026-01-01"},
    }
    files = {
        "mechlib-cards": theirs,
        "mechlib-guesses": {"02a": {"question": "How?", "said": 9}, "02b": {"question": "Which?", "said": "x"}},
        "mechlib-else": "new",
        "another": "never",
    }
    page.driver.execute_script("localStorage.setItem('mechlib-cards', arguments[0])", json.dumps(mine))
    own = {"02a": {"question": "How?", "said": 3}}
    page.driver.execute_script("localStorage.setItem('mechlib-guesses', arguments[0])", json.dumps(own))
    told = take_in(page, json.dumps({"format": "mechlib-kept", "version": 1, "kept": files}), tmp_path)
    assert told == "4 taken in; 2 that were here stay as they are."
    assert kept(page) == {"a": theirs["a"], "b": mine["b"], "c": theirs["c"]}
    assert kept(page, "mechlib-guesses") == {**own, "02b": {"question": "Which?", "said": "x"}}
    there = page.driver.execute_script("return [localStorage.getItem('mechlib-else'), localStorage.getItem('another')]")
    assert there == ["new", None]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "else", "kept": {}}', '{"format": "mechlib-kept"}'])
def test_another_file_changes_nothing(page, tmp_path, text):
    grade(page, "I knew it")
    before = kept(page)
    assert take_in(page, text, tmp_path) == "This is no file that the book has given out." and kept(page) == before


@pytest.mark.parametrize("broken", ["nonsense", "[]", '{"02-x": 3}', "null"])
def test_what_somebody_else_left_there_is_no_trouble(page, broken):
    page.driver.execute_script("localStorage.setItem('mechlib-cards', arguments[0])", broken)
    page.open(REVIEW)
    assert status(page) == "3 of 3 cards are due."


def test_without_a_script_every_card_unfolds(page):
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.driver.get(f"{page.address}/{REVIEW}.html")
        cards = page.all(".mechlib-card summary")
        assert [card.text for card in cards] == FRONTS and not page.one(".mechlib-review").is_displayed()
    finally:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_phone_does_not_scroll_sideways_and_nothing_fails(page):
    page.resize(390, 800)
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 390
    assert page.strangers() == [] and page.errors() == []
