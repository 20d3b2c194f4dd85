"""The guesses of a reader of notebooks, in a file of the user's: a kernel that starts anew finds them there."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import platformdirs

from mechlib.files import written_whole
from mechlib.guesses.asked import Guess, Said

__all__ = ["PLACE", "entry", "forget", "keep", "place", "said"]

PLACE = "MECHLIB_GUESSES"
"""The variable of the environment that names another file than that in the user's data."""


def place() -> Path:
    """The file."""
    named = os.environ.get(PLACE)
    data = platformdirs.user_data_path("mechlib", appauthor=False)
    return Path(named).expanduser() if named else data / "guesses.json"


def entry(guess: Guess, said: Said | None) -> dict[str, Said]:
    """What is kept of a guess: nothing if none was made."""
    return {} if said is None else {"question": guess.question, "said": said}


def said(guess: Guess) -> Said | None:
    """What was said to this very question; ``None`` if nothing was, or it was put differently then."""
    found = _read().get(guess.guess_id)
    try:
        if not isinstance(found, dict) or found["question"] != guess.question:
            return None
        return guess.accepted(found["said"])
    except (ValueError, TypeError, KeyError):
        return None


def keep(guess: Guess, said: Said | None) -> None:
    """Keep what was said in place of what was said before; with ``None`` that is forgotten."""
    entries = {key: value for key, value in _read().items() if key != guess.guess_id}
    if said is not None:
        entries[guess.guess_id] = entry(guess, said)
    _write(entries)


def forget() -> None:
    """Forget every guess."""
    place().unlink(missing_ok=True)


def _read() -> dict[str, object]:
    try:
        entries = json.loads(place().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        warnings.warn(f"the guesses in {place()} cannot be read and are left aside: {error}", stacklevel=2)
        return {}
    return entries if isinstance(entries, dict) else {}


def _write(entries: dict[str, object]) -> None:
    try:
        place().parent.mkdir(parents=True, exist_ok=True)
        with written_whole(place()) as file:
            file.write(json.dumps(entries, indent=1, ensure_ascii=False).encode())
    except OSError as error:
        warnings.warn(f"the guess lasts as long as this kernel, for {place()} cannot be written: {error}", stacklevel=2)
