"""The repair explorer on the second page of chapter 08: alive without a kernel, by keyboard and by pointer."""

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.support.ui import Select

HOME = ".mechlib-repair"


@pytest.fixture
def explorer(browser):
    """The browser, with the page freshly open and the explorer in sight."""
    browser.open("book/part2/08_self_repair_more")
    node = browser.one(f"{HOME} .ml-scores")
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'start', behavior: 'instant'})", node)
    return browser


def shown(browser):
    return browser.one(f"{HOME} .ml-status").text


def cell(browser, place):
    return browser.one(f"{HOME} [data-place='{place}']")


def account(browser):
    """What the lines under the map say, by name."""
    lines = browser.all(f"{HOME} .ml-table .ml-line")
    return {
        line.find_element("css selector", ".ml-entry").text: float(
            line.find_element("css selector", ".ml-number").text.replace("−", "-")
        )
        for line in lines
    }


def test_a_click_cuts_a_head_and_shows_who_answers(explorer):
    assert shown(explorer).startswith("Nothing is cut") and account(explorer) == {}
    before = cell(explorer, "24.4").text
    assert "ml-against" in cell(explorer, "24.4").get_attribute("class")
    cell(explorer, "23.0").click()
    assert cell(explorer, "23.0").text == "cut" and "head 24.4" in shown(explorer)
    assert cell(explorer, "24.4").text not in ("", before)
    cell(explorer, "23.0").click()
    assert shown(explorer).startswith("Nothing is cut") and cell(explorer, "24.4").text == before


@pytest.mark.parametrize("place", ["23.0", "23.3", "24.4"])
def test_the_account_goes_from_the_direct_effect_to_the_total_one(explorer, place):
    cell(explorer, place).click()
    lines = account(explorer)
    total = lines.pop("total effect")
    assert sum(lines.values()) == pytest.approx(total, abs=0.05)


def test_a_head_without_a_frame_is_not_cut(explorer):
    closed = cell(explorer, "17.3")
    assert "ml-open" not in closed.get_attribute("class")
    closed.click()
    assert shown(explorer).startswith("Nothing is cut")


def test_the_arrow_keys_cut_one_head_after_the_other_and_home_takes_the_cut_back(explorer):
    grid = explorer.one(f"{HOME} .ml-scores")
    seen = []
    for _ in range(3):
        grid.send_keys(Keys.ARROW_RIGHT)
        seen.append(shown(explorer))
        active = grid.get_attribute("aria-activedescendant")
        assert explorer.one(f"[id='{active}']").get_attribute("aria-selected") == "true"
    assert len(set(seen)) == 3
    grid.send_keys(Keys.ARROW_LEFT)
    assert shown(explorer) == seen[1]
    grid.send_keys(Keys.HOME)
    assert shown(explorer).startswith("Nothing is cut")


def test_the_list_cuts_several_heads_together_and_another_kind_of_prompts_begins_anew(explorer):
    kinds, cuts, show = (Select(node) for node in explorer.all(f"{HOME} select"))
    cuts.select_by_visible_text("23.3 + 29.1")
    assert cell(explorer, "23.3").text == cell(explorer, "29.1").text == "cut"
    change = cell(explorer, "24.4").text
    show.select_by_visible_text("shares after the cut")
    after = cell(explorer, "24.4").text
    show.select_by_visible_text("shares before the cut")
    assert len({change, after, cell(explorer, "24.4").text}) == 3
    kinds.select_by_visible_text("subject and verb")
    assert shown(explorer).startswith("Nothing is cut") and "are" in explorer.one(f"{HOME} .ml-example").text


def test_every_cell_says_aloud_what_it_holds(explorer):
    labels = [node.get_attribute("aria-label") for node in explorer.all(f"{HOME} .ml-scores .ml-cell")]
    assert len(labels) == 14 * 10 and all("nats" in label for label in labels)
