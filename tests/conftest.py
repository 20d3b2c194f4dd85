"""What every test shares: cores divided among workers, no network for the hub, numbers in prose that must hold, skips
that CI does not accept."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.absent import missing, real_model

_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
# Before torch is imported; kernels of notebooks inherit it.
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _WORKERS)))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MECHLIB_STRICT"] = "1"

PYPROJECT = """\
[project]
name = "mechlib"
version = "1.2.3"

[project.urls]
Repository = "https://example.org/somebody/something"
Documentation = "https://pages.example.org/something"
"""
ANSWER = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"

WAITING = ("tests/colab/", "tests/course/", "tests/grading/", "solutions/", "exercises/", "tests/browser/")
"""What installs, grades, executes notebooks or opens pages: few tests to a file, and long ones."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where workers share the files, the long ones come first, so that none is left alone with one at the end."""
    if _WORKERS > 1:
        items.sort(key=lambda item: next((i for i, f in enumerate(WAITING) if item.nodeid.startswith(f)), len(WAITING)))


@pytest.fixture(scope="session")
def program() -> Callable[..., str]:
    """``program("chromium", "google-chrome", package="chromium")``: the path of the first that is installed.

    Where there is none, the test is skipped with a line that says what is missing; with CI=true it fails.
    """

    def find(*names: str, package: str) -> str:
        for name in names:
            if path := shutil.which(name):
                return path
        missing(f"{' or '.join(names)} is not installed (system package {package})")

    return find


@pytest.fixture(scope="session")
def smollm2():
    """The real language model, on the CPU in single precision. It is shared: leave it as it is."""
    return real_model("smollm2-135m")


@pytest.fixture
def checkout_folder(tmp_path: Path) -> Path:
    """A folder with one chapter, one solution, and every file that shows the address."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "_config.yml").write_text("title: A book\nrepository:\n  url: nowhere\n  branch: main\n")
    (tmp_path / "CITATION.cff").write_text("title: A book\nversion: none\nrepository-code: nowhere\n")
    table = "<!-- begin chapters: generated -->\nold\n<!-- end chapters -->"
    (tmp_path / "README.md").write_text(
        f"# A book\n\n```\ngit clone nowhere\n```\n\n**Read it:** nowhere\n\n{table}\n\nEnd.\n"
    )
    text = "# A lens\n\nReading takes about an hour and the exercises another two; the code runs in a minute."
    metadata = {"mechlib": {"builds_on": "nothing"}}
    chapter = new_notebook(cells=[new_markdown_cell(text), new_code_cell("1 + 1")], metadata=metadata)
    solution = new_notebook(cells=[new_markdown_cell("# Exercises: a lens"), new_code_cell(ANSWER)])
    for notebook, path in ((chapter, "book/part1/02_lens.ipynb"), (solution, "solutions/02_lens.ipynb")):
        (tmp_path / path).parent.mkdir(parents=True)
        nbformat.write(notebook, tmp_path / path)
    return tmp_path


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny GPT-2 with random weights, saved as ``transformers`` saves it: 2 layers, 20 positions, 83 tokens."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("gpt2")
    config = transformers.GPT2Config(
        n_layer=2, n_embd=32, n_head=2, n_positions=20, vocab_size=83, initializer_range=0.3
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def largest_tensor() -> Callable[[Callable], int]:
    """``largest_tensor(call)``: the number of elements of the largest tensor that is made while ``call()`` runs."""
    from torch import Tensor
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, Tensor):
                    self.elements = max(self.elements, tensor.untyped_storage().nbytes() // tensor.element_size())
            return result

    def measure(call: Callable) -> int:
        with Largest() as mode:
            call()
        return mode.elements

    return measure


@pytest.fixture(scope="session", params=["native", "attention only", "gpt2", "gpt2, folded"])
def model(request, gpt2_folder):
    """A small random model of each format."""
    from tests.models import of_format

    return of_format(request.param, gpt2_folder)


@pytest.fixture(scope="session")
def small():
    """The small random model of the book's own format."""
    from tests.models import random_native

    return random_native()


@pytest.fixture
def without_patterns():
    from tests.models import attentionless

    return attentionless()


@pytest.fixture(scope="session")
def tokens():
    """Few token types, so that chance repeats abound: ``[batch, pos]`` over the full context of the small models."""
    import torch

    return torch.randint(7, (5, 20), generator=torch.Generator().manual_seed(1))
