"""Options that several commands of `python -m validation` take."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar

import typer

Devices = Annotated[int, typer.Option("-p", "--devices", min=1, help="Pipeline devices.")]
Microbatches = Annotated[int, typer.Option("-m", "--microbatches", min=1, help="Microbatches.")]
Layers = Annotated[int, typer.Option(min=1, help="Transformer blocks in all.")]
Width = Annotated[int, typer.Option(min=1, help="Hidden size.")]
Sequence_ = Annotated[int, typer.Option("--sequence", min=1, help="Tokens per sequence.")]
Rows = Annotated[int, typer.Option(min=1, help="Sequences per microbatch.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Refit = Annotated[
    bool, typer.Option("--refit", help="Fit the efficiencies afresh, instead of the committed.")
]
Thing = TypeVar("Thing")
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


def known_families(names: Iterable[str]) -> None:
    """Refuse a family that there is none of."""
    from sim import FAMILIES
    from sim.base.text import meant
    from sim.cli.command_line import UsageError

    for name in names:
        if name not in FAMILIES:
            raise UsageError(f"unknown family {name!r}: {meant(name, FAMILIES)}")


def in_time(things: Iterable[Thing], seconds: float) -> Iterator[Thing]:
    """The things, until so many seconds have passed."""
    began = time.monotonic()
    for thing in things:
        if time.monotonic() - began > seconds:
            return
        yield thing


def print_rows(
    rows: Iterable[Mapping[Any, Any]], digits: str = ".4g", shares: Collection[str] = ()
) -> None:
    """A table of rows that have the same columns; digits: of what is no whole number. shares: the
    columns that are told in percent."""
    from sim.show.table import print_table, table_of

    rows = [*rows]
    numbers = {
        name: all(
            isinstance(row[name], int | float | None) or row[name][:1] in "+-" for row in rows
        )
        for name in (rows[0] if rows else ())
    }
    table = table_of(*(">" * right + name.replace("_", " ") for name, right in numbers.items()))
    for row in rows:
        cells = ((value, "+.2%" if name in shares else digits) for name, value in row.items())
        table.add_row(*(_cell(*cell) for cell in cells))
    print_table(table)


def print_words(text: str) -> None:
    """A sentence, broken at the end of a terminal's line."""
    from sim.show.table import print_table

    print_table(text)


def _cell(value: Any, digits: str) -> str:
    if value is None or value != value:
        return "-"
    return format(value, digits) if isinstance(value, float) else str(value)
