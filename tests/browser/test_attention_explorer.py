"""The attention explorer on the static page of chapter 06: alive without a kernel, by keyboard and by pointer."""

import pytest
from selenium.webdriver import ActionChains, Keys

HOME = ".mechlib-attention"


@pytest.fixture
def explorer(browser):
    """The browser, with chapter 06 freshly open and the explorer in sight."""
    browser.open("book/part2/06_induction_heads")
    node = browser.one(f"{HOME} .ml-heads")
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'start', behavior: 'instant'})", node)
    return browser


def chosen(browser):
    return browser.one(f"{HOME} .ml-heads .ml-cell[aria-selected='true']").text


def shown(browser):
    return browser.one(f"{HOME} .ml-status").text


def picture(browser):
    return browser.driver.execute_script(f"return document.querySelector('{HOME} .ml-large canvas').toDataURL()")


def test_the_arrow_keys_choose_a_head_and_its_picture(explorer):
    heads = explorer.one(f"{HOME} .ml-heads")
    assert chosen(explorer) == "1.1"
    before = picture(explorer)
    heads.send_keys(Keys.ARROW_RIGHT)
    assert chosen(explorer) == "1.2" and "head 1.2" in shown(explorer) and picture(explorer) != before
    heads.send_keys(Keys.ARROW_UP, Keys.ARROW_LEFT)
    assert chosen(explorer) == "0.1"
    assert heads.value_of_css_property("outline-style") == "solid"
    active = heads.get_attribute("aria-activedescendant")
    assert explorer.one(f"[id='{active}']").get_attribute("aria-label") == "head 0.1"


def test_the_picture_names_tokens_and_is_walked_by_click_and_keys(explorer):
    def named(side):
        return [node.text for node in explorer.all(f"{HOME} .ml-{side} .ml-place")]

    tokens = [node.text for node in explorer.all(f"{HOME} .ml-token")]
    assert len(named("beside")) > 8 and set(named("below")) <= set(tokens)
    assert explorer.one(f"{HOME} .ml-beside .ml-matters").text == "·return"
    assert explorer.one(f"{HOME} .ml-below .ml-matters").text == "·w"
    picture = explorer.one(f"{HOME} .ml-picture")
    picture.send_keys(Keys.ARROW_UP)
    assert picture.get_attribute("aria-valuenow") == "29" and explorer.driver.switch_to.active_element == picture
    before = explorer.one(f"{HOME} .ml-beside .ml-matters").text
    ActionChains(explorer.driver, duration=0).move_to_element_with_offset(
        picture, 0, -picture.rect["height"] // 2 + 3
    ).click().perform()
    assert picture.get_attribute("aria-valuenow") == "0"
    assert explorer.one(f"{HOME} .ml-beside .ml-matters").text != before


def test_a_click_chooses_a_head(explorer):
    explorer.all(f"{HOME} .ml-heads .ml-cell")[3].click()
    assert chosen(explorer) == "0.3"
    assert explorer.one(f"{HOME} .ml-line.ml-selected .ml-entry").text == "head 0.3"


def test_the_mouse_over_a_token_shows_where_it_looks_until_a_click_holds(explorer):
    first, second, third = explorer.all(f"{HOME} .ml-token")[5:8]
    mouse = ActionChains(explorer.driver, duration=0)
    mouse.move_to_element(first).perform()
    at_first = shown(explorer)
    mouse.move_to_element(second).perform()
    at_second = shown(explorer)
    assert at_first != at_second
    assert "ml-current" in second.get_attribute("class")
    mouse.click().move_to_element(third).perform()
    assert shown(explorer) == at_second


def test_the_passage_is_walked_with_the_arrow_keys(explorer):
    passage = explorer.one(f"{HOME} .ml-passage")
    before = passage.get_attribute("aria-valuenow"), shown(explorer)
    passage.send_keys(Keys.ARROW_LEFT)
    assert (passage.get_attribute("aria-valuenow"), shown(explorer)) != before
    passage.send_keys(Keys.ARROW_RIGHT)
    assert (passage.get_attribute("aria-valuenow"), shown(explorer)) == before


def test_a_token_looks_at_itself_and_back_never_ahead(explorer):
    passage = explorer.one(f"{HOME} .ml-passage")
    passage.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 4)
    explorer.one(f"{HOME} .ml-heads").send_keys(Keys.HOME)
    backgrounds = [token.get_attribute("style") for token in explorer.all(f"{HOME} .ml-token")]
    assert not any("background" in style for style in backgrounds[5:])
    assert any("background" in style for style in backgrounds[:5])
