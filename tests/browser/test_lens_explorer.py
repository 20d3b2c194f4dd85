"""The lens explorer on the static page of chapter 02: alive without a kernel, by keyboard and by pointer."""

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import Select


@pytest.fixture
def explorer(browser):
    """The browser, with chapter 02 freshly open, and what follows its first guess unfolded."""
    browser.open("book/part1/02_logit_lens")
    for button in browser.all(".mechlib-guess button"):
        if button.text == "Show me" and button.is_displayed():
            browser.driver.execute_script("arguments[0].click()", button)
    return browser


def shown(browser):
    return browser.one(".mechlib-lens .ml-status").text, browser.one(".mechlib-lens .ml-table").text


def tokens(browser):
    """The tokens that can be selected, scrolled into view."""
    found = browser.all(".mechlib-lens .ml-token[data-position]")
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found[0])
    return found


def test_the_arrow_keys_move_along_the_passage(explorer):
    for selector in (".ml-map", ".ml-passage"):
        control = explorer.one(f".mechlib-lens {selector}")
        before = shown(explorer)
        control.send_keys(Keys.ARROW_LEFT)
        assert shown(explorer) != before
        control.send_keys(Keys.ARROW_RIGHT)
        assert shown(explorer) == before
        assert explorer.driver.switch_to.active_element == control
        assert control.value_of_css_property("outline-style") == "solid"


def test_up_and_down_select_a_layer_and_name_it(explorer):
    grid = explorer.one(".mechlib-lens .ml-map")
    grid.send_keys(Keys.ARROW_UP)
    label = explorer.one(f"[id='{grid.get_attribute('aria-activedescendant')}']").get_attribute("aria-label")
    selected = explorer.one(".ml-line.ml-selected .ml-entry").text
    assert label.startswith(f"{selected}, after ") and "probability of the true next token" in label


def test_the_mouse_selects_until_a_click_holds(explorer):
    first, second, third = tokens(explorer)[3:6]
    mouse = ActionChains(explorer.driver, duration=0)
    mouse.move_to_element(first).perform()
    at_first = shown(explorer)
    mouse.move_to_element(second).perform()
    at_second = shown(explorer)
    assert at_first != at_second
    mouse.click().move_to_element(third).perform()
    assert shown(explorer) == at_second
    mouse.click().move_to_element(explorer.all(".mechlib-lens .ml-cell")[0]).perform()
    assert shown(explorer) not in (at_first, at_second)


def test_a_finger_selects_by_dragging(explorer):
    first, second = ({"x": t.rect["x"] + 2, "y": t.rect["y"] + 5} for t in (tokens(explorer)[3], tokens(explorer)[7]))
    scrolled = explorer.driver.execute_script("return window.scrollY")
    seen = []
    for kind, points in (("touchStart", [first]), ("touchMove", [second]), ("touchEnd", [])):
        points = [{"x": point["x"], "y": point["y"] - scrolled} for point in points]
        explorer.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        seen.append(shown(explorer))
    assert seen[0] != seen[1] == seen[2]


def test_the_map_can_be_coloured_by_each_measure(explorer):
    chooser = Select(explorer.one(".mechlib-lens select"))
    colours = "return [...document.querySelectorAll('.ml-cell')].map((cell) => cell.style.background).join()"
    seen = set()
    for value in [option.get_attribute("value") for option in chooser.options]:
        chooser.select_by_value(value)
        seen.add((explorer.one(".mechlib-lens .ml-legend").text, explorer.driver.execute_script(colours)))
    assert len({legend for legend, _ in seen}) == len({map_ for _, map_ in seen}) == 4


def test_a_right_guess_is_marked_by_more_than_colour(explorer):
    cell = explorer.all(".mechlib-lens .ml-cell.ml-right")[-1]
    ActionChains(explorer.driver, duration=0).move_to_element(cell).perform()
    line = explorer.one(".mechlib-lens .ml-line.ml-selected")
    following = explorer.one(".mechlib-lens .ml-token.ml-next").text
    hit = line.find_element("css selector", ".ml-guess.ml-hit")
    assert hit.text.startswith(f"✓ {following}") and line.find_element("css selector", ".ml-number").text == "0"
    assert int(hit.value_of_css_property("font-weight")) > 400
