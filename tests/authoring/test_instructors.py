"""The table of chapters for instructors is what chapters and exercises say."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from mechlib.authoring import instructors, ledger, overview

CHAPTER, SOLUTION = "book/part1/02_lens.ipynb", "solutions/02_lens.ipynb"
TIMES = "Reading takes about an hour and a half,\nthe exercises another two hours; the code runs in a minute."


@pytest.fixture
def folder(checkout_folder):
    """A checkout whose chapter says what the table needs, and whose exercises check two questions."""
    (checkout_folder / instructors.PAGE).write_text(
        "# Page\n\n<!-- begin chapters: generated -->\nold\n<!-- end chapters -->\n\nEnd.\n"
    )
    chapter = nbformat.read(checkout_folder / CHAPTER, as_version=4)
    chapter.cells[0].source = f"# A lens\n\n{TIMES}"
    chapter.metadata["mechlib"] = {overview.BUILDS_ON: "01"}
    nbformat.write(chapter, checkout_folder / CHAPTER)
    solution = nbformat.read(checkout_folder / SOLUTION, as_version=4)
    solution.cells += [new_code_cell(f'check("ch02.{name}", double)') for name in ("target_rank", "refute")]
    nbformat.write(solution, checkout_folder / SOLUTION)
    return checkout_folder


def test_a_chapter_with_exercises_has_a_row_and_the_page_is_then_up_to_date(folder):
    assert len(instructors.stale(folder)) == 1
    assert instructors.write(folder) == [folder / instructors.PAGE]
    text = (folder / instructors.PAGE).read_text()
    assert "| 02 A lens | 01 | an hour and a half | two hours | 2 | 4 | none yet |\n<!-- end" in text
    assert text.startswith("# Page\n") and text.endswith("\n\nEnd.\n") and "old" not in text
    assert instructors.write(folder) == instructors.stale(folder) == []


def test_the_verdicts_are_those_of_the_ledger(folder):
    row = "| **{}** (chapter) “It \\| holds.” | It holds. | {} | gap: +1 [+0, +2] nats | Nothing. |\n"
    rows = [
        ("02a", "✓ supported"),
        ("02b", "↔ depends on probe"),
        ("02b on another", "✗ refuted"),
        ("09a", "✗ refuted"),
    ]
    (folder / ledger.PAGE).write_text("| said |\n|---|\n" + "".join(row.format(*cells) for cells in rows))
    assert instructors.table(folder).endswith("| 4 | 02a ✓ supported<br>02b ↔ depends on probe |")


def test_a_chapter_without_exercises_has_none(folder):
    (folder / SOLUTION).unlink()
    assert instructors.table(folder).splitlines() == instructors.HEAD


@pytest.mark.parametrize(("lost", "said"), [("Reading takes", "Reading takes about"), ("builds_on", "builds on")])
def test_a_chapter_that_does_not_say_what_the_table_needs_is_named(folder, lost, said):
    path = folder / CHAPTER
    path.write_text(path.read_text().replace(lost, "x"))
    with pytest.raises(ValueError, match=rf"^book/part1/02_lens\.ipynb: .*{said}"):
        instructors.stale(folder)


def test_a_page_without_a_place_for_the_table_is_named(folder):
    (folder / instructors.PAGE).write_text("# Page\n")
    with pytest.raises(ValueError, match=r"book/for-instructors\.md: .* is there 0 times"):
        instructors.write(folder)
