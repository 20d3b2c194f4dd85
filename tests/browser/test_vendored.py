"""The third-party files that the pages load are those that their README names."""

import re

from mechlib.authoring import checkout

VENDOR = checkout.root() / "book" / "static" / "vendor"


def test_the_readme_names_the_versions_that_refresh_fetches():
    script = (VENDOR / "refresh.sh").read_text(encoding="utf-8")
    readme = (VENDOR / "README.md").read_text(encoding="utf-8")
    versions = re.findall(r"^[A-Z_]+=([\d.]+)", script, re.MULTILINE)
    assert len(versions) == 1
    assert set(re.findall(r"\b\d+\.\d+\.\d+\b", readme)) == set(versions)
