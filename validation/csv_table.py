"""Tables that people bring as CSV, with a heading; errors name lines as an editor counts them."""

from __future__ import annotations

import csv
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """A row: the line of the file on which it ends, from 1, and its cells without blanks around
    them."""

    number: int
    cells: list[str]


class CsvTable(NamedTuple):
    """The names of the columns in small letters, and every line that has a word in it."""

    names: list[str]
    lines: list[Line]


def csv_table(path: str | Path, needed: Collection[str], *, expected: str) -> CsvTable:
    """The table in a file. ValueError says what keeps it from being one: text that is not UTF-8, a
    column that is missing (expected: what it should be, in words) or there twice."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            names = [name.strip().lower() for name in next(reader, [])]
            lines = [Line(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8: save the table as CSV in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path} is no table of comma-separated values: {error}") from None
    if missing := [name for name in needed if name not in names]:
        commas = ", separated by commas" if len(names) == 1 else ""
        raise ValueError(f"{path} has no column {missing[0]!r}: {expected}{commas}")
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"{path} has the column {twice[0]!r} twice: leave one out")
    return CsvTable(names, [line for line in lines if any(line.cells)])


def short(text: str) -> str:
    """What a line says, to be quoted.

    >>> short("a note, " * 9)
    "'a note, a note, a note, a note, a not...'"
    """
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
