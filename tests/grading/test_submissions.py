"""Who handed in what: names of platforms, attempts, zips with tricks in them."""

import os
import stat
import zipfile

import pytest

from mechlib.grading import submissions
from mechlib.grading.submissions import collect


def zipped(path, members):
    """A zip of names and contents; a name may be a ``ZipInfo``."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def filled(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


CANVAS = ("doejane_4711_99_lens.ipynb", "roejohn_LATE_4712_98_02_logit_lens.ipynb")
MOODLE = ("Jane Doe_4711_assignsubmission_file_/lens.ipynb", "John Roe_4712_assignsubmission_file_lens.ipynb")
GRADESCOPE = (
    "export/submission_4711/lens.ipynb",
    "export/submission_4712/a/lens.ipynb",
    "export/submission_metadata.yml",
)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (CANVAS, [("doejane", "4711"), ("roejohn", "4712")]),
        (MOODLE, [("Jane Doe", "4711"), ("John Roe", "4712")]),
        (GRADESCOPE, [("submission_4711", "4711"), ("submission_4712", "4712")]),
        (("doe_4711_99_a\nb.ipynb", "d\no (2).ipynb"), [("d\no", ""), ("doe", "4711")]),
        (("all/doejane_1_99_a.ipynb", "all/roejohn_2_98_a.ipynb"), [("doejane", "1"), ("roejohn", "2")]),
        (("Jane Doe_4711_assignsubmission_file_/lens.ipynb",), [("Jane Doe", "4711")]),
        (("anna.ipynb", "ben (2).ipynb"), [("anna", ""), ("ben", "")]),
        (("anna/02.ipynb", "ben/deep/02.ipynb"), [("anna", ""), ("ben", "")]),
        (("doe_1_9_a.ipynb", "doe_2_8_a.ipynb"), [("doe (1)", "1"), ("doe (2)", "2")]),
    ],
)
def test_names_are_read_alike_in_a_folder_and_in_a_zip(names, found, tmp_path):
    folder = filled(tmp_path / "class", *names)
    archive = zipped(tmp_path / "class.zip", [(name, name) for name in names])
    for path in (folder, archive):
        handed_in = collect(path)
        assert [(s.student, s.number) for s in handed_in] == found
        assert all(s.notebook_bytes == s.source.encode() and not s.superseded for s in handed_in)


def test_nobody_hands_in_for_somebody_else(tmp_path):
    """Names of files below the folder that the platform or the teacher named are the student's own."""
    names = ("anna/ben_4712_98_lens.ipynb", "anna/submission_9/x.ipynb", "ben/lens.ipynb")
    folder = filled(tmp_path / "class", *names)
    archive = zipped(tmp_path / "class.zip", [(name, name) for name in names])
    for path in (folder, archive):
        assert {s.source: s.student for s in collect(path)} == dict(zip(names, ("anna", "anna", "ben"), strict=True))


@pytest.mark.parametrize("name", [f"anna ({'9' * 5000}).ipynb", f"a_1_1_x-{'9' * 5000}.ipynb", ".", "/", "a//"])
def test_a_name_that_is_hardly_one_stops_nothing(name, tmp_path):
    archive = zipped(tmp_path / "class.zip", [(name, "{}"), ("ben.ipynb", "{}")])
    assert "ben" in [s.student for s in collect(archive) if not s.error]


def test_what_a_mac_adds_to_a_zip_is_no_folder_of_the_class(tmp_path):
    names = ["class/anna.ipynb", "class/ben.ipynb", "__MACOSX/class/._anna.ipynb"]
    assert [s.student for s in collect(zipped(tmp_path / "class.zip", [(n, "x") for n in names]))] == ["anna", "ben"]


def test_a_folder_around_everything_in_a_zip_names_nobody(tmp_path):
    archive = zipped(tmp_path / "class.zip", [(f"class/{name}.ipynb", "x") for name in ("anna", "ben")])
    assert [s.student for s in collect(archive)] == ["anna", "ben"]


def test_of_several_attempts_the_last_counts(tmp_path):
    folder = filled(tmp_path, "doe_1_8_a-2.ipynb", "doe_1_7_a.ipynb", "doe_1_9_a-10.ipynb", "roe_2_6_a.ipynb")
    assert [(s.source, s.superseded) for s in collect(folder)] == [
        ("doe_1_7_a.ipynb", True),
        ("doe_1_8_a-2.ipynb", True),
        ("doe_1_9_a-10.ipynb", False),
        ("roe_2_6_a.ipynb", False),
    ]


def test_without_numbers_the_newer_file_counts(tmp_path):
    folder = filled(tmp_path, "anna/a.ipynb", "anna/b.ipynb")
    os.utime(folder / "anna/a.ipynb", (2e9, 2e9))
    assert {s.source: s.superseded for s in collect(folder)} == {"anna/a.ipynb": False, "anna/b.ipynb": True}


def test_what_lies_beside_a_notebook_is_left_out_and_alone_it_is_an_error(tmp_path):
    folder = filled(tmp_path, "anna/a.ipynb", "anna/data.csv", "ben/essay.pdf", "__MACOSX/anna/._a.ipynb", ".DS_Store")
    anna, ben = collect(folder)
    assert (anna.source, anna.error) == ("anna/a.ipynb", None)
    assert ben.source == "ben/essay.pdf"
    with pytest.raises(ValueError, match=r"not a notebook: its name does not end in \.ipynb"):
        _ = ben.notebook_bytes


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("../anna.ipynb", "leads out of the folder"),
        ("/etc/anna.ipynb", "leads out of the folder"),
        ("ben/../../anna.ipynb", "leads out of the folder"),
        ("C:/anna.ipynb", "leads out of the folder"),
        (entry("anna.ipynb", stat.S_IFLNK | 0o777), "a link or no ordinary file"),
        (entry("anna.ipynb", stat.S_IFIFO | 0o666), "a link or no ordinary file"),
    ],
    ids=str,
)
def test_tricks_in_a_zip_are_errors_of_that_file_only(name, complaint, tmp_path):
    handed_in = collect(zipped(tmp_path / "class.zip", [(name, "/etc/passwd"), ("good.ipynb", "{}")]))
    (bad,) = (s for s in handed_in if s.error)
    assert complaint in bad.error
    assert [s.notebook_bytes for s in handed_in if not s.error] == [b"{}"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_one_name_twice_in_a_zip_is_an_error(tmp_path):
    handed_in = collect(zipped(tmp_path / "class.zip", [("a.ipynb", "1"), ("a.ipynb", "2"), ("b.ipynb", "3")]))
    assert [s.error for s in handed_in] == [*["the zip holds 2 files of this name"] * 2, None]


def test_links_and_pipes_in_a_folder_are_not_opened(tmp_path):
    folder = filled(tmp_path / "class", "anna.ipynb")
    (folder / "ben.ipynb").symlink_to(folder / "anna.ipynb")
    (folder / "cleo").symlink_to(tmp_path)
    os.mkfifo(folder / "dan.ipynb")
    errors = {s.student: s.error for s in collect(folder)}
    assert errors["anna"] is None and "ordinary" in errors["dan"]
    assert "a link" in errors["ben"] and errors["cleo"]


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 2**20)
    archive = zipped(tmp_path / "class.zip", [])
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.ipynb", bytes(2**24))
    (bomb,) = collect(archive)
    with pytest.raises(ValueError, match="larger than 1 MB"):
        _ = bomb.notebook_bytes


def test_a_locked_member_is_an_error_of_that_file(tmp_path):
    archive = zipped(tmp_path / "class.zip", [("a.ipynb", "x" * 500), ("b.ipynb", "{}")])
    content = bytearray(archive.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + place] |= 1
    archive.write_bytes(content)
    a, b = collect(archive)
    assert b.notebook_bytes == b"{}"
    with pytest.raises(ValueError, match=r"cannot be read: .*encrypted"):
        _ = a.notebook_bytes


def test_a_damaged_member_is_an_error_of_that_file(tmp_path):
    archive = zipped(tmp_path / "class.zip", [("a.ipynb", "x" * 500)])
    archive.write_bytes(archive.read_bytes().replace(b"x" * 500, b"y" * 500))
    with pytest.raises(ValueError, match="cannot be read"):
        _ = collect(archive)[0].notebook_bytes


METADATA = """\
---
submission_4711:
  :submitters:
  - :name: Jane Doe
    :sid: '90210'
    :email: jane@example.org
  :created_at: 2026-11-01 12:00:00 Z
submission_4712:
  :submitters:
  - :name: "John Roe"
    :sid:
  - :name: Ann Other
    :sid: 7
  :score: 3.0
"""


def test_gradescope_says_who_handed_in_which_folder(tmp_path):
    folder = filled(tmp_path / "class", *GRADESCOPE)
    (folder / GRADESCOPE[-1]).write_text(METADATA)
    forged = folder / GRADESCOPE[0].replace("lens.ipynb", "submission_metadata.yml")
    forged.write_text(METADATA.replace("Jane Doe", "The Teacher"))
    archive = zipped(tmp_path / "class.zip", [(n, METADATA if n.endswith("yml") else n) for n in GRADESCOPE])
    for path in (folder, archive):
        assert [(s.student, s.number) for s in collect(path)] == [("Jane Doe", "90210"), ("John Roe, Ann Other", "")]
