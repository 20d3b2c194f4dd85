"""The third-party files that the pages load are those that their README names, and fit what is installed."""

import re
from pathlib import Path

import anywidget

from mechlib.authoring import checkout

VENDOR = checkout.root() / "book" / "static" / "vendor"


def test_the_widget_runtime_is_that_of_the_installed_anywidget():
    installed = Path(anywidget.__file__).with_name("nbextension") / "index.js"
    assert (VENDOR / "anywidget.js").read_bytes() == installed.read_bytes(), (
        f"anywidget {anywidget.__version__} is installed: set ANYWIDGET in {VENDOR / 'refresh.sh'} and run it"
    )


def test_the_readme_names_the_versions_that_refresh_fetches():
    script = (VENDOR / "refresh.sh").read_text(encoding="utf-8")
    readme = (VENDOR / "README.md").read_text(encoding="utf-8")
    versions = re.findall(r"^[A-Z_]+=([\d.]+)", script, re.MULTILINE)
    assert len(versions) == 5
    assert set(re.findall(r"\b\d+\.\d+\.\d+\b", readme)) == set(versions)
