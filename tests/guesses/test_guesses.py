"""Guesses in a kernel: asked, kept across kernels, answered from what was computed, and silent on a page."""

import json
import math

import pytest
import torch

from mechlib.guesses import PAGE, answer, forget, guess
from mechlib.guesses.kept import PLACE
from mechlib.stats import Estimate

QUESTION = "How far does it fall?"
LINES = {"below": "of one layer", "above": "of all of them"}
OPTIONS = ("the first", "the second", "the third")
OTHERWISE = {"the first": "of the start", "the third": "of the end"}
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The file of the guesses, in a folder that is not there yet; nothing was asked or said before."""
    monkeypatch.setenv(PLACE, str(tmp_path / "kept" / "guesses.json"))
    monkeypatch.delenv(PAGE, raising=False)
    forget()
    return tmp_path / "kept" / "guesses.json"


def ask(**options):
    return guess("02a", QUESTION, **{"unit": "nats", **options})


def say(shown, said) -> None:
    """What the browser does when somebody enters a guess."""
    shown.view.kept = {"question": shown.part.question, "said": said}


def bundle(shown) -> dict:
    return shown._repr_mimebundle_()[0]


def test_a_guess_stands_beside_the_answer_with_the_line_for_it():
    shown = ask()
    came = answer("02a", 4.2, within=0.5, **LINES)
    assert "You said" not in str(came) and "None" not in str(came) + str(shown)
    assert "If you said less, you probably thought of one layer." in str(came)
    for said, line in ((3, "you probably thought of one layer"), (9.5, "of all of them"), (4.6, "near enough")):
        say(shown, said)
        assert f"You said {said} nats" in str(came) and line in str(came) and "If you said" not in str(came)
        assert came.view.said == said


def test_whichever_is_entered_last_counts_in_every_view():
    first, came = ask(), answer("02a", 4.2, within=0.5, **LINES)
    again = ask()
    say(first, 3)
    assert again.view.said == came.view.said == 3
    say(again, 5)
    assert first.view.said == came.view.said == 5
    again.view.kept = {}
    assert first.view.said is came.view.said is None


def test_it_survives_the_kernel_in_a_file(place):
    say(ask(), 3)
    assert json.loads(place.read_text()) == {"02a": {"question": QUESTION, "said": 3}}
    guess("02a", "Something else?")  # what is known of the question is lost, as with the kernel
    assert ask().view.said == 3 and "You said 3 nats." in str(ask())
    forget()
    assert not place.exists() and ask().view.said is None


def test_a_question_that_is_put_otherwise_is_asked_again():
    say(ask(), 3)
    assert guess("02a", QUESTION + " In bits?").view.said is None
    assert ask(between=(4, 8)).view.said is None


@pytest.mark.parametrize("text", ["", "[", "[]", '{"02a": 1}', '{"02a": {"said": 1}}', '{"02a": {"question": 1}}'])
@pytest.mark.filterwarnings("ignore:the guesses in")
def test_a_damaged_file_is_left_aside_and_written_anew(place, text):
    place.parent.mkdir()
    place.write_text(text)
    assert ask().view.said is None
    say(ask(), 3)
    assert json.loads(place.read_text())["02a"]["said"] == 3


@pytest.mark.filterwarnings("ignore:the guesses in")
def test_a_file_that_cannot_be_read_is_named(place):
    place.mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"guesses\.json cannot be read"):
        guess("02a", "Something else?")
    with pytest.warns(UserWarning, match=r"lasts as long as this kernel.*cannot be written"):
        say(ask(), 3)
    assert answer("02a", 4, within=0.5, **LINES).view.said == 3


def test_on_a_page_nobody_is_there_yet(monkeypatch, place):
    say(ask(), 3)
    before = place.read_text()
    monkeypatch.setenv(PAGE, "1")
    for shown in (ask(mine=2), answer("02a", 4.2, within=0.5, **LINES)):
        assert shown.view is None and set(bundle(shown)) == {"text/html", "text/plain"}
        assert "You said" not in str(bundle(shown))
    assert place.read_text() == before


def test_in_a_notebook_a_widget_is_shown_and_elsewhere_the_text():
    shown = ask(mine=3)
    assert set(bundle(shown)) == {WIDGET, "text/plain"}
    assert bundle(shown)["text/plain"] == f"02a: {QUESTION} (nats)\nYou said 3 nats."
    assert "mine=" in bundle(guess("02z", QUESTION))["text/plain"]


def test_an_answer_has_the_computed_value():
    ask(between=(0, 8))
    written = {
        "4.20 nats": (4.2, torch.tensor(4.2), torch.tensor([4.2])),
        "4.20 nats (95 % interval 4.00 to 4.40)": (Estimate(4.2, 4.0, 4.4, 9),),
        "4.20 nats (99 % interval 4.00 to 4.40)": (Estimate(4.2, 4.0, 4.4, 9, level=0.99),),
    }
    for shown, values in written.items():
        for value in values:
            assert f"02a: {shown}." in str(answer("02a", value, within=0.5, **LINES))


def test_a_choice_is_answered_by_an_option():
    shown = guess("02b", QUESTION, options=OPTIONS)
    came = answer("02b", "the second", otherwise=OTHERWISE)
    say(shown, "the third")
    assert "“the second”. You said “the third”: you probably thought of the end." in str(came)
    say(shown, "the second")
    assert "You said “the second”: right." in str(came)
    answer("02b", "the first", otherwise={**OTHERWISE, "the second": "of the middle"})


def test_who_cannot_be_off_that_way_needs_no_line():
    guess("02a", QUESTION, between=(0, 1))
    assert "more" not in str(answer("02a", 0.97, within=0.05, below="of half"))
    with pytest.raises(ValueError, match="no line for whoever said above"):
        answer("02a", 0.9, within=0.05, below="of half")
    with pytest.raises(ValueError, match="no line for whoever said below"):
        answer("02a", 0.04, within=0.03, above="of half")


def test_what_is_entered_is_text_and_no_html():
    came = guess("02b", "Is <b> & `x<y`?", options=("<i>", '"')).part.page()
    assert "Is &lt;b&gt; &amp; <code>x&lt;y</code>?" in came and "<li>&lt;i&gt;</li>" in came and "<i>" not in came


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"guess_id": "a2"}, "two digits and more, '02a', not 'a2'"),
        ({"question": " "}, "02a has no question"),
        ({"options": ("a",)}, r"two different options or more, got \['a'\]"),
        ({"options": ("a", "a")}, "two different options"),
        ({"options": ("a", "b"), "unit": "nats"}, "no unit and no range"),
        ({"between": (1, 1)}, r"a smaller and a larger number, not \(1, 1\)"),
        ({"mine": "3"}, "02a is a number, not '3'"),
        ({"mine": math.nan}, "02a is a number, not nan"),
        ({"between": (0, 1), "mine": 3}, "between 0 and 1, which 3 does not"),
        ({"options": ("a", "b"), "mine": "c"}, r"one of \['a', 'b'\], not 'c'"),
    ],
)
def test_a_question_that_cannot_be_asked_says_why(arguments, message):
    with pytest.raises(ValueError, match=message):
        guess(**{"guess_id": "02a", "question": QUESTION, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"guess_id": "02x"}, "02x has not been asked in this session"),
        ({"value": math.inf}, "02a is a number, not inf"),
        ({"value": "much"}, "02a is a number, not 'much'"),
        ({"value": 9.0}, "between 0 and 8, which 9 does not"),
        ({"above": " "}, "no line for whoever said above"),
        ({"otherwise": {"a": "b"}}, "the lines of 02a are below and above"),
        ({"guess_id": "02b", "value": "the second"}, "the lines of 02b are otherwise"),
        ({"guess_id": "02b", "value": "the fourth", "below": "", "above": ""}, "not 'the fourth'"),
        (
            {"guess_id": "02b", "value": "the first", "below": "", "above": "", "otherwise": {"x": "y"}},
            r"has the options .* and not \['x'\]",
        ),
        (
            {"guess_id": "02b", "value": "the first", "below": "", "above": "", "otherwise": OTHERWISE},
            "no line for whoever said the second",
        ),
    ],
)
def test_an_answer_that_cannot_be_given_says_why(arguments, message):
    ask(between=(0, 8))
    guess("02b", QUESTION, options=OPTIONS)
    with pytest.raises(ValueError, match=message):
        answer(**{"guess_id": "02a", "value": 4.2, "within": 0.5, **LINES, **arguments})
