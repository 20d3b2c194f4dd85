"""Progress survives a session, whole or not at all."""

import json

import pytest

from mechlib.checks import asking, progress
from mechlib.checks.record import Entry, Progress, Record


@pytest.fixture
def filled(record):
    record.judged("ch02.read_out", "right")
    record.judged("ch02.refute", "wrong")
    record.judged("ch02.refute", "raised")
    record.hinted("ch02.refute")
    return record


def test_saved_and_loaded(filled, tmp_path, monkeypatch):
    before = progress(save=tmp_path / "progress.json")
    monkeypatch.setattr(asking, "RECORD", Record())
    assert progress().points == 0
    assert progress(load=tmp_path / "progress.json") == before
    assert asking.RECORD.entry("ch02.refute") == Entry("raised", tries=2, hints=1)


def test_what_was_tried_in_this_session_stands_but_for_a_right_answer(filled, tmp_path):
    filled.save(tmp_path / "progress.json")
    later = Record()
    later.judged("ch02.read_out", "wrong")
    later.judged("ch02.refute", "wrong")
    later.load(tmp_path / "progress.json")
    assert later.entry("ch02.read_out") == Entry("right", tries=1)
    assert later.entry("ch02.refute").status == "wrong"


@pytest.mark.parametrize("status", ["wrong", "raised", "unanswered", "interrupted"])
def test_a_right_answer_keeps_its_points(record, toy, status):
    record.judged("ch02.toy", "right")
    record.judged("ch02.toy", status)
    table = Progress.of(record, [toy])
    assert table.points == 2 and table.rows[0][3] == "right"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "\x00" * 40,
        lambda text: "[1, 2]",
        lambda text: text.replace("mechlib progress", "something else"),
        lambda text: text.replace('"version": 1', '"version": 99'),
        lambda text: text.replace('"tries": 2', '"tries": -2'),
        lambda text: text.replace('"tries": 2', '"tries": true'),
        lambda text: text.replace('"raised"', '"excellent"'),
        lambda text: text.replace('"hints"', '"hunts"'),
        lambda text: text.replace('"raised"', "[]"),
    ],
)
def test_a_damaged_file_is_refused_and_nothing_is_lost(filled, tmp_path, damage):
    path = tmp_path / "progress.json"
    filled.save(path)
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_text(damaged)
    before = dict(filled.entries)
    with pytest.raises(ValueError, match=r"progress\.json.*the progress is unchanged"):
        progress(load=path)
    assert filled.entries == before


def test_bytes_that_are_no_text_are_refused(filled, tmp_path):
    (tmp_path / "progress.json").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match="damaged"):
        progress(load=tmp_path / "progress.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        progress(load=tmp_path / "nowhere.json")


def test_a_failing_save_leaves_the_old_file(filled, tmp_path, monkeypatch):
    path = tmp_path / "progress.json"
    filled.save(path)
    old = path.read_text()
    filled.judged("ch02.readable", "right")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        filled.save(path)
    assert path.read_text() == old
    assert [p.name for p in tmp_path.iterdir()] == ["progress.json"]


def test_the_file_is_plain_json(filled, tmp_path):
    filled.save(tmp_path / "progress.json")
    saved = json.loads((tmp_path / "progress.json").read_text())
    assert saved["questions"]["ch02.read_out"] == {"status": "right", "tries": 1, "hints": 0, "earned": 0.0}


def test_the_table_in_text_and_html(filled, toy):
    table = Progress.of(filled, [toy])
    assert repr(table).splitlines()[0].split() == ["question", "title", "points", "state", "tries", "hints"]
    assert repr(table).splitlines()[-1] == "0 of 2 points"
    assert "<td>A scaled sum</td>" in table._repr_html_()


def test_saving_over_an_earlier_session_keeps_what_it_knew(filled, tmp_path):
    path = tmp_path / "progress.json"
    filled.save(path)
    later = Record()
    later.judged("ch02.readable", "right")
    later.save(path)
    both = Record()
    both.load(path)
    assert {name: entry.status for name, entry in both.entries.items()} == {
        "ch02.read_out": "right",
        "ch02.refute": "raised",
        "ch02.readable": "right",
    }


@pytest.mark.parametrize("text", ['{"cells": [], "nbformat": 4}', "my notes", ""])
def test_nothing_is_saved_over_another_file(filled, tmp_path, text):
    path = tmp_path / "02_logit_lens.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"nothing is saved: .*02_logit_lens\.ipynb.*another name"):
        progress(save=path)
    assert path.read_text() == text and [p.name for p in tmp_path.iterdir()] == [path.name]
