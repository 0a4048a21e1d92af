"""A row of cells per rank, from what people have: a CSV, lists as torch prints them, its tables.

>>> for row in torch_rows("[0F0, 0B0, None]\\n[1F0, 1B0]", "text"):
...     print([cell.text for cell in row])
['0F0', '0B0', '']
['1F0', '1B0']
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from typing import NamedTuple


class Cell(NamedTuple):
    """What stands in one place of a file, and where that is, as its reader counts."""

    text: str
    spot: str


def torch_rows(text: str, name: str) -> list[list[Cell]]:
    """The cells of every rank in order; ValueError with one sentence for what is none of the three.

    A table has a line `Rank 0  Rank 1 ...` and a line `Step 0: ...` per step, as torch's
    `_format_pipeline_order` writes it; lists stand in brackets, one per rank.
    """
    if _STEP.search(text):
        return _table(text, name)
    if _LISTS.search(text):
        return [
            [_cell(part, row, column) for column, part in enumerate(found[1].split(","), 1)]
            for row, found in enumerate(_LIST.finditer(text), 1)
        ]
    reader = csv.reader(io.StringIO(text.rstrip(), newline=""), strict=True)
    rows = []
    try:
        for number, line in enumerate(reader, start=1):
            rows.append([_cell(part, number, column) for column, part in enumerate(line, 1)])
    except csv.Error as error:
        raise ValueError(f"{name}: row {reader.line_num} is not CSV: {error}") from None
    return rows


def lists_of_passes(text: str) -> bool:
    """Whether `text` has lists of passes as torch prints them, which JSON would not."""
    return bool(_LISTS.search(text))


def short(text: str) -> str:
    """The text of a cell, cut where it is long."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


_STEP = re.compile(r"^[ \t]*Step[ \t]+([0-9]{1,9})[ \t]*:(.*)$", re.MULTILINE | re.IGNORECASE)
_RANKS = re.compile(r"^.*\bRank[ \t]+0\b.*$", re.MULTILINE | re.IGNORECASE)
_RANK = re.compile(r"Rank[ \t]+[0-9]{1,9}", re.IGNORECASE)
_LISTS = re.compile(r"\[\s*(None\b|\(|[0-9]{1,9}[A-Z])")
_LIST = re.compile(r"\[([^\[\]]*)\]")
_WORD = re.compile(r"\([^()]*\)\w*|\S+")


def _cell(text: str, row: int, column: int) -> Cell:
    text = text.strip()
    return Cell("" if text == "None" else text, f"row {row}, column {column}")


def _table(text: str, name: str) -> list[list[Cell]]:
    """The columns of a table of steps; idle places are told by where the others stand."""
    head = _RANKS.search(text)
    starts = [found.start() for found in _RANK.finditer(head[0])] if head else []
    rows: list[list[Cell]] = [[] for _ in starts]
    for step in _STEP.finditer(text):
        line = step[0].partition("<--")[0]
        begin = step.start(2) - step.start()
        words = [(found.start(), found[0]) for found in _WORD.finditer(line, begin)]
        if not starts:
            rows = [[] for _ in words]
        if starts and len(words) != len(rows):
            shift = begin + 1 - starts[0]  # a header that lost the spaces before it
            columns = [start + shift for start in starts]
            ranks = [bisect_right(columns, place) - 1 for place, _ in words]
        else:
            ranks = list(range(len(words)))
        if len(words) > len(rows) or len({*ranks}) < len(ranks) or min(ranks, default=0) < 0:
            raise ValueError(
                f"{name}: step {step[1]} has {len(words)} passes, and it cannot be told of which "
                "ranks: keep the line of ranks and all spaces, or give one list per rank"
            )
        for rank, (_, word) in zip(ranks, words, strict=True):
            rows[rank].append(
                Cell("" if word == "None" else word, f"rank {rank}, step {int(step[1])}")
            )
        if not starts:
            starts = [place for place, _ in words]
    return rows
