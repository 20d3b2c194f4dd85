"""Every student's data are their own; what a solution asserts of the data holds for all of them."""

import subprocess
import sys

import pytest

from mechlib.authoring import checkout
from mechlib.course import personal

SECRET = b"0123456789abcdef" * 4
SOLUTIONS = list(checkout.notebooks(checkout.root(), "solutions"))


def notebook(*sources, tags=("per-student",)):
    cells = [{"cell_type": "code", "id": str(i), "metadata": {}, "source": s} for i, s in enumerate(sources)]
    cells[0]["metadata"]["tags"] = list(tags)
    return {"cells": cells}


def test_only_the_seeds_of_tagged_cells_change():
    given = notebook("g = torch.Generator().manual_seed(0); rows(n=3, seed=12)", "manual_seed(0)")
    own = personal.personal(given, SECRET, "ada", "02.ipynb")
    seeds = [personal.seed(SECRET, "ada", "02.ipynb", number) for number in (0, 12)]
    first, second = (cell["source"] for cell in own["cells"])
    assert first == f"g = torch.Generator().manual_seed({seeds[0]}); rows(n=3, seed={seeds[1]})"
    assert second == "manual_seed(0)"
    assert given["cells"][0]["source"].endswith("seed=12)")


def test_seeds_differ_by_secret_student_exercise_and_number_and_fit_31_bits():
    arguments = [(s, who, what, n) for s in (SECRET, b"x" * 64) for who in "ab" for what in "cd" for n in (0, 1)]
    seeds = [personal.seed(*each) for each in arguments]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [personal.seed(*each) for each in arguments]
    assert personal.seed(SECRET, "a\0b", "c") != personal.seed(SECRET, "a", "b\0c", 1)


def test_a_tagged_cell_without_a_seed_is_named():
    with pytest.raises(ValueError, match=r"02\.ipynb, cell 0: tagged 'per-student' without"):
        personal.personal(notebook("x = 1"), SECRET, "ada", "02.ipynb")


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_every_solution_has_data_for_each_student(path):
    tagged = [c for c in checkout.read_notebook(path)["cells"] if "per-student" in c["metadata"].get("tags", ())]
    assert tagged


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_solution_s_own_assertions_hold_on_a_student_s_data(path, tmp_path):
    own = personal.personal(checkout.read_notebook(path), SECRET, "ada", path.name)
    code = [c["source"] for c in own["cells"] if c["cell_type"] == "code" and c["id"] != "bootstrap"]
    script = tmp_path / "solution.py"
    script.write_text("\n\n".join(code))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "✗" not in done.stdout and done.stdout.count("✓") == len(set(_checked(code)))


def _checked(code):
    return [line for cell in code for line in cell.splitlines() if line.startswith("check(")]
