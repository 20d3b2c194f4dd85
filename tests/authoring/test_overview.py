"""What a chapter says of itself in a line, and the map that is drawn of all."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from mechlib.authoring import checkout, overview, start_page

ROOT = checkout.root()


@pytest.fixture(scope="module")
def chapters():
    return list(overview.chapters(ROOT))


def test_every_chapter_has_its_line_and_none_that_is_there_is_to_come(chapters):
    assert [each.number for each in chapters if not each.line] == []
    there = {each.number for each in chapters}
    planned = overview.to_come(ROOT)
    assert not there & {each.number for each in planned} and all(each.title and each.line for each in planned)
    assert [each.number for each in planned] == sorted(each.number for each in planned)


@pytest.mark.parametrize(
    ("words", "short"),
    [
        ("an hour", "1 h"),
        ("an hour and a half", "1½ h"),
        ("two hours", "2 h"),
        ("one or two hours", "1–2 h"),
        ("two to three hours", "2–3 h"),
        ("two and a half hours", "2½ h"),
    ],
)
def test_times_in_a_few_signs(words, short):
    assert overview.hours(words) == short


def test_a_time_without_a_number_is_refused():
    with pytest.raises(ValueError, match="'a few hours'"):
        overview.hours("a few hours")


@pytest.mark.parametrize(
    ("words", "needs", "helped_by"),
    [
        ("nothing", (), ()),
        ("01", ("01",), ()),
        ("nothing; 01 helps", (), ("01",)),
        ("09 helps; 14 and 15 for its last third", (), ("09", "14", "15")),
        ("06 and 07; 01 and 02 help", ("06", "07"), ("01", "02")),
        ("14; Markov chains help", ("14",), ()),
    ],
)
def test_what_is_needed_is_told_from_what_helps(chapters, words, needs, helped_by):
    entry = replace(chapters[0], builds_on=words)
    assert (entry.needs, entry.helped_by) == (needs, helped_by)


def test_the_map_has_every_chapter_as_a_link_and_every_line(chapters):
    svg = start_page.drawing(chapters, start_page.captions(ROOT), "book")
    links = re.findall(r'<a href="([^"]+)"', svg)
    assert [f"book/{link.removesuffix('.html')}.ipynb" for link in links] == [each.path for each in chapters]
    assert svg.count('class="needs"') == sum(len(each.needs) for each in chapters)
    assert svg.count('class="helps"') == sum(len(each.helped_by) for each in chapters)
    assert re.findall(r'class="part">([^<]+)<', svg) == list(start_page.captions(ROOT).values())


def test_no_box_of_the_map_lies_on_another(chapters):
    svg = start_page.drawing(chapters, {}, "book")
    boxes = [
        tuple(map(float, found)) for found in re.findall(r'<rect x="(\S+)" y="(\S+)" width="\S+" height="(\S+)"', svg)
    ]
    assert len(boxes) == len(chapters)
    assert all(top + height < below for (_, top, height), (_, below, _) in pairwise(boxes))
    by_number = dict(zip((each.number for each in chapters), boxes, strict=True))
    for each in chapters:
        assert all(by_number[before][0] < by_number[each.number][0] for before in each.needs)


def test_the_numbers_are_those_of_ledger_and_exercises(chapters):
    shown = start_page.counts(ROOT, chapters)
    by_verdict = [int(number) for number in re.findall(r"verdict=[^>]+><b>(\d+)</b>", shown)]
    page = (ROOT / "book/claims.md").read_text(encoding="utf-8")
    claims = re.findall(r"^\| \*\*\d\d[a-z]\*\* ", page, re.MULTILINE)
    assert sum(by_verdict) == len(claims) and f"<b>{len(claims)}</b> claims" in shown
    checks = sum(
        len(set(re.findall(r'check\("(ch\d\d\.\w+)"', path.read_text(encoding="utf-8").replace('\\"', '"'))))
        for path in checkout.notebooks(ROOT, "solutions")
    )
    assert f"<b>{checks}</b> questions" in shown
