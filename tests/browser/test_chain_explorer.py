"""The chain explorer on the static second page of chapter 15: alive without a kernel, each slider on its own."""

import pytest
from selenium.webdriver import Keys

HOME = ".mechlib-chain"


@pytest.fixture
def explorer(browser):
    """The browser, with the second page of chapter 15 freshly open and the explorer in sight."""
    browser.open("book/part4/15_estimating_more")
    node = browser.one(f"{HOME} .ml-switches")
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'start', behavior: 'instant'})", node)
    return browser


def slider(browser, name):
    return browser.one(f"{HOME} input[aria-label='{name}']")


def state(browser):
    traces = [line.get_attribute("points") for line in browser.all(f"{HOME} .ml-trace")]
    return traces, browser.one(f"{HOME} .ml-status").text


def test_it_opens_with_traces_an_estimate_and_the_exact_value(explorer):
    traces, status = state(explorer)
    assert len(traces) == 4 and all(len(trace.split()) > 50 for trace in traces)
    assert status.startswith("Estimate 0.") and "exact 0.361" in status
    assert explorer.all(f"{HOME} .ml-estimate") and explorer.all(f"{HOME} .ml-exact")


@pytest.mark.parametrize("name", ["step ε", "γ", "nβ"])
def test_each_slider_shows_another_run_and_comes_back(explorer, name):
    before = state(explorer)
    slider(explorer, name).send_keys(Keys.ARROW_LEFT)
    moved = state(explorer)
    assert moved[0] != before[0] and moved[1] != before[1]
    slider(explorer, name).send_keys(Keys.ARROW_RIGHT)
    assert state(explorer) == before


def test_the_temperature_moves_the_exact_value(explorer):
    slider(explorer, "nβ").send_keys(Keys.HOME)
    hot = state(explorer)[1]
    slider(explorer, "nβ").send_keys(Keys.END)
    cold = state(explorer)[1]
    exact = [float(text.split("exact ")[1].split(". ")[0]) for text in (hot, cold)]
    assert exact[0] < exact[1] < 0.5


def test_a_slider_shows_its_steps(explorer):
    for name, first, last in (("step ε", "0.0003", "0.03"), ("γ", "0.3", "10"), ("nβ", "15", "1500")):
        ticks = slider(explorer, name).find_elements("xpath", "..//*[@class='ml-tick']")
        said = [tick.text for tick in ticks]
        assert len(said) == int(slider(explorer, name).get_attribute("max")) + 1
        assert (said[0], said[-1]) == (first, last)


def test_a_run_that_ran_away_says_so_in_words(explorer):
    slider(explorer, "step ε").send_keys(Keys.END)
    slider(explorer, "nβ").send_keys(Keys.END)
    status = state(explorer)[1]
    assert "ran away: the step is too long for this nβ" in status and "R-hat" not in status


def test_too_large_a_step_is_warned_of(explorer):
    slider(explorer, "step ε").send_keys(Keys.END)
    slider(explorer, "nβ").send_keys(Keys.END)
    text = " ".join(item.text for item in explorer.all(f"{HOME} .ml-warnings li"))
    assert "step_too_large" in text or "diverged" in text
    assert slider(explorer, "step ε").get_attribute("aria-valuetext") == "0.03"
