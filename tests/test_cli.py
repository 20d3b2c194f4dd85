"""The command line: what it prints, what it returns, and that an error is one line."""

from pathlib import Path

import pytest

from mechlib import cli, text, zoo
from mechlib.authoring import address, checkout, exercises
from mechlib.stream import kept_lens
from mechlib.zoo import release, train


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``mechlib ARGUMENTS``: (exit status, standard output, standard error)."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mechlib", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        streams = capsys.readouterr()
        return int(stopped.value.code or 0), streams.out, streams.err

    return command


@pytest.mark.parametrize(("table", "kind"), [(0, "language"), (2, "regression")])
def test_list_is_a_table_of_each_kind_with_a_row_for_each_model(run, table, kind):
    status, out, _ = run("zoo", "list")
    header, *rows = out.split("\n\n")[table].splitlines()
    assert status == 0 and header.startswith("name")
    assert tuple(row.split()[0] for row in rows) == zoo.names(kind)
    assert {len(row.split()) for row in rows} == {10}
    assert {len(row) for row in (header, *rows)} == {len(header)}


def test_verify_counts_intact_files(run):
    status, out, _ = run("zoo", "verify")
    n_files = len(list(zoo.verify()))
    assert status == 0
    assert out.endswith(f"{n_files} of {n_files} files are intact.\n")


def test_verify_names_a_damaged_file_and_fails(run, monkeypatch):
    results = [(Path("a.safetensors"), "ok"), (Path("b.safetensors"), "sha256 is other")]
    monkeypatch.setattr(zoo, "verify", lambda: iter(results))
    status, out, _ = run("zoo", "verify")
    assert status == 1
    assert "b.safetensors: sha256 is other" in out and "1 of 2 files are intact" in out


@pytest.mark.parametrize(("options", "folder", "progress"), [((), "build/zoo/tiny", True), (("--quiet",), "x", False)])
def test_train_hands_its_arguments_on(run, monkeypatch, options, folder, progress):
    calls = []
    monkeypatch.setattr(train, "train", lambda name, **keywords: calls.append((name, keywords)))
    at = () if folder.startswith("build") else ("--folder", folder)
    status, out, _ = run("zoo", "train", "tiny", *at, *options)
    assert status == 0 and str(Path(folder)) in out
    assert calls == [("tiny", {"folder": Path(folder), "progress": progress})]


def test_a_model_ships_only_when_asked_to(run, monkeypatch):
    shipped = []
    monkeypatch.setattr(train, "train", lambda name, **_: f"card of {name}")
    monkeypatch.setattr(release, "install", lambda card: shipped.append(card) or Path("the package"))
    run("zoo", "train", "tiny")
    assert shipped == []
    _, out, _ = run("zoo", "train", "tiny", "--ship")
    assert shipped == ["card of tiny"] and "the package" in out


def test_a_stopped_run_says_how_to_go_on(run, monkeypatch):
    def interrupted(name, **_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    status, _, err = run("zoo", "train", "tiny")
    assert status == 130
    assert "goes on from what was saved last" in err


def test_a_lens_is_fitted_once_and_kept(run, monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path))
    monkeypatch.setitem(kept_lens.RECIPES, "short", kept_lens.LensRecipe(n_rows=2, length=16, ridge=0.1, judged=1))
    few = text.docstrings("train")[:2]
    monkeypatch.setattr(text, "docstrings", lambda split: few)
    status, out, _ = run("zoo", "lens", "code-1l")
    (path,) = (tmp_path / "lenses").glob("*.safetensors")
    assert status == 0 and out.splitlines() == [
        "Fitting the tuned lens of code-1l to 32 tokens of docstrings ...",
        f"The tuned lens of code-1l is {path}.",
    ]
    assert run("zoo", "lens", "code-1l") == (0, f"The tuned lens of code-1l is {path}.\n", "")
    _, _, err = run("zoo", "lens", "code-1l", "--recipe", "quick")
    assert err == "error: recipe is one of short, long, not 'quick'\n"
    status, _, err = run("zoo", "lens", zoo.names("regression")[0])
    assert status == 2 and "is no language model, and a lens reads one" in err


def test_an_unknown_model_is_one_line_with_the_nearest_name(run, tmp_path):
    status, out, err = run("zoo", "train", "code-4l-mpl", "--folder", str(tmp_path / "run"))
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert "'code-4l-mlp'" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", [("zoo", "lst"), ("book", "--nothing"), ("zoo", "train")])
def test_wrong_usage_names_the_command_and_fails(run, arguments):
    status, _, err = run(*arguments)
    assert status == 2
    assert "Usage: mechlib" in err and "Traceback" not in err


@pytest.mark.parametrize(("command", "module"), [("exercises", exercises), ("address", address)])
def test_check_lists_what_is_stale_and_writes_nothing(run, monkeypatch, checkout_folder, command, module):
    monkeypatch.setattr(checkout, "root", lambda: checkout_folder)
    before = {path: path.read_bytes() for path in checkout_folder.rglob("*") if path.is_file()}
    status, out, _ = run("book", command, "--check")
    assert status == 1 and f"mechlib book {command}" in out
    assert {path: path.read_bytes() for path in checkout_folder.rglob("*") if path.is_file()} == before
    status, out, _ = run("book", command)
    assert status == 0 and all(line.startswith("wrote ") for line in out.splitlines())
    assert run("book", command, "--check") == (0, "Up to date.\n", "")


def test_an_installed_copy_says_that_a_checkout_is_needed(run, monkeypatch, tmp_path):
    monkeypatch.setattr("mechlib.__file__", str(tmp_path / "site-packages" / "mechlib" / "__init__.py"))
    status, _, err = run("book", "exercises")
    assert status == 2
    assert "clone the repository" in err and str(tmp_path / "site-packages") in err
