import ast
import subprocess
import sys
import textwrap

import pytest
import torch

from mechlib import text


def test_the_two_splits_share_no_file_and_cover_the_library():
    train, held_out = text.files("train", tests=True), text.files("held_out", tests=True)
    paths = [d.path for d in train] + [d.path for d in held_out]
    assert len(paths) == len(set(paths))
    assert set(paths) == {d.path for d in text.read_tree(text.standard_library())}
    share = len(held_out) / len(paths)
    assert 0.08 < share < 0.17, f"one file in {text.HELD_OUT_ONE_IN} should be held out, got {share:.3f}"


def test_without_tests_the_documents_are_a_subset_that_every_distribution_has():
    core = {d.path for d in text.files("held_out")}
    assert core < {d.path for d in text.files("held_out", tests=True)}
    assert not any(part in text.OFTEN_MISSING for path in core for part in path.split("/"))
    assert len(core) >= 20


def test_the_corpus_is_the_same_in_another_process():
    code = "from mechlib import text; print(text.fingerprint(text.files('held_out')))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == text.fingerprint(text.files("held_out"))


def test_the_fingerprint_sees_every_change_and_the_border_between_path_and_text():
    a, b = text.SourceFile("ab", "c"), text.SourceFile("a", "bc")
    assert len({text.fingerprint([a]), text.fingerprint([b]), text.fingerprint([a, b]), text.fingerprint([b, a])}) == 4


def test_only_text_is_read(tmp_path):
    long = "x = 1\n" * 60
    for path, content in {
        "good.py": long.encode(),
        "short.py": b"x = 1\n",
        "binary.py": b"\xff\xfe" * 200,
        "foreign.py": ("# " + "é" * 300).encode(),
        "site-packages/other.py": long.encode(),
        "_sysconfigdata_x.py": long.encode(),
        "notes.txt": long.encode(),
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert [d.path for d in text.read_tree(tmp_path)] == ["good.py"]


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="'held_out', not 'test'"):
        text.files("test")


@pytest.mark.parametrize(
    "sample", ["def f(x):\n\treturn x  # ok\n", "naïve café — 漢字 🙂", " leading and trailing  ", ""]
)
def test_any_text_round_trips(sample):
    ids = text.encode(sample)
    assert ids[0] == text.BOS and ids.dtype == torch.long and (ids < 2048).all()
    assert text.decode(ids) == sample
    assert text.decode(text.encode(sample, bos=False)) == sample


def test_token_strings_show_what_cannot_be_seen():
    assert "".join(text.token_strings(text.encode("if x:\n\ty", bos=False))) == "if·x:⏎→y"


def test_the_stream_has_one_bos_per_document():
    documents = text.files("held_out")[:5]
    stream = text.stream(documents)
    assert (stream == text.BOS).sum() == 5
    assert stream.tolist() == [i for d in documents for i in text.encode(d.text).tolist()]


def test_prose_and_code_are_the_docstrings_and_the_bodies():
    source = textwrap.dedent(
        '''
        """Module."""
        def f(a):
            """Doc of f."""
            b = a + 1
            def g():
                """Doc of g."""
                return b
            return g
        class C:
            """Doc of C."""
            def h(self): return 1
            def i(self):
                return 2
        '''
    )
    prose, code = text.prose_and_code(source)
    assert prose == ("Module.", "Doc of f.", "Doc of g.", "Doc of C.")
    assert code[0].startswith("    b = a + 1") and code[0].rstrip().endswith("return g")
    assert code[-1] == "        return 2\n"
    assert not any("Doc of f" in body for body in code)


def test_every_docstring_of_a_real_file_is_found():
    source = next(d.text for d in text.files("train") if d.path == "textwrap.py" or d.path.endswith("/textwrap.py"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    expected = sorted(
        ast.get_docstring(n) for n in ast.walk(ast.parse(source)) if isinstance(n, documented) and ast.get_docstring(n)
    )
    assert sorted(text.prose_and_code(source)[0]) == expected


def test_passages_come_from_their_documents():
    documents = text.files("held_out")[:6]
    found = text.passages(documents, per_document=3, length=33, seed=1)
    again = text.passages(documents, per_document=3, length=33, seed=1)
    assert torch.equal(found.tokens, again.tokens) and torch.equal(found.document, again.document)
    assert not torch.equal(found.tokens, text.passages(documents, per_document=3, length=33, seed=2).tokens)
    for row, origin in zip(found.tokens, found.document, strict=True):
        ids = text.encode(documents[origin].text).unfold(0, 33, 1)
        assert (ids == row).all(-1).any()


def test_rows_are_as_many_as_asked_for():
    assert text.rows(text.files("held_out"), n_rows=50, length=65).shape == (50, 65)


def test_documents_too_short_are_refused():
    with pytest.raises(ValueError, match="none of the 1 documents has 65 tokens"):
        text.passages([text.SourceFile("a.py", "x = 1")], per_document=2, length=65)
