"""The playground's page: rooms that open without a kernel, by pointer and by keyboard, and say what mechlib says."""

import re

import pytest
import torch
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from mechlib import icl, text, zoo
from mechlib.causal import ablate
from mechlib.widgets.playground import models
from mechlib.widgets.playground.passages import passages

ZEBRA = "zebra_height = 12\nprint(zebra_"
LOADED = """
const sizes = performance.getEntriesByType("resource").filter(({ name }) => /_static.playground/.test(name));
return Object.fromEntries(sizes.map(({ name, transferSize }) => [name.split("/").pop(), transferSize]));
"""
"""What was loaded of the playground's own files, with the bytes that came over the wire."""


class Room:
    """One room of the page."""

    def __init__(self, browser, name):
        self.browser, self.driver, self.home = browser, browser.driver, f"[data-room={name}]"
        self.wait = WebDriverWait(browser.driver, 30)
        browser.open("book/playground")
        browser.driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", browser.one(self.home))
        self.wait.until(lambda _: self.ready())

    def ready(self):
        """Whether the model is there and its first results are shown."""
        return self.all(".ml-body:not([hidden])") and not self.text(".ml-loading")

    def all(self, selector):
        return self.browser.all(f"{self.home} {selector}")

    def one(self, selector):
        return self.browser.one(f"{self.home} {selector}")

    def text(self, selector):
        """What is seen of all that matches, with simple blanks."""
        return " ".join(" ".join(node.text.split()) for node in self.all(selector))

    def click(self, node):
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
        node.click()

    def press(self, label):
        """Click the button of that label."""
        (node,) = [node for node in self.all("button") if label in (node.text, node.get_attribute("aria-label"))]
        self.click(node)

    def tokens(self, passage):
        """The tokens of a passage of the explorer: 0 for the reader's, 1 for the other."""
        return self.all(".ml-passages")[passage].find_elements("css selector", ".ml-token")

    def write(self, selector, said):
        area = self.one(selector)
        area.clear()
        area.send_keys(said)

    def says(self, selector, expected):
        """Wait until what is shown there contains something."""
        self.wait.until(lambda _: expected in self.text(selector), f"{expected!r} is not in {self.text(selector)!r}")


@pytest.fixture
def explorer(browser):
    return Room(browser, "explorer")


@pytest.fixture
def game(browser):
    return Room(browser, "game")


@pytest.fixture
def loom(browser):
    return Room(browser, "loom")


@pytest.fixture
def regression(browser):
    return Room(browser, "regression")


@torch.no_grad()
def said_by(name, written, heads=()):
    """The model's first guess, as the book shows it, with its probability in per cent."""
    model = zoo.load(name, device="cpu")
    with ablate(model, heads, mode="zero"):
        p, token = model(text.encode(written)[None])[0, -1].softmax(-1).max(-1)
    return f"{text.token_strings([token])[0]} {100 * p.item():.{0 if p >= 0.1 else 1}f} %"


def test_own_text_is_read(explorer):
    written = "for key, value in sorted(table.items()):\n    print(key, value"
    explorer.write(".mechlib-room > .ml-field textarea", written)
    explorer.says(".ml-prediction", said_by("code-2l", written))
    shown = [node.text for node in explorer.all(".ml-passages")[0].find_elements("css selector", ".ml-token")]
    assert shown == ["⊢", *text.token_strings(text.encode(written, bos=False))]


def test_a_head_is_taken_out_and_put_back(explorer):
    explorer.says(".ml-prediction", said_by("code-2l", ZEBRA))
    explorer.press("Take out head 1.1")
    explorer.says(".ml-prediction", "With your edits")
    without = said_by("code-2l", ZEBRA, [(1, 1)])
    assert without in explorer.text(".ml-prediction .ml-says:nth-child(2)")
    assert not without.startswith("he ")
    explorer.press("Put back head 1.1")
    explorer.wait.until(lambda _: "With your edits" not in explorer.text(".ml-prediction"))


def test_what_is_to_be_tried_comes_out_as_it_is_told(explorer):
    def first_guess(line):
        return explorer.text(f".ml-prediction .ml-says:nth-child({line}) .ml-guess:nth-of-type(1)")

    first, second = explorer.all(".ml-tries button")
    explorer.click(first)
    explorer.says(".ml-looks", "head 1.1 looks at he, 10 back")
    explorer.press("Take out head 1.1")
    explorer.says(".ml-prediction", "With your edits")
    dropped = re.search(r"went from (\d+)\s% to ([\d.]+)\s%", explorer.text(".ml-prediction"))
    assert float(dropped[1]) > 70 and float(dropped[2]) < 5
    explorer.press("Put back head 1.1")
    explorer.press("Take out head 1.3")
    explorer.says(".ml-edits", "head 1.3 is out")
    kept = re.search(r"to (\d+)\s%", explorer.text(".ml-prediction"))
    assert float(kept[1]) > 70
    explorer.click(second)
    explorer.says(".ml-edits", "layer 0 at “he” (5) is that of “width” (5)")
    assert "width 96" in explorer.text(".ml-prediction .ml-says:nth-child(2)")


def test_an_entry_is_put_in_by_a_click(explorer):
    explorer.click(explorer.all(".ml-map .ml-row:nth-child(2) .ml-cell")[5])
    explorer.click(explorer.tokens(1)[5])
    explorer.press("Put layer 0 at “width” (5) in the place of layer 0 at “he” (5)")
    explorer.click(explorer.tokens(0)[-1])
    explorer.says(".ml-prediction .ml-says:nth-child(2)", "width 96")
    explorer.press("layer 0 at “he” (5) is that of “width” (5) ✕")
    explorer.wait.until(lambda _: "With your edits" not in explorer.text(".ml-prediction"))


def test_everything_is_reached_by_keyboard(explorer):
    passage = explorer.all(".ml-passage")[0]
    before = explorer.text(".ml-prediction")
    passage.send_keys(Keys.ARROW_LEFT)
    assert explorer.text(".ml-prediction") != before
    explorer.one(".ml-map").send_keys(Keys.ARROW_UP)
    assert explorer.text(".ml-line.ml-selected .ml-entry") == "layer 1"
    explorer.one(".ml-chosen .ml-pick").send_keys(Keys.ARROW_RIGHT)
    assert "head 1.2 looks at" in explorer.text(".ml-looks")
    assert explorer.driver.switch_to.active_element.get_attribute("aria-label") == "Show head 1.2"


def test_the_larger_model_comes_when_it_is_chosen(explorer):
    assert "code-4l-mlp.safetensors" not in explorer.driver.execute_script(LOADED)
    Select(explorer.one("select")).select_by_value("code-4l-mlp")
    explorer.says(".ml-prediction", said_by("code-4l-mlp", ZEBRA))
    assert "code-4l-mlp.safetensors" in explorer.driver.execute_script(LOADED)
    assert "MLP 3" in explorer.text(".ml-bars")


def uncovered(game):
    """The passage as far as it is shown, without the sign for the next token."""
    return game.driver.execute_script("return arguments[0].firstChild.data", game.one(".ml-shown"))


def test_a_wrong_guess_is_no_point_and_uncovers_the_token(game):
    before = uncovered(game)
    game.write(".ml-guessing", "zebra")
    game.one(".ml-guessing").send_keys(Keys.ENTER)
    game.says(".ml-score", "After 1 token: you 0")
    assert len(uncovered(game)) > len(before)
    game.press("Show the model's five")
    assert len(game.all(".ml-suggestion")) == 5
    game.press("I do not know")
    game.says(".ml-score", "After 2 tokens: you 0")


def test_a_suggestion_that_is_right_is_half_a_point(game):
    for _ in range(12):
        game.press("Show the model's five")
        game.click(game.all(".ml-suggestion")[0])
    yours, models_ = re.search(r"After 12 tokens: you ([\d.]+), the model ([\d.]+)", game.text(".ml-score")).groups()
    assert float(yours) == float(models_) / 2 > 0


@torch.no_grad()
def test_who_types_the_passage_has_all_points_and_the_model_what_mechlib_says(game):
    (whole,) = [text.encode(each) for each in passages() if each.startswith(uncovered(game))]
    log_p = zoo.load("code-2l", device="cpu")(whole[None])[0].log_softmax(-1)
    bare = [text.decode([token]).strip() for token in whole.tolist()]
    asked = [place for place in range(len(text.encode(uncovered(game))), len(whole)) if bare[place]][:4]
    for place in asked:
        game.write(".ml-guessing", bare[place])
        game.one(".ml-guessing").send_keys(Keys.ENTER)
    theirs = sum(text.decode([log_p[place - 1].argmax()]).strip() == bare[place] for place in asked)
    loss = -sum(log_p[place - 1, whole[place]].item() for place in asked) / 4
    said = f"After 4 tokens: you 4, the model {theirs}. Its loss on them: {loss:.2f} nats a token."
    assert game.text(".ml-score") == said


def test_another_passage_or_an_own_text_begins_a_new_game(game):
    game.press("I do not know")
    game.press("Another passage")
    game.says(".ml-score", "Nothing guessed yet.")
    assert passages()[1].startswith(uncovered(game))
    game.write("textarea", "The model of the book reads what you type, and guesses.")
    game.wait.until(lambda _: uncovered(game).startswith("The model"))


def test_a_branch_grows_and_is_cut(loom):
    assert len(loom.all(".ml-twig")) == 4
    loom.click(loom.all(".ml-twig")[1])
    assert len(loom.all(".ml-twig")) == 4
    loom.click(loom.all(".ml-twig")[1])
    assert len(loom.all(".ml-twig")) == 7
    grown = loom.text(".ml-tree")
    loom.click(loom.all(".ml-twig")[1])
    loom.press("Cut what grows here")
    assert len(loom.all(".ml-twig")) == 4
    assert grown != loom.text(".ml-tree")


def test_the_tree_is_walked_by_keyboard(loom):
    tree = loom.one(".ml-tree")
    tree.send_keys(Keys.ARROW_DOWN)
    assert "The log-probability" in loom.text(".ml-hint")
    tree.send_keys(Keys.ARROW_RIGHT)
    assert len(loom.all(".ml-twig")) == 7
    path = loom.one(".ml-shown").text
    tree.send_keys(Keys.ARROW_LEFT)
    assert path.startswith(loom.one(".ml-shown").text)


@torch.no_grad()
def test_the_number_of_a_branch_is_that_of_mechlib(loom):
    loom.click(loom.all(".ml-twig")[2])
    model = zoo.load("code-2l", device="cpu")
    beginning = loom.one("textarea").get_attribute("value")
    whole = loom.driver.execute_script(f"return document.querySelector('{loom.home} .ml-shown').textContent")
    tokens = torch.cat([text.encode(beginning), text.encode(whole.removeprefix(beginning), bos=False)])
    log_p = model(tokens[None])[0].log_softmax(-1)
    n = len(tokens) - len(text.encode(beginning))
    total = sum(log_p[place - 1, tokens[place]].item() for place in range(len(tokens) - n, len(tokens)))
    assert n == 4, "the branch would be read as other tokens; another seed gives one that is not"
    assert f"is {total:.1f} nats" in loom.text(".ml-hint")


def test_the_same_seed_gives_the_same_tree(loom):
    grown = loom.text(".ml-tree")
    loom.press("Another tree")
    loom.wait.until(lambda _: loom.text(".ml-tree") != grown)
    assert Room(loom.browser, "loom").text(".ml-tree") == grown


def test_a_point_is_dragged_and_the_lines_follow(regression):
    before = regression.text(".ml-said")
    point = regression.all(".ml-point")[2]
    regression.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", point)
    ActionChains(regression.driver, duration=0).drag_and_drop_by_offset(point, 0, -60).perform()
    assert regression.text(".ml-said") != before
    assert "y 0.9" not in point.get_attribute("aria-label")


@torch.no_grad()
def test_points_are_moved_by_keyboard_and_the_numbers_are_those_of_mechlib(regression):
    point = regression.all(".ml-point")[0]
    point.send_keys(Keys.ARROW_UP, Keys.ARROW_RIGHT)
    points = []
    for node in regression.all(".ml-point"):
        points.append([float(x) for x in re.findall(r"[xy] (-?[\d.]+)[.,]", node.get_attribute("aria-label"))])
    assert points[0] == [-1.4, -0.9]
    x, y = torch.tensor([*points, [1.0, 0.0]]).T
    wide = torch.zeros(1, len(x), 5)
    wide[0, :, 0] = x
    model = zoo.load(models.REGRESSION, device="cpu")
    numbers = [
        model(wide, y[None])[0, -1].item(),
        icl.ridge(wide, y[None], lam=0.1)[0, -1].item(),
        icl.gradient_descent(wide, y[None], eta=1.0, steps=1)[0, -1].item(),
    ]
    found = [float(number) for number in re.findall(r"-?\d+\.\d\d", regression.text(".ml-said"))]
    assert found == pytest.approx(numbers, abs=0.0051)
    point.send_keys(Keys.DELETE)
    assert len(regression.all(".ml-point")) == 3


def test_before_a_click_the_page_has_little_to_load(browser):
    """All rooms opened: what is the playground's own, without what every page of the book loads."""
    Room(browser, "regression")
    sizes = browser.driver.execute_script(LOADED)
    assert {"code-2l.safetensors", "icl-linear-3l.safetensors", "loom.js", "rooms.json"} < sizes.keys()
    assert sum(sizes.values()) < 1.5e6


@pytest.mark.parametrize("name", ["explorer", "game", "loom", "regression"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_it_readably(browser, name, theme):
    room = Room(browser, name)
    browser.resize(390, 800)
    browser.driver.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
    assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= 390
    script = """
    const texts = [...document.querySelectorAll(`${arguments[0]} *`)].filter((node) => node.checkVisibility()
      && [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
    return texts.map((node) => [parseFloat(getComputedStyle(node).fontSize), node.textContent]);"""
    found = browser.driver.execute_script(script, room.home)
    assert len(found) > 10
    assert [words for size, words in found if size < 11] == []
    assert len(room.all(".ml-tries li")) == 3
