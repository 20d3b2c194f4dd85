"""The repository's address and version stand once; everywhere else they are written from there."""

import re
import shutil
import sys
from types import ModuleType

import nbformat
import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell

from mechlib.authoring import address, checkout, exercises

OURS = "https://example.org/somebody/something"


def test_the_repository_shows_its_address_everywhere():
    assert address.stale() == []


def test_a_new_address_leaves_no_trace_of_the_old_one(tmp_path):
    folder, old = checkout.root(), address.repository(checkout.root())
    shown = [folder / name for name in ("pyproject.toml", "_config.yml", "CITATION.cff", "README.md")]
    others = [*(folder / "mechlib").rglob("*.py"), *(folder / "book").rglob("*.md")]
    for path in [*shown, *others, *checkout.notebooks(folder)]:
        target = tmp_path / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace(old, OURS))
    address.write(tmp_path)
    assert address.stale(tmp_path) == []
    assert exercises.stale(tmp_path) == []
    owner_and_name = "/".join(old.split("/")[-2:])
    copies = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in copies if owner_and_name in path.read_text(encoding="utf-8")] == []


def test_write_reaches_every_place(checkout_folder):
    exercises.write(checkout_folder)
    assert address.write(checkout_folder)
    assert address.stale(checkout_folder) == []
    assert address.write(checkout_folder) == []
    assert f"  url: {OURS}\n" in (checkout_folder / "_config.yml").read_text()
    assert f"version: 1.2.3\nrepository-code: {OURS}\n" in (checkout_folder / "CITATION.cff").read_text()
    readme = (checkout_folder / "README.md").read_text()
    assert f"git clone {OURS}\n" in readme and readme.endswith("\n\nEnd.\n")
    (row,) = [line for line in readme.splitlines() if line.startswith("| [02 ")]
    assert "| [02 A lens](https://pages.example.org/something/book/part1/02_lens.html) |  | 1 h + 2 h | 0 |" in row
    for place in ("notebooks/v1.2.3/book/part1/02_lens.ipynb", "v1.2.3/exercises/02_lens.ipynb"):
        assert f"https://colab.research.google.com/github/somebody/something/blob/{place}" in row
    assert "**Read it:** https://pages.example.org/something\n" in readme


def test_every_notebook_gets_the_same_first_code_cell_and_its_own_link(checkout_folder):
    address.write(checkout_folder)
    exercises.write(checkout_folder)
    firsts = set()
    for path in checkout.notebooks(checkout_folder):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        title, first = notebook.cells[0].source, notebook.cells[1]
        place = path.relative_to(checkout_folder).as_posix()
        branch = "notebooks/v1.2.3" if place.startswith("book/") else "v1.2.3"
        assert f"/blob/{branch}/{place})" in title
        assert title.count("Open in Colab") == 1
        assert first.cell_type == "code" and "bootstrap" in first.metadata.tags
        firsts.add(first.source)
    assert firsts == {address.bootstrap_cell(checkout_folder)}
    assert f"mechlib @ git+{OURS}@v1.2.3" in firsts.pop()


@pytest.mark.parametrize(("version", "ref"), [("0.4.0", "v0.4.0"), ("0.4.0.dev0", "main"), ("0.4.0.dev12", "main")])
def test_cells_links_and_citation_agree_on_one_version(checkout_folder, version, ref):
    """A version on the way to its release has no tag yet: what is installed and opened is the branch."""
    pyproject = checkout_folder / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("1.2.3", version))
    exercises.write(checkout_folder)
    address.write(checkout_folder)
    assert address.stale(checkout_folder) == []
    for path in checkout.notebooks(checkout_folder):
        title, first = nbformat.read(path, as_version=4).cells[:2]
        assert f'git+{OURS}@{ref}"' in first.source and f"/{ref}/" in title.source
    assert f"\nversion: {version}\n" in (checkout_folder / "CITATION.cff").read_text()
    assert yaml.safe_load((checkout_folder / "_config.yml").read_text())["repository"] == {"url": OURS, "branch": ref}
    links = re.findall(r"/blob/(?:notebooks/)?([^/]+)/", (checkout_folder / "README.md").read_text())
    assert len(links) == 2 and set(links) == {ref}


@pytest.mark.parametrize("bad", ["", "1.2", "v1.2.3", "1.2.3rc1", "1.2.3.dev"])
def test_a_version_that_names_no_release_is_refused(checkout_folder, bad):
    pyproject = checkout_folder / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("1.2.3", bad))
    with pytest.raises(ValueError, match=r"version in pyproject\.toml"):
        address.stale(checkout_folder)


def test_an_edited_first_cell_is_drift(checkout_folder):
    address.write(checkout_folder)
    path = checkout_folder / "book" / "part1" / "02_lens.ipynb"
    path.write_text(path.read_text().replace("@v1.2.3", "@v1.2.2"))
    (problem,) = address.stale(checkout_folder)
    assert "02_lens.ipynb" in problem and "mechlib book address" in problem


@pytest.mark.parametrize("bad", ["", "http://example.org/a/b", "https://example.org/a", "https://example.org/a/b/"])
def test_an_address_that_cannot_be_opened_is_refused(checkout_folder, bad):
    pyproject = checkout_folder / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace(OURS, bad))
    with pytest.raises(ValueError, match=r"Repository in pyproject\.toml"):
        address.stale(checkout_folder)


@pytest.mark.parametrize("bad", ["", "http://pages.example.org", "https://pages.example.org/"])
def test_pages_that_cannot_be_opened_are_refused(checkout_folder, bad):
    pyproject = checkout_folder / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("https://pages.example.org/something", bad))
    with pytest.raises(ValueError, match=r"Documentation in pyproject\.toml"):
        address.stale(checkout_folder)


def test_a_file_without_a_place_for_the_address_is_named(checkout_folder):
    (checkout_folder / "README.md").write_text("# A book\n")
    with pytest.raises(ValueError, match=r"README\.md: .* is there 0 times"):
        address.write(checkout_folder)


def test_a_notebook_without_a_title_is_named(checkout_folder):
    path = checkout_folder / "book" / "part1" / "02_lens.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [new_code_cell("1")]
    nbformat.write(notebook, path)
    with pytest.raises(ValueError, match=r"book/part1/02_lens\.ipynb: the first cell"):
        address.write(checkout_folder)


@pytest.mark.parametrize(("on_colab", "installed"), [(False, False), (False, True), (True, True), (True, False)])
def test_the_first_cell_installs_on_colab_only_and_only_when_missing(monkeypatch, on_colab, installed):
    calls = []
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    shell = InteractiveShell()
    shell.register_magic_function(calls.append, "line", "pip")
    assert shell.run_cell(address.bootstrap_cell()).success
    assert len(calls) == (on_colab and not installed)
    assert all(address.repository(checkout.root()) in call for call in calls)


def test_a_notebook_that_stands_nowhere_has_no_link(checkout_folder):
    path = "solutions/02_lens.ipynb"
    bare = checkout.read_notebook(checkout_folder / path)
    linked = address.addressed(bare, path, checkout_folder)
    title = linked["cells"][0]["source"]
    assert "Open in Colab" in title
    assert address.unlinked(linked)["cells"][0]["source"] == bare["cells"][0]["source"]
    assert linked["cells"][0]["source"] == title and address.unlinked(bare) == bare
