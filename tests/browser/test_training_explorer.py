"""The training explorer on the static page of chapter 06: alive without a kernel, by keyboard and by pointer."""

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import WebDriverWait

HOME = ".mechlib-training"


@pytest.fixture
def explorer(browser):
    """The browser, with chapter 06 freshly open and the explorer in sight."""
    browser.open("book/part2/06_induction_heads")
    node = browser.one(f"{HOME} .ml-controls")
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'start', behavior: 'instant'})", node)
    return browser


def slider(browser):
    return browser.one(f"{HOME} input[type='range']")


def numbers(browser):
    return [node.text for node in browser.all(f"{HOME} .ml-plot strong")]


def test_it_opens_at_the_beginning_with_axes_and_plays(explorer):
    assert slider(explorer).get_attribute("aria-valuetext") == "step 0"
    for plot in explorer.all(f"{HOME} .ml-plot svg"):
        said = [text.text for text in plot.find_elements("css selector", "text")]
        assert len(said) == 4 and said[-2] == "0" and said[-1].endswith("000")
    ticks = [tick.text for tick in explorer.all(f"{HOME} .ml-tick")]
    assert len(ticks) == int(slider(explorer).get_attribute("max")) + 1 and ticks[0] == "0"
    play = explorer.one(f"{HOME} .ml-play")
    play.click()
    assert play.text == "Pause"
    WebDriverWait(explorer.driver, 10).until(lambda _: int(slider(explorer).get_attribute("value")) >= 2)
    play.click()
    stopped = slider(explorer).get_attribute("value")
    explorer.driver.execute_async_script("setTimeout(arguments[0], 1000)")
    assert play.text == "Play" and slider(explorer).get_attribute("value") == stopped


def test_the_slider_moves_through_training_by_keyboard(explorer):
    slider(explorer).send_keys(Keys.END)
    at_end = numbers(explorer), explorer.one(f"{HOME} .ml-step").text, slider(explorer).get_attribute("aria-valuetext")
    slider(explorer).send_keys(Keys.HOME)
    at_start = (
        numbers(explorer),
        explorer.one(f"{HOME} .ml-step").text,
        slider(explorer).get_attribute("aria-valuetext"),
    )
    assert all(one != other for one, other in zip(at_start, at_end, strict=True))
    assert at_start[2] == "step 0"
    slider(explorer).send_keys(Keys.END)
    assert numbers(explorer) == at_end[0]


def test_the_scores_and_the_picture_belong_to_the_step(explorer):
    def state():
        cells = [cell.text for cell in explorer.all(f"{HOME} .ml-scores .ml-cell")]
        canvas = explorer.driver.execute_script(f"return document.querySelector('{HOME} canvas').toDataURL()")
        return cells, canvas

    slider(explorer).send_keys(Keys.END)
    late = state()
    slider(explorer).send_keys(Keys.HOME)
    early = state()
    assert late[0] != early[0] and late[1] != early[1]
    induction = next(text for text in late[0] if text.startswith("1.1:"))
    assert float(induction.split(": ")[1]) > 0.6


def test_a_click_on_a_curve_goes_to_the_nearest_checkpoint(explorer):
    slider(explorer).send_keys(Keys.END)
    curve = explorer.all(f"{HOME} svg")[0]
    left_of_middle = -curve.rect["width"] // 2 + 4
    ActionChains(explorer.driver, duration=0).move_to_element_with_offset(curve, left_of_middle, 0).click().perform()
    assert slider(explorer).get_attribute("value") == "0"


def test_a_head_is_chosen_in_any_table_by_click_or_keys(explorer):
    explorer.all(f"{HOME} .ml-scores")[0].send_keys(Keys.ARROW_UP)
    chosen = [cell.text[:4] for cell in explorer.all(f"{HOME} .ml-cell[aria-selected='true']")]
    assert set(chosen) == {"0.1:"}
    explorer.all(f"{HOME} .ml-cell")[-1].click()
    chosen = [cell.text[:4] for cell in explorer.all(f"{HOME} .ml-cell[aria-selected='true']")]
    assert set(chosen) == {"1.3:"} and "head 1.3" in explorer.one(f"{HOME} .ml-status").text
