"""Guesses on a page of the small book: asked for, kept, answered; folded until then, in every way of reading it."""

import json
import re
import urllib.request

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

from mechlib.authoring import checkout
from mechlib.guesses.asked import Answer, Guess
from mechlib.guesses.view import View
from tests.browser import small

NUMBER, CHOICE = ".mechlib-guess:has(input[type=text])", ".mechlib-guess:has(fieldset)"
SPOILER = "falls by 4.2 nats"


@pytest.fixture
def page(small_book):
    """The browser, with the chapter of the small book open and nothing guessed."""
    small_book.open("book/intro")
    small_book.driver.execute_script("localStorage.clear()")
    small_book.open(small.CHAPTER, guessed=False)
    return small_book


def read(page) -> str:
    """What can be seen of the chapter."""
    return page.one("article").text


def folded(page) -> bool:
    return SPOILER not in read(page)


def answers(page) -> list[str]:
    return [" ".join(card.text.split()) for card in page.all(".mechlib-answer")]


def say(page, number: str) -> None:
    page.one(f"{NUMBER} input").clear()
    page.one(f"{NUMBER} input").send_keys(number, Keys.ENTER)


def press(page, where: str, text: str) -> None:
    (button,) = [each for each in page.all(f"{where} button") if each.is_displayed() and each.text == text]
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()


def test_nothing_spoils_a_guess_and_what_stands_above_it_can_be_read(page):
    assert folded(page) and answers(page) == ["", ""]
    assert "What is asked, and why." in read(page) and "02b. Which?" in read(page)
    assert "is the wrong guess" not in read(page)


def test_a_number_is_kept_and_stands_beside_the_answer_with_one_line(page):
    say(page, "3")
    assert not folded(page) and "You said 3 nats per token." in page.all(".mechlib-guess")[0].text
    said, other = answers(page)
    assert "You said 3 nats per token. It is 4.20 nats per token (95 % interval 4.00 to 4.40)." in said
    assert said.endswith("If you said less, you probably thought of the last layer alone.")
    assert other == ""


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("9", "If you said more, you probably thought that layer 0 knows nothing."),
        ("4,4", "You said 4.4 nats per token: near enough."),
        ("-1e-2", "You said -0.01 nats per token."),
        ("13/3", "You said 4.333 nats per token: near enough."),
    ],
)
def test_each_way_of_being_off_has_its_line_and_who_is_right_has_none(page, number, says):
    say(page, number)
    assert says in answers(page)[0]
    assert answers(page)[0].count("If you said") == (0 if "near enough" in says else 1)


def test_what_is_no_number_is_refused_with_what_would_be_one(page):
    for text in ("", "many", "1/0", "3 4"):
        say(page, text)
        assert folded(page) and "Please give a number." in page.one(f"{NUMBER} [role=alert]").text
    assert page.driver.switch_to.active_element == page.one(f"{NUMBER} input")


def test_a_choice_is_kept_and_answered(page):
    press(page, CHOICE, "Keep my guess")
    assert "Please choose one." in page.one(f"{CHOICE} [role=alert]").text and answers(page)[1] == ""
    page.all(f"{CHOICE} label")[2].click()
    press(page, CHOICE, "Keep my guess")
    assert "You said “the current token”. It is “the wrong guess”." in answers(page)[1]
    assert answers(page)[1].endswith("If you said “the current token”, you probably thought of layer 0.")
    press(page, CHOICE, "Take it back")
    assert answers(page)[1] == ""
    page.all(f"{CHOICE} label")[0].click()
    press(page, CHOICE, "Keep my guess")
    assert answers(page)[1].endswith("You said “the wrong guess”: right. It is “the wrong guess”.")


def test_who_only_wants_to_see_sees_every_line_and_is_told_no_guess(page):
    press(page, NUMBER, "Show me")
    assert not folded(page) and "You said" not in read(page) and "None" not in read(page)
    assert answers(page)[0].count("If you said") == 2
    press(page, NUMBER, "Guess after all")
    assert folded(page)


def test_it_survives_a_reload_and_another_page(page):
    say(page, "3")
    page.open("book/intro")
    page.open(small.CHAPTER, guessed=False)
    assert "You said 3 nats per token." in answers(page)[0]
    page.driver.refresh()
    assert "You said 3 nats per token." in answers(page)[0] and not folded(page)


def test_a_question_that_is_put_otherwise_is_asked_again(page):
    say(page, "3")
    kept = json.loads(page.driver.execute_script("return localStorage.getItem('mechlib-guesses')"))
    kept["02a"]["question"] += " In bits?"
    page.driver.execute_script("localStorage.setItem('mechlib-guesses', arguments[0])", json.dumps(kept))
    page.driver.refresh()
    assert folded(page) and page.one(f"{NUMBER} input").is_displayed()


@pytest.mark.parametrize("kept", ["{", "null", '"x"', '{"02a": 3}', '{"02a": {"said": "3"}}'])
def test_what_is_damaged_in_the_browser_is_no_guess(page, kept):
    page.driver.execute_script("localStorage.setItem('mechlib-guesses', arguments[0])", kept)
    page.driver.refresh()
    assert folded(page)
    say(page, "3")
    assert not folded(page) and page.errors() == []


def test_without_a_place_to_keep_it_a_guess_lasts_as_long_as_the_page(page):
    added = page.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument",
        {"source": "Object.defineProperty(window, 'localStorage', {get() { throw new Error('none'); }})"},
    )
    try:
        page.driver.refresh()
        assert folded(page)
        say(page, "3")
        assert "You said 3" in answers(page)[0]
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    page.open(small.CHAPTER, guessed=False)
    assert folded(page)


def test_all_guesses_of_the_page_can_be_cleared_or_passed(page):
    say(page, "3")
    press(page, ".mechlib-guesses-kept", "Show every result of this page")
    assert all(answers(page)) and "You said 3" in answers(page)[0] and "is the wrong guess" in read(page)
    press(page, ".mechlib-guesses-kept", "Clear those of this page")
    assert folded(page) and answers(page) == ["", ""]
    assert page.one(".mechlib-guesses-kept [role=status]").text == "They are cleared."
    assert "said" not in page.driver.execute_script("return localStorage.getItem('mechlib-guesses')")


def test_the_keyboard_alone_is_enough_and_what_is_folded_is_not_reached(page):
    page.driver.execute_script("arguments[0].focus()", page.one(f"{NUMBER} input"))
    reached = []
    for _ in range(4):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(page.driver.switch_to.active_element)
    in_cards = [
        each.find_elements(By.XPATH, "ancestor::*[contains(@class, 'mechlib-guess')]") != [] for each in reached
    ]
    assert [each.text for each in reached[:2]] == ["Keep my guess", "Show me"]
    assert in_cards[:2] == [True, True] and reached[2].get_attribute("class") != "mechlib-answer"
    assert all(
        each.find_elements(By.XPATH, "ancestor::*[contains(@class, 'mechlib-waiting')]") == [] for each in reached
    )
    page.driver.execute_script("arguments[0].focus()", page.one(f"{NUMBER} input"))
    page.driver.switch_to.active_element.send_keys("3", Keys.ENTER)
    focused = page.driver.switch_to.active_element
    assert focused.text == "You said 3 nats per token."
    focused.send_keys(Keys.TAB)
    page.driver.switch_to.active_element.send_keys(Keys.SPACE)
    assert folded(page) and page.driver.switch_to.active_element == page.one(f"{NUMBER} input")


def test_fields_have_names_for_those_who_do_not_see_them(page):
    field, box = page.one(f"{NUMBER} input"), page.one(f"{CHOICE} fieldset")
    assert field.accessible_name == "My guess" and field.aria_role == "textbox"
    hint = page.one(f"[id='{field.get_attribute('aria-describedby')}']")
    assert hint.text == "nats per token"
    assert box.accessible_name == "My guess"
    assert [each.accessible_name for each in page.all(f"{CHOICE} input")] == list(small.OPTIONS)


def test_print_shows_the_answer_and_no_form(page):
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not folded(page) and all(answers(page))
        assert not any(each.is_displayed() for each in page.all(".mechlib-guess .ml-form, .mechlib-guesses-kept"))
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_without_javascript_the_page_reads_well(page):
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.driver.refresh()
        assert "Write your guess (nats per token) down before you read on." in read(page)
        assert not folded(page) and all(option in read(page) for option in small.OPTIONS)
        assert answers(page)[0].count("If you said") == 2 and "My guess" not in read(page)
    finally:
        page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [1300, 390], ids=["desktop", "phone"])
@pytest.mark.parametrize("guessed", [False, True])
def test_nothing_leaves_its_card_or_the_screen(page, width, guessed):
    page.open(small.CHAPTER, guessed=guessed)
    page.resize(width, 900)
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
    out = page.driver.execute_script("""
        return [...document.querySelectorAll(".mechlib-guess, .mechlib-answer")].flatMap((card) => {
            const right = card.getBoundingClientRect().right;
            return [...card.querySelectorAll("*")].filter((part) => part.getBoundingClientRect().right > right + 1);
        }).map((part) => part.outerHTML);
    """)
    assert out == []


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_cards_have_contrast_in_both_themes(page, mode):
    page.driver.execute_script("localStorage.setItem('mode', arguments[0])", mode)
    page.open(small.CHAPTER, guessed=True)
    for card in page.all(".mechlib-guess, .mechlib-answer"):
        around = page.driver.execute_script(VISIBLE_BACKGROUND, card.find_element(By.XPATH, ".."))
        for part in (
            card,
            card.find_element(By.CSS_SELECTOR, ".ml-title"),
            *card.find_elements(By.CSS_SELECTOR, "code"),
        ):
            ink = page.driver.execute_script("return getComputedStyle(arguments[0]).color", part)
            paper = page.driver.execute_script(VISIBLE_BACKGROUND, part)
            assert contrast(ink, paper) >= 4.5, (mode, part.text, ink, paper)
        assert contrast(around, page.driver.execute_script(VISIBLE_BACKGROUND, page.one("article"))) < 1.2


VISIBLE_BACKGROUND = """
for (let node = arguments[0]; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    if (colour !== "transparent" && !/, 0\\)$/.test(colour)) return colour;
}
return "rgb(255, 255, 255)";
"""


def contrast(one: str, other: str) -> float:
    """The ratio of two colours as WCAG 2 defines it."""
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    shares = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_a_link_into_what_waits_opens_it(page):
    page.driver.get("about:blank")
    page.driver.get(f"{page.address}/{small.CHAPTER}.html#equation-eq-fall")
    assert not folded(page) and answers(page)[1] == ""
    page.open(small.CHAPTER, guessed=False)
    page.driver.execute_script("location.hash = 'equation-eq-fall'")
    assert not folded(page)


def test_formulas_that_waited_have_their_size(page):
    def heights():
        return [round(each.rect["height"]) for each in page.all("article mjx-container")]

    say(page, "3")
    after = heights()
    page.open(small.CHAPTER, guessed=True)
    assert heights() == after and min(after) > 5


def test_the_page_asks_nothing_of_other_hosts_and_has_no_errors(page):
    say(page, "3")
    assert page.strangers() == [] and page.errors() == []


ASKED = Guess("02a", "How much?", "nats", (0.0, 8.0))
CAME = Answer(ASKED, 4.2, "4.2 nats", 0.5, {"below": "a", "above": "b"})
NOTEBOOK = """
const [source, html, kept, done] = arguments;
const traits = { html, kept }, listeners = [];
window.model = {
    get: (name) => traits[name],
    set: (name, value) => { traits[name] = value; listeners.forEach((listener) => listener()); },
    save_changes: () => { window.saved = traits.kept; },
    on: (name, listener) => listeners.push(listener),
    off: (name, listener) => listeners.splice(listeners.indexOf(listener), 1),
};
const el = document.createElement("div");
el.id = "notebook";
document.querySelector("article").prepend(el);
const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
import(url).then((module) => { window.ended = module.default.render({ model: window.model, el }); done(true); });
"""


def test_in_a_notebook_the_same_form_tells_the_kernel(page):
    page.driver.execute_async_script(NOTEBOOK, View._esm, ASKED.page(), {})
    card = page.one("#notebook .mechlib-guess")
    assert "nats, between 0 and 8" in card.text and "Show me" not in card.text
    card.find_element(By.CSS_SELECTOR, "input").send_keys("9", Keys.ENTER)
    assert "Please give a number between 0 and 8." in card.text
    card.find_element(By.CSS_SELECTOR, "input").send_keys(Keys.BACKSPACE, "1/2", Keys.ENTER)
    assert page.driver.execute_script("return window.saved") == {"question": "How much?", "said": 0.5}
    assert "You said 0.5 nats." in card.text
    assert page.driver.execute_script("return localStorage.getItem('mechlib-guesses')") is None
    page.driver.execute_script("window.model.set('kept', {})")
    assert "My guess" in card.text
    page.driver.execute_script("window.ended(); window.model.set('kept', {question: 'How much?', said: 1})")
    assert "You said" not in card.text


def test_in_a_notebook_the_answer_follows_the_kernel(page):
    page.driver.execute_async_script(NOTEBOOK, View._esm, CAME.page(), {"question": "How much?", "said": 1})
    card = page.one("#notebook .mechlib-answer")
    assert "You said 1 nats. It is 4.2 nats." in card.text and "If you said more" not in card.text
    page.driver.execute_script("window.model.set('kept', {question: 'How much?', said: 5})")
    assert "If you said more, you probably thought b." in card.text and "You said 5 nats." in card.text


def test_script_and_library_judge_alike(page):
    said = [x / 100 for x in range(-100, 900, 7)] + [3.7, 4.7, 4.2]
    judged = page.driver.execute_script(
        "return arguments[0].map((x) => mechlibGuess.judge(x, {value: 4.2, within: 0.5}))", said
    )
    assert judged == [CAME.judged(x) for x in said] and set(judged) == {"right", "below", "above"}
    words = page.driver.execute_script("return arguments[0].map((x) => mechlibGuess.words(x, 'nats'))", said)
    assert words == [ASKED.in_words(x) for x in said]


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("40 %", "", 0.4),
        ("40%", "%", 40.0),
        ("40", "%", 40.0),
        (".5", "", 0.5),
        ("−2,5", "nats", -2.5),
        ("3e2", "", 300.0),
    ],
)
def test_numbers_are_read_as_people_write_them(page, text, unit, number):
    assert page.driver.execute_script("return mechlibGuess.read(...arguments)", text, unit) == pytest.approx(number)


def test_the_number_of_the_chapter_stands_in_title_sidebar_and_tab(page):
    assert page.one("article h1").text.startswith("02 A lens")
    assert page.driver.title.startswith("02 A lens")
    (entry,) = page.all(".bd-sidebar-primary .current.active > a")
    assert entry.text == "02 A lens"


def test_a_button_opens_the_copy_on_colab_and_another_reports_a_mistake(page):
    links = [link.get_attribute("href") for link in page.all(".article-header-buttons a[href]")]
    (colab,) = [link for link in links if "colab" in link]
    assert colab.endswith("/blob/notebooks/main/book/part1/02_lens.ipynb")
    (report,) = [link for link in links if "/issues/new" in link]
    assert report.endswith("/issues/new?template=text.yml&where=book%2Fpart1%2F02_lens.html")
    assert (checkout.root() / ".github/ISSUE_TEMPLATE/text.yml").is_file()


def test_exercises_are_linked_and_downloaded(page):
    links = page.all("article a[href$='.ipynb']")
    colab = [link for link in links if "colab" in link.get_attribute("href")]
    files = [link.get_attribute("href") for link in links if link not in colab]
    assert [link.get_attribute("href").rpartition("/blob/")[2] for link in colab] == ["main/exercises/02_lens.ipynb"]
    assert len(files) == 2 and len(set(files)) == 1
    with urllib.request.urlopen(files[0]) as file:
        assert "Exercises: a lens" in json.load(file)["cells"][0]["source"][0]
