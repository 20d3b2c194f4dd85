"""Chapters are executed once for what they reach; what a run reads beyond that fails it by name."""

import re
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_output

from mechlib.authoring.outputs import PARSED, Outputs
from tests.authoring.conftest import CELLS, FILES, LENS, ZOO, times, write


def made(book):
    """The lines about an execution of what is outdated, which must not fail."""
    said = []
    assert Outputs(book).make(said.append) == {}
    return said


def shown(book, path):
    return Outputs(book).read(path).cells[0].outputs[0].data["text/plain"]


def test_a_chapter_is_executed_again_when_it_reaches_what_changed(book):
    made(book)
    assert (shown(book, LENS), shown(book, ZOO)) == ("42", "'one'")
    assert made(book) == [] and times(book) == {LENS: 1, ZOO: 1}
    (book / "mechlib/course/__init__.py").write_text("from mechlib import lens")
    (book / "mechlib/stream.py").write_text("# A comment.\n" + FILES["mechlib/stream.py"])
    assert made(book) == [] and times(book) == {LENS: 1, ZOO: 1}
    (book / "mechlib/stream.py").write_text("def entries():\n    return 43\n")
    with pytest.raises(FileNotFoundError, match=rf"{LENS.name} has not been executed .*: mechlib/stream\.py changed"):
        Outputs(book).read(LENS)
    assert made(book)[0] == f"{LENS}: mechlib/stream.py changed since it was executed"
    assert shown(book, LENS) == "43" and times(book) == {LENS: 2, ZOO: 1}


@pytest.fixture
def kept(book):
    """The checkout as if both chapters had been executed."""
    outputs = Outputs(book)
    for path in CELLS:
        outputs.keep(outputs.chapter(path))
    return book


def outdated(book):
    def is_outdated(path):
        try:
            Outputs(book).read(path)
        except FileNotFoundError:
            return True
        return False

    return set(filter(is_outdated, CELLS))


@pytest.mark.parametrize(
    ("name", "chapters"),
    [
        ("mechlib/course/__init__.py", set()),
        ("mechlib/hidden.py", set()),
        ("mechlib/lens.py", {LENS}),
        ("mechlib/zoo/loading.py", {ZOO}),
        ("mechlib/zoo/weights/small-1/card.json", {ZOO}),
        ("mechlib/zoo/weights/small-2/card.json", set()),
        ("mechlib/tokenizer.json", {LENS, ZOO}),
        ("constraints.txt", {LENS, ZOO}),
    ],
)
def test_a_change_concerns_the_chapters_that_reach_it(kept, name, chapters):
    assert outdated(kept) == set()
    (kept / name).write_text("changed = 1")
    assert outdated(kept) == chapters


def test_code_that_was_executed_with_another_library_does_not_come_back(kept):
    code = nbformat.read(kept / LENS, as_version=4).cells[0].source
    write(kept / LENS, "1")
    (kept / "mechlib/lens.py").write_text("def read_out(): ...")
    write(kept / LENS, code)
    assert outdated(kept) == {LENS}


def test_words_around_the_code_change_no_output(kept):
    notebook = nbformat.read(kept / LENS, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("More words."))
    nbformat.write(notebook, kept / LENS)
    assert outdated(kept) == set()


@pytest.mark.parametrize(("tag", "again"), [("hide-input", False), ("raises-exception", True)])
def test_a_cell_with_another_tag_is_executed_again_only_if_the_tag_says_how(kept, tag, again):
    outputs = Outputs(kept)
    chapter = outputs.chapter(LENS)
    chapter.notebook.cells[0].outputs = [new_output("stream", text="kept")]
    outputs.keep(chapter, 5.0)
    notebook = nbformat.read(kept / LENS, as_version=4)
    notebook.cells[0].metadata = {"tags": [tag]}
    nbformat.write(notebook, kept / LENS)
    assert bool(made(kept)) == again
    (output,) = Outputs(kept).read(LENS).cells[0].outputs
    assert ("text" in output) != again
    (kept / "mechlib/lens.py").write_text("def read_out(): ...")
    assert outdated(kept) == {LENS}


def test_the_page_of_new_outputs_is_read_anew(book):
    outputs = Outputs(book)
    page, other = (book / PARSED / path.with_suffix(".doctree") for path in CELLS)
    page.parent.mkdir(parents=True)
    page.touch(), other.touch()
    outputs.keep(outputs.chapter(LENS))
    assert not page.exists() and other.exists()


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("load = __import__\nload('mechlib.hidden')", "it read .*mechlib/hidden.py"),
        ("from mechlib import zoo\nzoo.load('small-1'.replace('1', '2'))", "it read .*weights/small-2/card.json"),
        ("open('01_lens.ipynb').close()", "it read book/part1/01_lens.ipynb"),
    ],
)
def test_a_chapter_that_fails_or_reads_what_was_not_foreseen_is_named(kept, code, problem):
    write(kept / ZOO, code)
    (failed,) = Outputs(kept).make(lambda line: None).items()
    assert failed[0] == ZOO and re.search(problem, failed[1])
    assert outdated(kept) == {ZOO}


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_chapter_whose_kernel_ends_has_no_outputs_and_the_others_go_on(kept, ending):
    write(kept / ZOO, f"import os, signal\n{ending}")
    write(kept / LENS, "1 + 1")
    assert list(Outputs(kept).make(lambda line: None)) == [ZOO]
    assert outdated(kept) == {ZOO} and shown(kept, LENS) == "2"


def test_a_build_that_is_interrupted_ends_and_keeps_nothing(kept):
    """Ctrl-C reaches whoever waits for the kernels, which end with it."""
    write(kept / ZOO, "import os, signal, time\nos.kill(os.getppid(), signal.SIGINT)\ntime.sleep(60)")
    build = (
        f"from pathlib import Path; from mechlib.authoring.outputs import Outputs; Outputs(Path({str(kept)!r})).make()"
    )
    ended = subprocess.run([sys.executable, "-c", build], capture_output=True, text=True, timeout=300)
    assert "KeyboardInterrupt" in ended.stderr
    assert outdated(kept) == {ZOO}


def test_what_took_longest_is_executed_first(kept):
    outputs = Outputs(kept)
    for path, seconds in ((LENS, 1.0), (ZOO, 9.0)):
        outputs.keep(outputs.chapter(path), seconds)
    (kept / "constraints.txt").write_text("torch==2")
    assert [line.partition(":")[0] for line in made(kept)[:2]] == [str(ZOO), str(LENS)]
