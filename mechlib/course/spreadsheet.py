"""CSV files as spreadsheets save and open them: what they hold, or what is wrong and how to save them otherwise; and
cells that no spreadsheet computes."""

from __future__ import annotations

import codecs
import contextlib
import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

__all__ = ["cells", "guarded", "records", "unguarded"]

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""How a file begins that says its own encoding; those of UTF-32 first, as one begins like UTF-16."""

SEPARATORS = (",", ";", "\t")
"""What stands between cells; Excel takes a semicolon where the comma is that of decimals."""

DECLARATION = re.compile("sep=([,;\t|])", re.IGNORECASE)
"""A first line that tells Excel the separator."""

PLACE, OPENS = r"((?:^|[;\t\r\n])[\"\s]*)", r"(?='*[=+\-@＝＋－＠])"
"""Where a cell may begin, also in a spreadsheet that expects other separators and takes semicolons or line ends within
a cell for its end; and how one begins that is computed, in all languages of Excel."""
COMPUTED, KEPT = re.compile(PLACE + OPENS), re.compile(f"{PLACE}'{OPENS}")

NEAR = 0.85
"""How alike a name of a column must be to one that is missing so that it is refused."""

REMEDY = "save it as 'CSV UTF-8' (Excel), or as text CSV with the character set UTF-8 (LibreOffice)"


def records(path: Path, needed: str, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table that are not empty, each with the number of its line and its cells by column.

    The first line names the columns. A cell that is missing at the end of a row is empty.

    Args:
        path: the file; its separator is the one that gives a column ``needed``.
        needed: the column that must be there.
        columns: those that matter; others are left out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for another encoding than Unicode, a missing or doubled column, one whose name is nearly that of one
            that is missing, a row longer than the first line, or quotes that do not close.
    """
    header, *rows = _table(_decoded(path), needed, path)
    names = [name.strip() for name in header[1]]
    _refuse_near(names, columns, path)
    if needed not in names:
        raise ValueError(f"{path} has no column {needed!r}; its columns are {', '.join(map(repr, names)) or 'none'}")
    if twice := [name for name in columns if names.count(name) > 1]:
        raise ValueError(f"{path} has several columns of one name: {', '.join(map(repr, twice))}")
    for line, cells in rows:
        if any(cell.strip() for cell in cells[len(names) :]):
            raise ValueError(
                f"{path}, line {line}: {len(cells)} cells where the first line has {len(names)}; "
                "a cell with a separator in it stands in double quotes"
            )
        cells += [""] * (len(names) - len(cells))
        if any(cell.strip() for cell in cells):
            row = {n: unguarded(cell.strip()).strip() for n, cell in zip(names, cells, strict=False) if n in columns}
            yield line, {name: row.get(name, "") for name in columns}


def _refuse_near(names: Iterable[str], columns: Sequence[str], path: Path) -> None:
    """Raises: ValueError: for a column that is another one misspelt: nothing in it would be read."""
    missing = [column for column in columns if column not in names]
    for name in names:
        plain = re.sub(r"[\s-]+", "_", name.casefold())
        if name not in columns and (near := difflib.get_close_matches(plain, missing, 1, NEAR)):
            raise ValueError(f"{path} has a column {name!r}: is it {near[0]!r}? call it so, or otherwise")


def guarded(cell: str) -> str:
    """A cell that is text to every spreadsheet: an apostrophe stands before what would be computed. Numbers stay."""
    with contextlib.suppress(ValueError):
        float(cell)
        return cell
    return COMPUTED.sub(r"\1'", cell)


def unguarded(cell: str) -> str:
    """The cell that ``guarded`` was given."""
    return KEPT.sub(r"\1", cell)


def cells(path: Path, needed: str) -> list[list[str]]:
    """All rows of a table as they are; the first is there even in an empty file. Its separator is as for ``records``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for another encoding than Unicode, or quotes that do not close.
    """
    return [row for _, row in _table(_decoded(path), needed, path)]


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    encoding = next((encoding for mark, encoding in MARKS if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in content:
        raise ValueError(f"{path} is no text in UTF-8; it may be UTF-16 without its mark, or a workbook: {REMEDY}")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before, after = content[: error.start].split(b"\n"), content[error.start :].split(b"\n")
        line = (before[-1] + after[0]).strip().decode("ascii", "backslashreplace")
        raise ValueError(
            f"{path}, line {len(before)}: {line[:80]} is not in {encoding.upper()}, but perhaps in Latin-1, "
            f"Windows-1252 or an encoding of another region, which look alike: {REMEDY}"
        ) from None


def _table(text: str, needed: str, path: Path) -> list[tuple[int, list[str]]]:
    """All rows with the numbers of their lines; the first is there even in an empty file."""
    lines = io.StringIO(text, newline="").readlines()
    declared = DECLARATION.fullmatch(lines[0].strip("\r\n")) if lines else None
    skipped = 1 if declared else 0
    separator = declared[1] if declared else _separator("".join(lines[:1]), needed)
    reader = csv.reader(lines[skipped:], delimiter=separator, strict=True)
    try:
        return [(reader.line_num + skipped, cells) for cells in reader] or [(1, [])]
    except csv.Error as error:
        line = reader.line_num + skipped
        raise ValueError(f"{path}, line {line}: {error}; is a double quote missing, or one too many?") from None


def _separator(first: str, needed: str) -> str:
    names = {each: [cell.strip().strip('"') for cell in first.split(each)] for each in SEPARATORS}
    return next((each for each in SEPARATORS if needed in names[each]), SEPARATORS[0])
