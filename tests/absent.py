"""What a machine may lack: a test that needs it is skipped with a line that says what; with CI=true it fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from mechlib.bridge import TransformerBridge


def missing(reason: str) -> NoReturn:
    """Skip the test that runs; with CI=true fail it."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason}; with CI=true nothing is skipped")
    pytest.skip(reason)


def real_model(name: str) -> TransformerBridge:
    """A model that is fetched, on the CPU; no test fetches it."""
    from mechlib import zoo

    try:
        return zoo.load(name, device="cpu")
    except FileNotFoundError as error:
        missing(str(error))
