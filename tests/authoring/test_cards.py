"""Every review card comes from something that the book has, and none that is not whole is taken."""

import re
from collections import Counter

import pytest

from mechlib.authoring import checkout, ledger, review_page
from mechlib.authoring.cards import FOLDER, Card, cards
from mechlib.claims import CLAIM_ID

ROOT = checkout.root()
ALL = list(cards(ROOT))
CHAPTERS = {path.name[:2]: path for path in checkout.notebooks(ROOT, "solutions")}
QUESTION = re.compile(r'check\(\\?"(ch\d\d\.\w+)')


def test_every_chapter_with_exercises_has_three_to_five_cards():
    counts = Counter(card.chapter for card in ALL)
    assert set(counts) <= set(CHAPTERS)
    assert {number: n for number, n in counts.items() if not 3 <= n <= 5} == {}
    assert set(CHAPTERS) - set(counts) == set()


@pytest.mark.parametrize("card", ALL, ids=lambda card: card.key)
def test_a_card_names_a_claim_or_a_question_of_its_chapter(card):
    if CLAIM_ID.fullmatch(card.of):
        assert card.of in ledger.recorded(ROOT) and card.of.startswith(card.chapter)
    else:
        text = CHAPTERS[card.chapter].read_text(encoding="utf-8")
        assert card.of in QUESTION.findall(text)


def test_each_chapter_has_cards_of_both_kinds_and_no_key_is_there_twice():
    assert len({card.key for card in ALL}) == len(ALL)
    kinds = {(card.chapter, bool(CLAIM_ID.fullmatch(card.of))) for card in ALL}
    assert kinds == {(card.chapter, kind) for card in ALL for kind in (True, False)}


def test_another_front_is_another_card_and_another_back_is_not():
    card = Card("02", "02a", "What?", "This.")
    assert Card("02", "02a", "What?", "That.").key == card.key != Card("02", "02a", "What then?", "This.").key


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not nothing"),
        ('title = "x"\n', "not title"),
        ('[[card]]\nof = "02a"\nfront = "What?"\n', "has the texts of, front, back"),
        ('[[card]]\nof = "02a"\nfront = "What?"\nback = " "\n', "has the texts of, front, back"),
    ],
)
def test_a_file_with_anything_but_whole_cards_is_named(tmp_path, text, problem):
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "02.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"02\.toml.*{problem}"):
        list(cards(tmp_path))


def test_the_page_leads_to_claim_and_exercises():
    page = review_page.shown(ROOT, "book")
    for card in ALL:
        ending = f"#verdict-{card.of}" if CLAIM_ID.fullmatch(card.of) else "#exercises"
        assert re.search(rf'data-card="{card.key}".*?href="part\d/{card.chapter}_\w+\.html{ending}"', page)
    assert page.count("<details") == len(ALL) + len(CHAPTERS)
