"""Data of other students: planted copies are named, and nobody is who only had bad luck."""

import json

import numpy as np
import pytest
from scipy.stats import binom

from mechlib import cli
from mechlib.authoring import checkout
from mechlib.course import drawn, honesty, personal, release, roster
from mechlib.course.copied import LEVEL, Numbers, by_seed
from mechlib.course.drawn import Number, numbers
from mechlib.grading.assignment import read_secret

STUDENTS = 40


def a_class(generator, students=STUDENTS) -> np.ndarray:
    """Quantities of every student, [student, quantity]: the last two go with the first."""
    values = generator.normal([0.5, 2, 0.03, 10, 1, 0.8, 0, 0], [0.1, 0.5, 0.01, 2, 0.3, 0.1, 0, 0], (students, 8))
    values[:, 6:] = values[:, :1] * [2, -1] + 0.3 + 0.001 * generator.standard_normal((students, 2))
    return values


def as_numbers(values, digits=3):
    return [Number(round(float(v), digits), digits, f"{v:.{digits}f}") for v in values]


def known(values, digits=3) -> Numbers:
    return Numbers({f"s{i:02}": as_numbers(row, digits) for i, row in enumerate(values)})


def test_numbers_of_another_student_are_named_with_whose():
    found = known(a_class(np.random.default_rng(0)))
    given = found.expected["s07"][:5]
    other, which, chance = found.against("s01", given, STUDENTS)
    assert (other, len(which)) == ("s07", 5) and chance < 1e-3


def test_own_numbers_and_those_of_the_same_rounding_are_nobody_else_s():
    found = known(a_class(np.random.default_rng(0)))
    own = [Number(round(n.value, 2), 2, f"{n.value:.2f}") for n in found.expected["s01"]]
    assert found.against("s01", [*found.expected["s01"], *own], STUDENTS)[2] == 1.0


def test_one_number_is_no_evidence_and_neither_are_many_that_follow_from_one():
    """The first quantity and the last two are one: a coincidence in it is a coincidence in all."""
    found = known(a_class(np.random.default_rng(0)))
    theirs = found.expected["s07"]
    assert found.against("s01", theirs[:1], STUDENTS)[2] > LEVEL
    assert found.against("s01", [theirs[0], theirs[6], theirs[7]], STUDENTS)[2] > LEVEL


def test_a_stranger_to_the_roster_is_compared_with_everybody():
    found = known(a_class(np.random.default_rng(0)))
    assert found.against("", found.expected["s07"][:5], STUDENTS)[0] == "s07"


@pytest.mark.parametrize("students", [1, 2])
def test_a_tiny_class_names_nobody_without_evidence(students):
    found = known(a_class(np.random.default_rng(0), students))
    assert found.against("s00", as_numbers([0.1, 0.2, 0.3]), students)[2] == 1.0


def test_quantities_that_are_the_same_for_all_tell_nothing():
    values = np.column_stack([np.full(STUDENTS, 0.123), a_class(np.random.default_rng(0))])
    found = known(values)
    assert found.against("s01", [Number(0.123, 3, "0.123")], STUDENTS) == ("", (), 1.0)


def test_who_has_numbers_like_the_class_s_by_chance_is_not_named():
    """All of twenty classes quote six numbers that are nobody's, drawn like the class's own, and two of their own."""
    generator, classes, accused = np.random.default_rng(4), 20, 0
    for _ in range(classes):
        values = a_class(generator)
        found, wild = known(values), a_class(generator)
        named = [
            found.against(f"s{i:02}", [*as_numbers(wild[i, :6]), *found.expected[f"s{i:02}"][:2]], STUDENTS)[2] <= LEVEL
            for i in range(STUDENTS)
        ]
        accused += any(named)
    assert accused <= binom.ppf(1 - 1e-4, classes, LEVEL)


@pytest.mark.parametrize("wrong", [0.0, 0.004, 0.02])
def test_who_made_a_mistake_with_their_own_data_is_not_named(wrong):
    """All their numbers are off by the same: a coincidence in one would be one in those that go with it."""
    generator, accused = np.random.default_rng(5), 0
    for _ in range(10):
        values = a_class(generator)
        found = known(values)
        accused += any(
            found.against(f"s{i:02}", as_numbers(values[i] + wrong), STUDENTS)[2] <= LEVEL for i in range(STUDENTS)
        )
    assert accused <= binom.ppf(1 - 1e-4, 10, LEVEL)


def test_copies_of_five_numbers_among_noise_are_nearly_always_found():
    generator, found_ = np.random.default_rng(6), 0
    for _ in range(200):
        values = a_class(generator)
        given = [*as_numbers(values[9, :5]), *as_numbers(generator.random(2), 2)]
        other, _, chance = known(values).against("s03", given, STUDENTS)
        found_ += other == "s09" and chance <= LEVEL
    assert found_ >= 190


def test_an_exercise_without_numbers_tells_nothing():
    assert Numbers({"ada": [], "bob": []}).against("ada", as_numbers([0.123]), 2) == ("", (), 1.0)


def test_numbers_are_read_as_people_write_them():
    text = "0.871, 1,25 and \u22120.50; 12.3 %, 3.5, v1.2.3, 2.x, 10, 0.1234."
    assert [(n.value, n.digits) for n in numbers(text)] == [
        (0.871, 3),
        (1.25, 2),
        (-0.5, 2),
        (pytest.approx(0.123), 3),
        (0.1234, 4),
    ]


def test_a_seed_in_a_cell_is_its_owner_s():
    seeds = {"ada": [1234567890], "bob": [987654321]}
    assert by_seed(["torch.manual_seed(987654321)"], seeds, "ada") == {"bob": ("987654321",)}
    assert by_seed(["manual_seed(1234567890)  # 98765432"], seeds, "ada") == {}


DRAWN = 'data = torch.randn(5, generator=torch.Generator().manual_seed(0))\nprint(f"{data.mean():.4f}")'
CELLS = (
    ("a", "import torch\n%matplotlib inline\nfrom mechlib.checks import check, solved\nk = 2.0", ()),
    ("b", "def double(x):\n    return k * x", ()),
    (
        "c",
        'data = torch.randn(5, generator=torch.Generator().manual_seed(0))\nprint(f"{data.mean():.4f}")',
        ("per-student",),
    ),
    ("d", "def later(x):\n    return double(x) + 1", ()),
    ("e", 'check("ch02.read_out", later)\nprint("constant 0.1234")', ()),
    ("f", 'k = 3.0\nif solved("ch02.read_out"):\n    print(f"{later(data).max():.4f} {data.std():.3f}")', ()),
    ("g", "k = 5.0", ()),
)


def solution(cells=CELLS):
    made = [
        {"cell_type": "code", "id": name, "source": text, "metadata": {"tags": list(tags)}, "outputs": []}
        for name, text, tags in cells
    ]
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def test_expected_numbers_are_what_the_cells_print_with_the_student_s_seed():
    import torch

    secret = b"of the tests, and of nothing else"
    found = drawn.expected(solution(), secret, ["ada", "bob"], "02.ipynb")
    for student, given in found.items():
        own = torch.Generator().manual_seed(personal.seed(secret, student, "02.ipynb", 0))
        data = torch.randn(5, generator=own)
        # functions see the names of the end of the notebook, values those of their place
        assert given[0].value == pytest.approx(float(data.mean()), abs=5.1e-5)
        assert given[2].value == pytest.approx(float(data.std()), abs=5.1e-4)
        assert len(given) == 3
    assert found["ada"] != found["bob"]


def test_a_solution_that_fails_is_an_error_that_says_which():
    broken = solution((CELLS[0], ("c", "x = torch.zeros(1, generator=0, seed=1)", ("per-student",))))
    with pytest.raises(ValueError, match=r"02\.ipynb cannot be run with the students' data: TypeError"):
        drawn.expected(broken, b"k" * 32, ["ada"], "02.ipynb")
    assert drawn.expected(solution(CELLS[:2]), b"k" * 32, ["ada"], "02.ipynb") == {"ada": []}


@pytest.fixture
def course(tmp_path):
    """A course on one small exercise, and the folder of what 30 students hand in: their own notebooks."""
    solutions = tmp_path / "solutions"
    solutions.mkdir()
    many = 'print(" ".join(f"{k * float(x):.4f}" for k in (1, 3, 7) for x in data))'
    cells = (*CELLS[:2], ("c", CELLS[2][1] + "\n" + many, ("per-student",)), *CELLS[3:])
    (solutions / "02_small.ipynb").write_text(checkout.dump_notebook(solution(cells)))
    names = tmp_path / "roster.csv"
    names.write_text("id\n" + "\n".join(f"s{i:02}" for i in range(30)) + "\n")
    release.Course("cs999", solutions, tmp_path / "cs999", names).write()
    return tmp_path / "cs999"


def hand_in(course, folder, student, whose, text):
    folder.mkdir(exist_ok=True)
    notebook = json.loads((course / "students" / whose / "02_small.ipynb").read_text())
    written = f"<!-- written: refutation -->\n\n{text}"
    notebook["cells"].append({"cell_type": "markdown", "id": "w", "source": written, "metadata": {}})
    (folder / f"{student}.ipynb").write_text(json.dumps(notebook))


def test_a_class_with_two_copies(course, tmp_path, monkeypatch, capsys):
    """One works on another's notebook, one puts another's numbers into a text; the rest quotes their own."""
    ids = [student.id for student in roster.read(course / "instructor" / "roster.csv")]
    secret = read_secret(course / "instructor" / "secret")
    known_ = drawn.drawn(course / "instructor" / "solutions", "02_small.ipynb", secret, ids)
    for student in ids:
        whose = "s05" if student == "s04" else student
        quoted = known_["s08" if student == "s07" else student]
        hand_in(course, tmp_path / "handed", student, whose, "It is " + ", ".join(n.text for n in quoted) + ".")
    monkeypatch.setattr("sys.argv", ["mechlib", "copied", str(course), "handed", "--chapter", "ch02"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code and "copied.html" in capsys.readouterr().out
    found, looked_at = honesty.findings(course, tmp_path / "handed")
    assert looked_at == 30
    assert [(each.student, each.other, each.evidence) for each in found] == [
        ("s04", "s05", "seed"),
        ("s07", "s08", "numbers"),
    ]
    page = (tmp_path / "copied.html").read_text()
    assert "Data of others: 2 of 30 submissions" in page and "at most" in page
    kept = course / "instructor" / "numbers" / "ch02.csv"
    assert kept.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(drawn, "expected", None)
    assert honesty.findings(course, tmp_path / "handed")[0] == found, "the numbers are kept"


def test_a_course_without_data_of_their_own_is_refused(tmp_path):
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "02_small.ipynb").write_text(checkout.dump_notebook(solution()))
    release.Course("cs999", tmp_path / "solutions", tmp_path / "cs999").write()
    with pytest.raises(ValueError, match="released without --per-student"):
        honesty.findings(tmp_path / "cs999", tmp_path)
