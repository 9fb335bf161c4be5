"""Reading CSV files strictly: every value remains a string, rows keep their line numbers, and no value is guessed."""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError

#: What programs write for a missing name, in lower case.
MISSING = ("", "n/a", "#n/a", "na", "nan")
#: First bytes of files that are not text → what they are.
_NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook or another compressed file (zip)",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a compressed file (gzip)",
    b"PAR1": "a Parquet file",
}
#: White space and characters without width, at either end of a value.
_EDGES = r"^[\s\u200b-\u200f\u2060\ufeff]+|[\s\u200b-\u200f\u2060\ufeff]+$"


def read_csv(path: Path, needed: Sequence[str], known: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV file in UTF-8, separated by commas, with the names of its columns in the first line.

    White space and characters without width around headings and values are removed. Two kinds of columns without a
    name, which pandas and spreadsheets write, are left out: a first column that numbers the rows, and empty columns.

    Parameters
    ----------
    path : Path
    needed : sequence of str
        Columns that it must have.
    known : sequence of str
        Other columns with a meaning: a heading that differs from one only in case or in a plural s is an error.

    Returns
    -------
    DataFrame
        Strings, with the line of each row in the file as index; blank lines are skipped.

    Raises
    ------
    BraintuneError
        If the file cannot be read, is in another encoding, has an unclosed quote, has faulty or repeated headings,
        lacks a needed column, or has a row that is shorter or longer than the heading.
    """
    (_, heading), *records = _records(path) or [(1, [])]
    heading = [re.sub(_EDGES, "", name) for name in heading]
    for line, fields in records:
        if len(fields) != len(heading):
            shown = ", ".join(map(repr, fields[:3])) + ", …" * (len(fields) > 3)
            raise BraintuneError(
                f"{path}, line {line}: {len(fields)} fields ({shown}) for {len(heading)} headings; put values with a "
                "comma in double quotes, do not leave out a field, and do not end a line with a comma"
            )
    _check_heading(path, heading, [*needed, *known])
    if missing := [name for name in needed if name not in heading]:
        raise BraintuneError(
            f"{path}, line 1: no column {missing[0]!r}; it has {', '.join(map(repr, heading)) or 'nothing'}; separate "
            "columns by commas, with the names in the first line"
        )
    rows = np.array([fields for _, fields in records], dtype=object).reshape(-1, len(heading))
    columns = {
        n: pd.Series([re.sub(_EDGES, "", cell) for cell in column], dtype=str) for n, column in enumerate(rows.T)
    }
    for number, name in enumerate(heading):
        if not name and _is_index(columns[number], number):
            del columns[number]
        elif not name:
            raise BraintuneError(
                f"{path}, line 1, column {number + 1}: the heading is empty, but the column has values; name the "
                "column, or remove it"
            )
    table = pd.DataFrame({heading[number]: column for number, column in columns.items()}, dtype=object)
    return table.set_axis(pd.Index([line for line, _ in records], dtype=int))


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """Return line and fields of each record; blank lines are left out."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BraintuneError(f"cannot read {path} ({error}); `data/README.md` says how to create it") from None
    for start, fault in _NO_TEXT.items():
        if content.startswith(start):
            raise BraintuneError(f"{path} is {fault}, not text; save the table as CSV in UTF-8, with commas")
    try:
        text = content.decode("utf-8-sig")
        bad = content.find(b"\0")  # every second byte of UTF-16
    except UnicodeDecodeError as error:
        bad = error.start
    if bad >= 0:
        line = content[:bad].count(b"\n") + 1
        raise BraintuneError(
            f"{path}, line {line}: byte {content[bad : bad + 1]!r} is not UTF-8 text; save the table as CSV in UTF-8"
        )
    _require_commas(path, re.split(r"[\r\n]", text, maxsplit=1)[0].strip())
    reader, records, line = csv.reader(io.StringIO(text, newline=""), strict=True), [], 1
    try:
        for fields in reader:
            if fields:
                records.append((line, fields))
            line = reader.line_num + 1
    except csv.Error as error:
        raise BraintuneError(
            f"{path}, line {line}: {error}; close every double quote, and double those inside a field"
        ) from None
    return records


def _require_commas(path: Path, first: str) -> None:
    """Raise an error for another separator in the first line, or for the line `sep=` of Excel."""
    if first.lower().startswith("sep=") and len(first) <= 6:
        raise BraintuneError(
            f"{path}, line 1: {first!r} is only for Excel; remove this line, and separate columns by commas"
        )
    mark = next((mark for mark in "\t;|" if mark in first and "," not in first), "")
    if mark:
        raise BraintuneError(
            f"{path}, line 1: columns are separated by {mark!r}; separate them by commas, and write numbers with a "
            f"decimal point; in pandas: read_csv({path.name!r}, sep={mark!r}, decimal=',').to_csv({path.name!r}, "
            "index=False) (leave out decimal=',' if numbers already have a point)"
        )


def _check_heading(path: Path, heading: list[str], known: Sequence[str]) -> None:
    """Raise an error for a heading that is repeated, or differs from a known one in case or in a plural s."""
    keys = {name.casefold().removesuffix("s"): name for name in known}
    for number, name in enumerate(heading, start=1):
        right = name if name in known else keys.get(name.casefold().removesuffix("s"), name)
        if name and (name != right or name in heading[: number - 1]):
            fault = f"must be written {right!r}" if name != right else "is repeated"
            raise BraintuneError(f"{path}, line 1, column {number}: heading {name!r} {fault}; name each column once")


def _is_index(column: pd.Series, number: int) -> bool:
    """Return whether a column without a name is empty, or is the first and numbers the rows."""
    return bool((column == "").all() or (number == 0 and column.str.fullmatch(r"\d+").all() and column.is_unique))


# --- checking the values of a column -----------------------------------------------------------------------------


def refuse(path: Path, column: pd.Series, bad: pd.Series, remedy: str, fault: str = "is not allowed") -> None:
    """Raise an error that names the first line with a bad value of a column, if there is one.

    Parameters
    ----------
    path : Path
    column : Series of str
        With lines as index.
    bad : Series of bool
    remedy, fault : str
        What to do; what is wrong with the value, unless it is missing.
    """
    if bad.any():
        line = bad.idxmax()
        fault = fault if column[line] else "is missing"
        raise BraintuneError(f"{path}, line {line}, column {column.name!r}: {column[line]!r} {fault}; {remedy}")


def numbers(path: Path, column: pd.Series, remedy: str, whole: bool = False) -> pd.Series:
    """Return a column as finite float64, or as whole numbers from 0 (int64).

    Raises
    ------
    BraintuneError
        For any other value.
    """
    values = pd.to_numeric(column, errors="coerce").astype(np.float64)
    bad = ~np.isfinite(values)
    if whole:
        bad |= (values < 0) | (values % 1 != 0) | (values >= 2**53)
    commas = bad & column.str.fullmatch(r"[-+]?\d+,\d+")
    refuse(path, column, commas, "write it with a decimal point", "has a decimal comma")
    refuse(path, column, bad, remedy)
    return values.astype(np.int64) if whole else values


def labels(
    path: Path, column: pd.Series, remedy: str = "fill it in, or leave the column out", optional: bool = False
) -> pd.Series:
    """Return a column of names.

    Raises
    ------
    BraintuneError
        If a name is missing (unless `optional`), or two differ only in how they are written (:func:`text_key`).
    """
    missing = column.str.casefold().isin(MISSING)
    if not optional:
        refuse(path, column, missing, remedy, "is not a name")
    column = column.mask(missing, "")
    first = column.groupby(column.map(text_key)).transform("first")
    differs = column != first
    if differs.any():
        other = first[differs.idxmax()]
        fault = f"and {other!r} in line {column.eq(other).idxmax()} are the same name, written in two ways"
        refuse(path, column, differs, "write each name in one way", fault)
    return column


def text_key(text: str) -> str:
    """Return a key that is equal for names that differ only in case, white space or Unicode form, or as 1 and 1.0."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    try:
        return repr(float(plain))
    except ValueError:
        return " ".join(plain.casefold().split())
