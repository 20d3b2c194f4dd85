"""The circuit explorer on the static page of chapter 07: alive without a kernel, by mouse and by keyboard."""

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.support.ui import Select

HOME = ".mechlib-circuit"


@pytest.fixture
def explorer(browser):
    """The browser, with chapter 07 freshly open and the explorer in sight."""
    browser.open("book/part2/07_a_circuit_for_docstrings")
    node = browser.one(f"{HOME} .ml-edges")
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
    return browser


def numbers(browser):
    return [node.text for node in browser.all(f"{HOME} .ml-number strong")]


def boxes(browser):
    return browser.all(f"{HOME} .ml-edges input")


def test_it_opens_whole_with_a_path_for_each_box(explorer):
    assert len(boxes(explorer)) == len(explorer.all(f"{HOME} .ml-path")) == 8
    assert all(box.is_selected() for box in boxes(explorer))
    assert not explorer.all(f"{HOME} .ml-path.ml-cut")


def test_the_space_bar_cuts_a_path_and_mends_it(explorer):
    before = numbers(explorer)
    box = boxes(explorer)[0]
    box.send_keys(Keys.SPACE)
    assert len(explorer.all(f"{HOME} .ml-path.ml-cut")) == 1 and numbers(explorer) != before
    assert explorer.one(f"{HOME} .ml-path.ml-lit").get_attribute("class").split().count("ml-cut") == 1
    box.send_keys(Keys.SPACE)
    assert numbers(explorer) == before


def test_a_path_lights_up_when_its_box_has_the_focus(explorer):
    explorer.driver.execute_script("arguments[0].focus()", boxes(explorer)[3])
    lit = [i for i, line in enumerate(explorer.all(f"{HOME} .ml-path")) if "ml-lit" in line.get_attribute("class")]
    assert lit == [3]


def test_layer_one_matters_only_where_the_lines_change(explorer):
    way = Select(explorer.one(f"{HOME} select"))
    way.select_by_visible_text("other names")
    boxes(explorer)[3].click()
    names = float(numbers(explorer)[1])
    way.select_by_visible_text("other lines")
    assert float(numbers(explorer)[1]) < 0 < names


def test_ways_and_measures_stand_in_the_order_of_the_chapter(explorer):
    ways = Select(explorer.one(f"{HOME} select")).options
    assert [way.text for way in ways] == ["other names", "other lines"]
    assert [node.text.split(":")[0] for node in explorer.all(f"{HOME} .ml-number")] == ["right", "lead (nats)"]


def test_all_can_be_cut_and_mended_at_once(explorer):
    before = numbers(explorer)
    mend, cut = explorer.all(f"{HOME} .ml-whole")
    cut.click()
    assert len(explorer.all(f"{HOME} .ml-path.ml-cut")) == 8
    mend.click()
    assert numbers(explorer) == before
