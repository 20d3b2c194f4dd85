"""Pages show text as text."""

from html.parser import HTMLParser

import pytest

from mechlib.course.pages import Markup, element, page, printable, table

NASTY = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    """Tags, attributes and text of a page, as a browser would find them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_children_and_attributes_are_escaped():
    read = Reader(element("p", NASTY, title=NASTY))
    assert read.tags == ["p"] and read.attributes == [("title", NASTY)] and read.text == NASTY


def test_elements_in_elements_are_not_escaped_again():
    assert element("p", "a<", element("b", "c")) == "<p>a&lt;<b>c</b></p>"
    assert isinstance(element("p"), Markup)


def test_attributes_have_their_names_in_html():
    assert element("td", class_="x", aria_label="y") == '<td class="x" aria-label="y"></td>'


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\ud800", "\u202e", "\u2066", "\u200b", "\x7f"])
def test_characters_that_cannot_be_seen_are_replaced(character):
    assert printable(f"a{character}b\n\tc") == "a\ufffdb\n\tc"
    page("t", element("p", character)).encode("utf-8")


def test_long_texts_are_cut_and_say_so():
    assert printable("x" * 30, 10) == "x" * 10 + "\n[cut: 30 characters in all]"
    assert printable("x" * 10, 10) == "x" * 10


def test_a_table_has_scopes_and_a_caption():
    read = Reader(table("What it is", ("name", "n"), [("a", "1"), ("b", "2")], numbers=(1,)))
    scopes = [value for name, value in read.attributes if name == "scope"]
    assert scopes == ["col", "col", "row", "row"]
    assert "caption" in read.tags and ("class", "number") in read.attributes


def test_a_page_runs_nothing_and_loads_nothing():
    text = page(NASTY, element("p", NASTY))
    read = Reader(text)
    assert not {"script", "img", "link", "iframe"} & set(read.tags)
    assert "default-src 'none'" in text and text.startswith('<!DOCTYPE html>\n<html lang="en">')
