"""The search of the book shows what a page says: its text, from the sentence with the word on."""

import pytest
from selenium.webdriver.support.ui import WebDriverWait


@pytest.fixture
def found(small_book):
    """What stands under the results of a search, by the pages' titles."""

    def search(words):
        small_book.driver.get(f"{small_book.address}/search.html?q={words}")
        wait = WebDriverWait(small_book.driver, 20)
        wait.until(lambda _: any("finished" in p.text for p in small_book.all("#search-results .search-summary")))
        wait.until(lambda _: small_book.all("#search-results li p.context"))
        items = small_book.all("#search-results li")
        return {
            item.find_element("css selector", "a").text: " ".join(
                p.text for p in item.find_elements("css selector", "p.context")
            )
            for item in items
        }

    return search


def test_a_result_begins_with_the_sentence_and_not_with_a_badge(found):
    said = found("asked")["02 A lens"]
    assert said.startswith("What is asked, and why. No result stands here.")
    assert "Colab" not in said


def test_a_word_later_on_is_shown_in_its_sentence(found):
    said = found("measured")["02 A lens"]
    assert said.startswith("… How it is measured")


def test_a_word_of_the_title_alone_shows_how_the_text_begins(found):
    said = found("lens")["02 A lens"]
    assert "Open in Colab" not in said and "Show the code" not in said
