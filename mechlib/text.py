"""Text that every Python installation already has: its own standard library.

The corpus is the source of the running interpreter's standard library, read from disk, so the book ships no
corpus and downloads none. A file is one document. Which files are held out depends on the path alone, so the
split is the same on every machine; the text is the same for a given Python version.

The tokeniser is a byte-level BPE of 2048 tokens, trained once on the training split of CPython 3.11.7 and shipped.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Int
from tokenizers import Tokenizer
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BOS = 0
"""Token id of ``<|endoftext|>``: it stands before every document, and nowhere else."""

Split = Literal["train", "held_out"]

HELD_OUT_ONE_IN = 8
MIN_CHARS = 200
MAX_NON_ASCII = 0.02

NOT_TEXT = frozenset(
    {"site-packages", "dist-packages", "__pycache__", "pydoc_data", "encodings", "cjkencodings", "data"}
)
"""Folders whose files are installed later, generated, or tables rather than text."""

OFTEN_MISSING = frozenset(
    {"test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "distutils", "ensurepip", "__phello__"}
)
"""Folders that some distributions of Python leave out or package separately."""


@dataclass(frozen=True)
class SourceFile:
    """One document of the corpus."""

    path: str
    """Path below the library's root, with forward slashes."""
    text: str
    """The whole file."""


def standard_library() -> Path:
    """The folder that holds the running interpreter's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def files(split: Split, *, tests: bool = False) -> tuple[SourceFile, ...]:
    """The documents of one split of the standard library, sorted by path.

    Args:
        split: ``"train"`` or ``"held_out"``: one file in 8, chosen by a hash of its path.
        tests: also the folders that some distributions leave out (mostly CPython's own test suite, two thirds of
            the text). Off by default, so that the same Python version gives the same documents everywhere.

    Raises:
        ValueError: for any other ``split``.
    """
    if split not in ("train", "held_out"):
        raise ValueError(f"split is 'train' or 'held_out', not {split!r}")
    return _split(split, tests)


@cache
def _split(split: Split, tests: bool) -> tuple[SourceFile, ...]:
    def wanted(path: str) -> bool:
        return is_held_out(path) == (split == "held_out") and (tests or not _often_missing(path))

    return tuple(read_tree(standard_library(), wanted))


def is_held_out(path: str) -> bool:
    """Whether the file at this relative path belongs to the held-out split."""
    return int(hashlib.sha256(path.encode()).hexdigest(), 16) % HELD_OUT_ONE_IN == 0


def _often_missing(path: str) -> bool:
    return not OFTEN_MISSING.isdisjoint(path.split("/"))


def read_tree(root: Path, wanted: Callable[[str], bool] = lambda path: True) -> Iterable[SourceFile]:
    """Every Python source file below ``root`` that is text, sorted by path.

    Left out: files under 200 characters, files with more than 2 % of characters outside ASCII, files that are not
    UTF-8, and what an installation generates or adds.

    Args:
        wanted: by path, whether a file is read at all.
    """
    for file in sorted(root.rglob("*.py"), key=lambda f: f.relative_to(root).as_posix()):
        relative = file.relative_to(root)
        if not NOT_TEXT.isdisjoint(relative.parts) or _generated(relative) or not wanted(relative.as_posix()):
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        if len(text) >= MIN_CHARS and len(text) - len(text.encode("ascii", "ignore")) <= MAX_NON_ASCII * len(text):
            yield SourceFile(relative.as_posix(), text)


def _generated(relative: Path) -> bool:
    return (
        relative.name.startswith("_sysconfigdata")
        or relative.name == "sitecustomize.py"
        or relative.parts[0].startswith("config-")
    )


def fingerprint(documents: Iterable[SourceFile]) -> str:
    """The sha256 of the paths and texts in order: equal exactly when the documents are."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.path, document.text):
            data = part.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def prose_and_code(source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The docstrings of a Python source (prose) and the bodies of its functions without them (code).

    Both come in the order in which they stand in the file. A nested function is part of the body around it.

    Raises:
        SyntaxError: if ``source`` does not parse in the running version of Python.
    """
    lines = source.splitlines(keepends=True)
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = sorted((n for n in ast.walk(tree) if isinstance(n, documented)), key=lambda n: getattr(n, "lineno", 0))
    prose = tuple(text for node in nodes if (text := ast.get_docstring(node)))
    code, covered = [], 0
    for node in nodes:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.lineno <= covered:
            continue
        covered = node.end_lineno or node.lineno
        body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
        if body and body[0].lineno > node.lineno:
            code.append("".join(lines[body[0].lineno - 1 : covered]))
    return prose, tuple(code)


def docstrings(split: Split) -> tuple[SourceFile, ...]:
    """The docstrings of each document of a split in one text, in their order, a blank line between two: English prose.

    Documents without one are left out. Errors as :func:`files`.
    """
    proses = ((document.path, prose_and_code(document.text)[0]) for document in files(split))
    return tuple(SourceFile(path, "\n\n".join(prose)) for path, prose in proses if prose)


@cache
def tokenizer() -> Tokenizer:
    """The shipped byte-level BPE: 2048 tokens, any text round-trips."""
    return Tokenizer.from_str(resources.files("mechlib").joinpath("tokenizer.json").read_text(encoding="utf-8"))


def for_transformers() -> PreTrainedTokenizerFast:
    """The shipped tokeniser as ``transformers`` has them, for TransformerLens: it puts ``BOS`` before a text itself.

    ``for_transformers()(text).input_ids`` equals ``encode(text).tolist()``. ``BOS`` also ends a text and fills up
    shorter rows. A new one at every call, since its padding side and the like can be set.
    """
    from transformers import PreTrainedTokenizerFast  # takes seconds, which the text alone does not need

    mark = tokenizer().id_to_token(BOS)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(),
        bos_token=mark,
        eos_token=mark,
        pad_token=mark,
        add_bos_token=True,
        clean_up_tokenization_spaces=False,
        name_or_path="mechlib",  # TransformerLens asks for it
    )


def encode(text: str, *, bos: bool = True) -> Int[Tensor, " pos"]:
    """The token ids of ``text``, after a ``BOS`` unless told otherwise."""
    ids = tokenizer().encode(text).ids
    return torch.tensor([BOS, *ids] if bos else ids, dtype=torch.long)


def decode(ids: Int[Tensor, " pos"] | Sequence[int]) -> str:
    """The text of token ids, ``BOS`` left out: ``decode(encode(text)) == text``."""
    return tokenizer().decode(torch.as_tensor(ids).tolist())


def token_strings(ids: Int[Tensor, " pos"] | Sequence[int]) -> list[str]:
    """One printable string per token, as :func:`visible` has it."""
    return [visible(tokenizer().decode([i], skip_special_tokens=False)) for i in torch.as_tensor(ids).tolist()]


def visible(token: str) -> str:
    """The text of a token with its white space shown: ``·`` is a space, ``⏎`` a line break and ``→`` a tab."""
    return token.replace(" ", "·").replace("\n", "⏎").replace("\t", "→")


def stream(documents: Iterable[SourceFile]) -> Int[Tensor, " pos"]:
    """All documents as one stream of token ids, a ``BOS`` before each."""
    encoded = tokenizer().encode_batch([d.text for d in documents])
    return torch.tensor([i for e in encoded for i in (BOS, *e.ids)], dtype=torch.long)


@dataclass(frozen=True)
class Passages:
    """Passages of equal length, and where they come from."""

    tokens: Int[Tensor, "row pos"]
    """Token ids."""
    document: Int[Tensor, " row"]
    """Index of each row's document among those that were given: the unit to resample when rows share documents."""


def passages(
    documents: Sequence[SourceFile],
    *,
    per_document: int,
    length: int,
    seed: int = 0,
    encode: Callable[[str], Int[Tensor, " pos"]] = encode,
) -> Passages:
    """``per_document`` passages of ``length`` tokens from every document that has so many.

    A passage starts at a random place, so passages of one document may overlap. It has no ``BOS`` unless it starts at
    the document's beginning. The same seed gives the same passages.

    Args:
        encode: from a text to its tokens; for a model with a tokenizer of its own
            ``lambda text: model.to_tokens(text)[0]``.

    Raises:
        ValueError: if no document is long enough.
    """
    generator = torch.Generator().manual_seed(seed)
    picked, origin = [], []
    for index, document in enumerate(documents):
        ids = encode(document.text)
        if len(ids) < length:
            continue
        for start in torch.randint(len(ids) - length + 1, (per_document,), generator=generator).tolist():
            picked.append(ids[start : start + length])
            origin.append(index)
    if not picked:
        raise ValueError(f"none of the {len(documents)} documents has {length} tokens")
    return Passages(torch.stack(picked), torch.tensor(origin))


def rows(
    documents: Sequence[SourceFile],
    *,
    n_rows: int,
    length: int,
    seed: int = 0,
    encode: Callable[[str], Int[Tensor, " pos"]] = encode,
) -> Int[Tensor, "row pos"]:
    """``n_rows`` passages of ``length`` tokens, spread over the documents as evenly as can be.

    Args:
        encode: as for :func:`passages`.

    Raises:
        ValueError: if no document is long enough.
    """
    per_document = -(-n_rows // max(1, len(documents)))
    drawn = partial(passages, documents, length=length, seed=seed, encode=encode)
    while len(found := drawn(per_document=per_document).tokens) < n_rows:
        per_document += -(-(n_rows - len(found)) // max(1, len(documents)))
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))
    return found[order[:n_rows]]
