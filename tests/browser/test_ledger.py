"""The ledger in a browser: chosen from, linked to the verdicts, and readable on a phone; on a small book."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

LEDGER = "book/claims"


@pytest.fixture
def page(small_book):
    small_book.open(LEDGER)
    return small_book


def shown(page):
    """The claims that are seen, by the text of their links."""
    rows = [row for row in page.all("table.mechlib-ledger tbody tr") if row.is_displayed()]
    return [row.find_element(By.CSS_SELECTOR, "strong").text for row in rows]


def choose(page, what, label):
    Select(page.one(f".mechlib-choice [name={what}]")).select_by_visible_text(label)


def told(page):
    return page.one(".mechlib-choice output").text


EVERYTHING = ["02a", "02a on another", "02b", "02c"]


def test_everything_is_there_at_first(page):
    assert shown(page) == EVERYTHING and told(page) == "3 claims"


@pytest.mark.parametrize(
    ("what", "label", "left", "said"),
    [
        ("verdict", "supported (1)", ["02a", "02a on another"], "1 of 3 claims"),
        ("verdict", "refuted (1)", ["02b"], "1 of 3 claims"),
        ("verdict", "depends (1)", ["02c"], "1 of 3 claims"),
        ("source", "nostalgebraist (S2) (1)", ["02a", "02a on another"], "1 of 3 claims"),
        ("source", "Lens et al. 2020 (1)", ["02c"], "1 of 3 claims"),
        ("source", "our own (1)", ["02b"], "1 of 3 claims"),
        ("chapter", "02 (3)", EVERYTHING, "3 claims"),
    ],
)
def test_a_choice_leaves_its_claims_with_what_they_are_on_other_systems(page, what, label, left, said):
    choose(page, what, label)
    assert shown(page) == left and told(page) == said


def test_choices_narrow_each_other_are_kept_in_the_address_and_taken_back(page):
    choose(page, "verdict", "refuted (1)")
    choose(page, "source", "Lens et al. 2020 (1)")
    assert shown(page) == [] and told(page) == "0 of 3 claims"
    address = page.driver.current_url
    assert address.endswith("?verdict=refuted&source=lens-et-al-2020")
    page.driver.get("about:blank")
    page.driver.get(address)
    assert shown(page) == []
    page.one(".mechlib-choice button").click()
    page.driver.execute_async_script("setTimeout(arguments[0], 50)")
    assert shown(page) == EVERYTHING and page.driver.current_url.endswith("claims.html")


def test_an_address_that_asks_for_what_is_not_there_shows_everything(page):
    page.driver.get(f"{page.address}/{LEDGER}.html?verdict=nonsense")
    assert shown(page) == EVERYTHING


def test_a_claim_leads_to_its_verdict_on_its_page(page):
    links = page.all("table.mechlib-ledger strong a")
    assert {link.get_attribute("href").rpartition("/book/")[2] for link in links[:2]} == {
        "part1/02_lens.html#verdict-02a"
    }


def test_pictures_stand_where_there_is_an_interval(page):
    told = [picture.get_attribute("aria-label") for picture in page.all("svg.mechlib-interval")]
    assert told[0] == "4.2, interval 4 to 4.4; supported above 1" and len(told) == 3


def test_a_phone_shows_one_thing_under_the_other(page):
    page.resize(390, 800)
    cells = page.all("table.mechlib-ledger tbody tr:first-child td")
    assert len({cell.rect["x"] for cell in cells}) == 1
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= 390


def test_without_a_script_the_whole_table_stands_there(page):
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.driver.get(f"{page.address}/{LEDGER}.html")
        rows = page.all("table.mechlib-ledger tbody tr")
        assert len(rows) == 4 and all(row.is_displayed() for row in rows)
        assert not page.one(".mechlib-choice").is_displayed()
    finally:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_nothing_is_asked_of_other_hosts_and_nothing_fails(page):
    choose(page, "verdict", "refuted (1)")
    assert page.strangers() == [] and page.errors() == []
