"""Results that are told later: until then nothing that a student gets says what came out, and then all of it does."""

import datetime
import io
import json
import zipfile
from dataclasses import replace

import pytest

from mechlib.course import rules, tables
from mechlib.course.feedback import feedback, gradescope_results
from mechlib.course.gradescope import bundle
from mechlib.course.settling import Term, settle
from mechlib.grading.results import SubmissionGrade
from tests.course.conftest import question, submission

NOW = datetime.datetime(2027, 1, 1, 12, tzinfo=datetime.UTC)
LATER = {"ch02.target_rank": NOW + datetime.timedelta(days=31)}
TOLD = "result on 2027-02-01 12:00"
SECRETLY = "a word on the answer that nobody may read yet"


def grade() -> SubmissionGrade:
    hidden = question("target_rank", "misconception", misconception="strict", message=SECRETLY, needs_human=True)
    problems = ("The answer to ch02.target_rank was stopped after 30 seconds.", "Cell 3 raised KeyError.")
    return submission("ada", question("read_out"), hidden, problems=problems)


def settled(now=NOW) -> SubmissionGrade:
    (found,) = settle([grade()], Term(rules=rules.Rules(withheld=LATER)), now).grades
    return found


def test_the_page_says_when_and_nothing_else_of_it():
    page = feedback(settled())
    assert TOLD in page and "2 of 2 points so far" in page and "– of 2" in page
    assert SECRETLY not in page and "a known mistake" not in page and "strict" not in page
    assert "stopped after" not in page and "Cell 3 raised KeyError." in page


def test_gradescope_is_told_the_same():
    results = json.loads(gradescope_results(settled()))
    assert results["score"] == 2 and SECRETLY not in json.dumps(results)
    (hidden,) = [test for test in results["tests"] if test["number"] == "ch02.target_rank"]
    assert hidden["output"] == f"R{TOLD[1:]}." and "score" not in hidden and "status" not in hidden


def test_the_line_for_moodle_says_when_too():
    line = tables.line(settled())
    assert line == f"Title of read_out: 2 of 2; Title of target_rank: {TOLD}"


@pytest.mark.parametrize("after", [0, 1])
def test_from_the_date_on_everything_is_told(after):
    found = settled(LATER["ch02.target_rank"] + datetime.timedelta(seconds=after))
    assert found == grade() and SECRETLY in feedback(found) and "2 of 4 points" in feedback(found)


def test_it_says_the_same_whatever_came_out():
    """Nothing of the page tells a right answer from a wrong one, nor one that was lost."""
    pages = set()
    for status, score in (("right", 2.0), ("wrong", 0.0), ("timeout", 0.0), ("unanswered", 0.0)):
        other = question("target_rank", status, score=score, message=status, needs_human=status == "timeout")
        given = replace(grade(), questions=(question("read_out"), other), problems=())
        (found,) = settle([given], Term(rules=rules.Rules(withheld=LATER)), NOW).grades
        pages.add((feedback(found), gradescope_results(found).replace('"needs_human": true', '"needs_human": false')))
    assert len(pages) == 1


def written(tmp_path, withheld):
    path = tmp_path / "course.json"
    path.write_text(json.dumps({"term": {"zone": "Europe/Berlin", "withheld": withheld}}))
    return path


def test_the_rules_are_read_in_their_time_zone(tmp_path):
    found = rules.read(written(tmp_path, {"ch02.target_rank": "2027-02-01 08:00"})).withheld
    assert found["ch02.target_rank"] == datetime.datetime(2027, 2, 1, 7, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("withheld", "said"),
    [
        ({"ch02.target_rang": "2027-02-01 08:00"}, "no question 'ch02.target_rang'; the nearest: ch02.target_rank"),
        ({"ch02.target_rank": "February"}, "term.withheld.ch02.target_rank: 'February' is no time"),
        (["ch02.target_rank"], "term.withheld is"),
    ],
)
def test_a_rule_that_is_none_is_refused(tmp_path, withheld, said):
    with pytest.raises(ValueError, match=said):
        rules.read(written(tmp_path, withheld))


def test_an_autograder_for_gradescope_carries_the_dates():
    packed = zipfile.ZipFile(io.BytesIO(bundle(withheld=LATER)))
    assert json.loads(packed.read("settings.json"))["withheld"] == {"ch02.target_rank": "2027-02-01T12:00:00+00:00"}
