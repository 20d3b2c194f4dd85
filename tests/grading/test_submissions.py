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


@pytest.mark.parametrize(
    "name",
    [
        f"anna ({'9' * 5000}).ipynb",
        f"a_1_1_x-{'9' * 5000}.ipynb",
        f"a_{'9' * 5000}_1_x.ipynb",
        f"a_1_{'9' * 5000}_x.ipynb",
        f"anon_1_{'9' * 5000}_x.ipynb",
        f"1-1 - a - Feb 30, 2026 {'9' * 5000} AM/x.ipynb",
        "1-1 - a - Feb 30, 2026 1105 AM/x.ipynb",
        ".",
        "/",
        "a//",
    ],
)
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
    folder = filled(tmp_path, "anna/a.ipynb", "anna/b.ipynb", "ben/a.ipynb")
    os.utime(folder / "anna/a.ipynb", (2e9, 2e9))
    assert [s.source for s in collect(folder) if not s.superseded] == ["anna/a.ipynb", "ben/a.ipynb"]


def both(tmp_path, *names):
    """The same tree as a folder and as a zip."""
    folder = filled(tmp_path / "class", *names)
    return folder, zipped(tmp_path / "class.zip", [(name, name) for name in names])


def whose(path, known=()):
    return {s.source: (s.student, s.platform, s.number) for s in collect(path, known)}


@pytest.mark.parametrize(
    "names",
    [
        ("hw_02_1_alice.ipynb", "hw_02_1_bob.ipynb"),
        ("hw_2_1_alice.ipynb", "hw_2_1_bob.ipynb", "hw_2_2_cleo.ipynb"),
        ("hw_2_1_alice.ipynb", "hw_2_2_bob.ipynb"),
        ("lens_2026_11_alice.ipynb", "lens_2026_12_bob.ipynb"),
        ("week_3_12_bob.ipynb", "anna.ipynb"),
        ("lens_7_20261103_alice.ipynb", "lens_7_20261104_bob.ipynb"),
        ("hw_02_17_alice.ipynb",),
        ("hw_2_1_alice/x.ipynb", "hw_2_2_bob/x.ipynb"),
        ("lens-2024.ipynb", "lens-2025.ipynb", "anna (2024).ipynb", "anna (2025).ipynb"),
    ],
)
def test_a_name_of_one_s_own_is_its_owner_s_though_it_looks_like_canvas_s(names, tmp_path):
    for path in both(tmp_path, *names):
        found = collect(path)
        own = {name: name.partition("/")[0].removesuffix(".ipynb") for name in names}
        assert {s.source: s.student for s in found} == own
        assert not any(s.superseded or s.tied or s.platform or s.number for s in found)


def test_what_the_roster_knows_literally_is_that_student_s(tmp_path):
    names = ("doejane_4711_12399_a.ipynb", "roejohn_4712_12398_a.ipynb")
    for path in both(tmp_path, *names):
        assert whose(path) == {names[0]: ("doejane", "canvas", "4711"), names[1]: ("roejohn", "canvas", "4712")}
        assert whose(path, ["Doejane_4711_12399_A"])[names[0]] == ("doejane_4711_12399_a", "", "")
    names = ("submission_7/a.ipynb", "Jane Doe_5_assignsubmission_file_/a.ipynb")
    for path in both(tmp_path / "more", *names):
        assert [student for student, *_ in whose(path).values()] == ["Jane Doe", "submission_7"]
        assert whose(path, ["submission_7"])[names[0]] == ("submission_7", "", "")


def test_long_numbers_are_canvas_s_though_the_files_go_on_differently(tmp_path):
    """Several notebooks of one submission; Canvas numbers its uploads in order."""
    names = ("doejane_4711_12399_lens.ipynb", "doejane_4711_12405_lens-2024.ipynb", "doejane_4711_12402_a.ipynb")
    for path in both(tmp_path, *names):
        assert set(whose(path).values()) == {("doejane", "canvas", "4711")}
        assert [s.source for s in collect(path) if not s.superseded] == [names[1]]


def test_a_year_in_a_name_is_no_attempt(tmp_path):
    names = ("doe_1_8_lens-2024.ipynb", "doe_1_9_lens-2024-1.ipynb")
    for path in both(tmp_path, *names):
        assert [(s.source, s.superseded) for s in collect(path)] == [(names[0], True), (names[1], False)]


def test_where_canvas_s_two_orders_disagree_nothing_counts(tmp_path):
    names = ("doe_1_8_a-1.ipynb", "doe_1_9_a.ipynb")
    for path in both(tmp_path, *names):
        assert [(s.superseded, s.tied) for s in collect(path)] == [(False, True)] * 2


def test_late_is_what_canvas_calls_late(tmp_path):
    for path in both(tmp_path, *CANVAS):
        assert [s.late for s in collect(path)] == [False, True]


def test_a_text_in_place_of_a_file_is_canvas_s_too(tmp_path):
    for path in both(tmp_path, "doejane_4711_text.html", "roejohn_LATE_4712_link.html", "poe_4713_99_a.ipynb"):
        found = collect(path)
        assert [(s.student, s.number, s.late) for s in found] == [
            ("doejane", "4711", False),
            ("poe", "4713", False),
            ("roejohn", "4712", True),
        ]
        assert [bool(s.error) for s in found] == [True, False, True]


def test_the_anonymous_are_kept_apart_and_have_no_number_of_a_student(tmp_path):
    """Canvas's random signs may be all digits: they are nobody's number."""
    names = ("anon_7Vj2q_12399_a.ipynb", "anon_12345_12398_a.ipynb", "LATE_anon_xyz12_12397_a.ipynb")
    for path in both(tmp_path, *names):
        assert [owner[:2] for owner in whose(path).values()] == [
            ("anon 12345", "unnamed"),
            ("anon 7Vj2q", "unnamed"),
            ("anon xyz12", "unnamed"),
        ]
        assert [s.late for s in collect(path)] == [False, False, True]
    names = tuple(f"Participant_{number}_assignsubmission_file_/lens.ipynb" for number in (12, 13))
    for path in both(tmp_path / "moodle", *names):
        assert list(whose(path).values()) == [("Participant 12", "moodle", "12"), ("Participant 13", "moodle", "13")]


BRIGHTSPACE = (
    "12345-678910 - Jane Doe - Nov 3, 2026 1105 AM/lens.ipynb",
    "12345-678910 - Jane Doe - Nov 3, 2026 1205 AM/lens.ipynb",
    "12346-678910 - Mary-Ann Roe- Dec 3, 2026 105 PM/lens.ipynb",
    "12347-678910 - Jane Doe - Nov 3, 2026 1105 AM - lens.ipynb",
    "12348-678910 - Zoë Poe - 3 nov. 2026 1105/lens.ipynb",
    "index.html",
)


def test_brightspace_s_folders_name_student_number_and_time(tmp_path):
    for path in both(tmp_path, *BRIGHTSPACE):
        assert [(s.source, s.student, s.number, s.superseded) for s in collect(path)] == [
            (BRIGHTSPACE[1], "Jane Doe (12345)", "12345", True),
            (BRIGHTSPACE[0], "Jane Doe (12345)", "12345", False),
            (BRIGHTSPACE[3], "Jane Doe (12347)", "12347", False),
            (BRIGHTSPACE[2], "Mary-Ann Roe", "12346", False),
            (BRIGHTSPACE[4], "Zoë Poe", "12348", False),
        ]
        assert {s.platform for s in collect(path)} == {"brightspace"}


@pytest.mark.parametrize("depth", ["", "class/", "zip/class/"])
@pytest.mark.parametrize(
    ("names", "students"),
    [
        (("alice.ipynb", "bob.ipynb"), ["alice", "bob"]),
        (("alice/x.ipynb", "bob/x.ipynb", "bob/data.csv"), ["alice", "bob"]),
        (CANVAS, ["doejane", "roejohn"]),
        (MOODLE, ["Jane Doe", "John Roe"]),
        (MOODLE[:1], ["Jane Doe"]),
        (("submission_4711/lens.ipynb", "submission_4712/a/lens.ipynb"), ["submission_4711", "submission_4712"]),
        (BRIGHTSPACE[2:4], ["Jane Doe", "Mary-Ann Roe"]),
    ],
)
def test_a_folder_and_a_zip_of_one_tree_give_the_same_students(names, students, depth, tmp_path):
    for path in both(tmp_path, *(depth + name for name in names), "readme.txt"):
        assert [s.student for s in collect(path) if s.source != "readme.txt"] == students
        assert not any(s.superseded or s.tied for s in collect(path))


def test_the_notebooks_of_one_student_are_named_by_the_folder(tmp_path):
    names = ("anna/02_logit_lens.ipynb", "anna/02_logit_lens_submission.ipynb")
    for path in both(tmp_path, *names):
        assert {s.student for s in collect(path)} == {"anna"}


def test_the_exercises_own_name_is_no_student_s(tmp_path):
    """A browser numbers the files of several students as it numbers several of one."""
    names = ("02_logit_lens_submission.ipynb", "02_logit_lens_submission (1).ipynb", "anna.ipynb", "anna (1).ipynb")
    for path in both(tmp_path, *names):
        assert {s.source: s.superseded for s in collect(path)} == dict(
            zip(names, (False, False, True, False), strict=True)
        )


def test_sections_are_folders_that_the_roster_does_not_know(tmp_path):
    names = ("monday/ada.ipynb", "monday/bob.ipynb", "friday/eve/02_logit_lens.ipynb")
    for path in both(tmp_path, *names):
        assert [s.student for s in collect(path, ["ada", "bob", "eve"])] == ["ada", "bob", "eve"]
    names = ("ada/bob.ipynb", "new one/eve.ipynb")
    for path in both(tmp_path / "own", *names):
        assert [s.student for s in collect(path, ["ada", "bob", "eve"])] == ["ada", "new one"]


def test_composed_and_decomposed_accents_are_one_name(tmp_path):
    composed = "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"
    names = (f"{composed}/a.ipynb", "Zoe\N{COMBINING DIAERESIS}/b.ipynb", "ben/a.ipynb")
    for path in both(tmp_path, *names):
        assert [s.student for s in collect(path)] == [composed, composed, "ben"]


def test_two_files_of_one_time_are_tied_whatever_they_are_called(tmp_path):
    folder = filled(tmp_path / "class", "anna/a.ipynb", "anna/b.ipynb", "anna/c.ipynb", "ben/a.ipynb")
    for name, when in {"anna/a.ipynb": 1e9, "anna/b.ipynb": 2e9, "anna/c.ipynb": 2e9}.items():
        os.utime(folder / name, (when, when))
    found = {s.source: (s.superseded, s.tied) for s in collect(folder)}
    assert found == {
        "anna/a.ipynb": (True, False),
        "anna/b.ipynb": (False, True),
        "anna/c.ipynb": (False, True),
        "ben/a.ipynb": (False, False),
    }


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
        assert {s.platform for s in collect(path)} == {"gradescope"}


def test_two_folders_of_one_name_without_a_number_are_two_students(tmp_path):
    names = (*GRADESCOPE[:2], "export/submission_4713/lens.ipynb", GRADESCOPE[2])
    text = "".join(f"submission_{n}:\n  :submitters:\n  - :name: 'Pat O''Neill'\n    :sid:\n" for n in (4711, 4712))
    folder, archive = filled(tmp_path / "class", *names), zipped(tmp_path / "class.zip", [(n, text) for n in names])
    (folder / names[-1]).write_text(text)
    for path in (folder, archive):
        assert [(s.student, s.number) for s in collect(path)] == [
            ("Pat O'Neill (submission_4711)", ""),
            ("Pat O'Neill (submission_4712)", ""),
            ("submission_4713", "4713"),
        ]
