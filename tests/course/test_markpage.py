"""The page on which answers are marked: what it is made from, and what it refuses."""

import csv
import json
import re

import pytest

from mechlib import cli
from mechlib.authoring import checkout
from mechlib.checks.registry import find
from mechlib.course import markpage, marks

ROOT = checkout.root()
NASTY = "</script><script>alert(1)</script>"


def row(student="ada", question="refutation", text="because", **more):
    empty = dict.fromkeys(marks.COLUMNS, "")
    return {**empty, "student": student, "chapter": "ch02", "question": question, "text": text, **more}


def table(folder, *rows):
    path = folder / "written.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, marks.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def held(text: str) -> dict:
    """What the page's script reads."""
    return json.loads(re.search(r'<script type="application/json" id="marking">(.*?)</script>', text, re.DOTALL)[1])


def test_the_rubric_of_refutations_is_the_one_on_the_instructors_page():
    page = (ROOT / "book" / "for-instructors.md").read_text()
    for line in markpage.REFUTATION.lines:
        assert f"| {line.line} | {line.full} | {line.none} |" in page
    assert markpage.REFUTATION.note in page
    assert sum(line.points for line in markpage.REFUTATION.lines) == markpage.REFUTATION.most == 4


def test_an_open_task_is_marked_by_its_own_steps():
    task = "ch02.leave_out"
    (kind,) = held(markpage.marking([row(question=task)], "0" * 16))["kinds"]
    assert kind["rubric"]["most"] == find(task).points and kind["title"] == f"ch02: {find(task).title}"
    assert [line["points"] for line in kind["rubric"]["lines"]] == [points for points, _ in find(task).steps]


def test_a_rubric_of_one_s_own_goes_before(tmp_path):
    path = tmp_path / "rubric.csv"
    path.write_text("chapter;question;line;points;full;none\nch02;refutation;why;2,5;says why;no\n;refutation;x;1;y;\n")
    rubrics = markpage.read_rubrics(path)
    found = held(markpage.marking([row(), row(chapter="ch06")], "0" * 16, rubrics))["kinds"]
    assert [kind["rubric"]["most"] for kind in found] == [2.5, 1]
    path.write_text("line,points\nwhy,none\n")
    with pytest.raises(ValueError, match=r"line 2: the points are 'none'; a number above 0"):
        markpage.read_rubrics(path)


def test_model_answers_are_those_of_the_solutions():
    found = markpage.model_answers(ROOT / "solutions")
    assert len(found) == len(list((ROOT / "solutions").glob("*.ipynb")))
    assert found["ch06", "refutation"].startswith("All rows had one period")


def test_answers_to_one_question_follow_one_another_and_nothing_in_them_is_markup():
    rows = [row(s, q, NASTY) for s in ("ada", "bob") for q in ("refutation", "other")]
    text = markpage.marking(rows, "0" * 16)
    assert [(i["question"], i["student"]) for i in held(text)["items"]] == [
        ("refutation", "ada"),
        ("refutation", "bob"),
        ("other", "ada"),
        ("other", "bob"),
    ]
    assert NASTY not in text and held(text)["items"][0]["text"] == NASTY


def test_a_text_that_a_spreadsheet_would_compute_is_shown_as_it_was_written():
    items = held(markpage.marking([row(text="=1+1"), row(text="'tis so")], "0" * 16))["items"]
    assert [item["shown"] for item in items] == ["=1+1", "'tis so"]
    assert [item["text"] for item in items] == ["'=1+1", "'tis so"], (
        "which goes back into the table, and is read from there as it was"
    )


def test_made_again_it_finds_what_the_browser_keeps_and_another_class_does_not(tmp_path):
    path = table(tmp_path, row())
    keys = [held(markpage.write(path).read_text())["key"] for _ in range(2)]
    (tmp_path / "other").mkdir()
    other = held(markpage.write(table(tmp_path / "other", row())).read_text())["key"]
    assert keys[0] == keys[1] != other
    assert (tmp_path / "marking.html").stat().st_mode & 0o777 == 0o600


def test_nothing_to_mark_is_said(tmp_path):
    with pytest.raises(ValueError, match="nothing to mark"):
        markpage.write(table(tmp_path))
    with pytest.raises(FileNotFoundError):
        markpage.write(tmp_path / "none.csv")


def test_the_command(tmp_path, monkeypatch, capsys):
    path = table(tmp_path, row())
    monkeypatch.setattr("sys.argv", ["mechlib", "marking", str(path), "--solutions", str(ROOT / "solutions")])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code and str(tmp_path / "marking.html") in capsys.readouterr().out
    (kind,) = held((tmp_path / "marking.html").read_text())["kinds"]
    assert kind["model"].startswith("The final guess")
