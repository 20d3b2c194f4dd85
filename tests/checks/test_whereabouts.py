"""A notebook finds its file, and on Colab files go to the reader and come back."""

import json
import sys
from types import SimpleNamespace

import pytest

from mechlib.checks import asking, progress, submit, whereabouts
from mechlib.checks.record import Record

NOTEBOOK = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"colab": {"name": "02_lens.ipynb"}}, "cells": []}


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """A stand-in for Colab: what was downloaded, and what the reader uploads."""
    monkeypatch.chdir(tmp_path)
    session = SimpleNamespace(downloaded=[], upload={})
    files = SimpleNamespace(download=session.downloaded.append, upload=lambda: session.upload)
    message = SimpleNamespace(blocking_request=lambda what, timeout_sec: {"ipynb": NOTEBOOK})
    for name, module in {"": None, ".files": files, "._message": message}.items():
        monkeypatch.setitem(sys.modules, f"google.colab{name}", module or SimpleNamespace(__path__=[]))
    return session


def test_progress_goes_to_the_reader_and_comes_back_in_another_session(colab, record, tmp_path, monkeypatch):
    record.judged("ch02.read_out", "right")
    before = progress(save="progress.json")
    assert colab.downloaded == ["progress.json"]
    colab.upload = {"progress (1).json": (tmp_path / "progress.json").read_bytes()}
    (tmp_path / "progress.json").unlink()
    monkeypatch.setattr(asking, "RECORD", Record())
    assert progress(load="progress.json") == before


def test_a_file_that_is_there_is_not_asked_for(colab, record):
    progress(save="progress.json")
    colab.upload = {"x": b"damaged"}
    assert progress(load="progress.json") == progress()


def test_nothing_uploaded_is_told(colab, record):
    with pytest.raises(FileNotFoundError, match="no file was uploaded"):
        progress(load="progress.json")


def test_colab_hands_the_open_notebook_in(colab, record, tmp_path, capsys):
    submit()
    assert colab.downloaded == ["02_lens_submission.ipynb"]
    assert json.loads((tmp_path / "02_lens_submission.ipynb").read_text())["cells"] == []


def test_elsewhere_nothing_is_downloaded_or_asked_for(tmp_path):
    assert not whereabouts.on_colab()
    whereabouts.handed_over(tmp_path / "none")
    assert whereabouts.fetched(tmp_path / "none") == tmp_path / "none"


def test_jupyter_s_server_and_visual_studio_code_name_the_file(tmp_path, monkeypatch):
    for name in ("jupyter.ipynb", "code.ipynb"):
        (tmp_path / name).write_text(json.dumps(NOTEBOOK))
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "jupyter.ipynb"))
    assert whereabouts.notebook() == ("jupyter.ipynb", NOTEBOOK)
    shell = SimpleNamespace(user_ns={"__vsc_ipynb_file__": str(tmp_path / "code.ipynb"), "In": ["", "x = 1"]})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert whereabouts.notebook()[0] == "code.ipynb"
    assert whereabouts.executed() == ["", "x = 1"]


@pytest.mark.parametrize("name", ["gone.ipynb", "session-of-some-console"])
def test_a_name_that_is_no_file_is_not_taken(tmp_path, monkeypatch, name):
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / name))
    with pytest.raises(FileNotFoundError, match="does not know its own file"):
        whereabouts.notebook()


def test_without_a_notebook_nothing_was_executed():
    assert whereabouts.executed() == []
