"""Schedules for torch and from torch: the `compute_only` CSV of `torch.distributed.pipelining`.

    >>> from sim import FAMILIES
    >>> print(to_torch_csv(FAMILIES["1f1b"](2, 3)), end="")
    0F0,0F1,0B0,0F2,0B1,0B2
    1F0,1B0,1F1,1B1,1F2,1B2

A row per rank, in order, without a header; a cell `{stage}{letter}{microbatch}` per pass; an empty
cell is an idle moment. torch's runtime adds the sends and receives itself: load the file with its
`_load_csv(path)`, or name it as torchtitan's `pipeline_parallel_schedule_csv`.

Fused passes are written as neighbouring cells. That is always runnable where the fused step was,
but torch then runs them one after the other, and reading the file back gives single passes.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..base.files import write_text_atomically
from .ir import Kind, Op, Schedule, Step
from .mechanisms import refuse_mechanisms
from .validate import validate


def torch_cell(op: Op) -> str:
    """A pass as torch writes it: stage, letter, microbatch.

    torch has other letters than the papers: **I** is our B (input gradient), **B** our BW (fused).

    >>> torch_cell(Op("B", stage=2, microbatch=0)), torch_cell(Op("BW", stage=2, microbatch=0))
    ('2I0', '2B0')
    """
    return f"{op.stage}{_LETTERS[op.kind]}{op.microbatch}"


def to_torch_csv(schedule: Schedule) -> str:
    """The schedule as CSV text; InvalidSchedule or ValueError if torch could not run it right.

    torch itself checks little: forwards of the last stage out of order give wrong gradients without
    a word. So whatever `validate` objects to is not written, and neither are slices of a sequence,
    for which torch has no cell. Nor are stages without a backward: torch's runtime sends the
    gradient all the same (`_add_send_recv` of torch 2.13 goes by the number of the stage alone).
    """
    validate(schedule)
    refuse_mechanisms(schedule, "a torch CSV", "write it as JSON, with --schedule-json")
    if schedule.n_slices > 1:
        raise ValueError(
            f"{schedule.name} cuts every sequence into {schedule.n_slices} slices, "
            "for which a torch CSV has no cells: build it with one slice"
        )
    return "".join(",".join(map(torch_cell, order)) + "\n" for order in schedule.orders)


def left_out(schedule: Schedule) -> str:
    """What the CSV of this schedule does not say, as one sentence; "" where it says everything.

    >>> from sim import FAMILIES
    >>> print(left_out(FAMILIES["2bp-gpipe"](2, 3)))
    2bp-gpipe runs 2 sets of passes as one step each, such as W0@0&W1@0&W2@0: a torch CSV has \
them one by one
    """
    if not schedule.fused:
        return ""
    first = "&".join(map(str, schedule.fused[0]))
    shown = first if len(first) <= 40 else f"{first[:37]}..."
    n = len(schedule.fused)
    steps = f"{n} sets of passes as one step each" if n > 1 else "1 set of passes as one step"
    return f"{schedule.name} runs {steps}, such as {shown}: a torch CSV has them one by one"


def from_torch_csv(text: str, *, name: str = "csv", n_devices: int | None = None) -> Schedule:
    """The schedule in a `compute_only` CSV, validated; its placement is where the passes are.

    torch's own cells for an overlapped pair, `(0F5;7B3)OVERLAP_F_B`, become a fused step. Its own
    orders of 1F1B and GPipe end in `0REDUCE_GRAD`, no pass: after one of its stage it is left out.
    n_devices: how many rows there must be; without it, a file that lost whole rows may go unnoticed
    if the rest is a schedule by itself.

    Raises ValueError with row, column and text of a bad cell, and InvalidSchedule for a file whose
    cells are fine but which cannot be run (passes missing or twice, a deadlock). Rows and columns
    are counted from 1 as an editor does; rank i is row i + 1.
    """
    orders: list[list[Step]] = []
    home: dict[int, int] = {}
    for rank, row in enumerate(_rows(text, name)):
        orders.append([])
        for column, cell in enumerate(row, start=1):
            spot = f"{name}: row {rank + 1}, column {column}: {_short(cell)}"
            closing = _REDUCE_GRAD.fullmatch(cell.strip())
            if closing and home.get(int(closing[1])) == rank:
                continue
            if step := _step(cell.strip(), spot):
                orders[rank].append(step)
            for op in step:
                if (other := home.setdefault(op.stage, rank)) != rank:
                    raise ValueError(
                        f"{spot} puts stage {op.stage} on rank {rank}, but row {other + 1} has it "
                        f"on rank {other}; a stage is on one rank"
                    )
        if not orders[rank]:
            raise ValueError(f"{name}: row {rank + 1} has no pass; every rank needs some")
    if not orders:
        raise ValueError(f"{name}: the file is empty; expected one row of passes per rank")
    if n_devices is not None and len(orders) != n_devices:
        raise ValueError(f"{name}: the file has {len(orders)} rows, not one per rank ({n_devices})")
    gap = next((stage for stage in range(len(home)) if stage not in home), None)
    if gap is not None:
        raise ValueError(
            f"{name}: stage {gap} is in none of the {len(orders)} rows, though stage {max(home)} "
            f"is in row {home[max(home)] + 1}; stages count from 0 without gaps"
        )
    schedule = Schedule(
        placement=tuple(home[stage] for stage in range(len(home))),
        orders=tuple(tuple(op for step in row for op in step) for row in orders),
        n_microbatches=1 + max(op.microbatch for row in orders for step in row for op in step),
        fused=tuple(step for row in orders for step in row if len(step) > 1),
        name=name,
    )
    validate(schedule)
    return schedule


def write_torch_csv(schedule: Schedule, path: str | os.PathLike[str]) -> None:
    """Write `to_torch_csv(schedule)` to `path`: the whole file, or none where it raises.

    Fused passes stand there one by one, without a word: `left_out(schedule)` has the words.
    """
    write_text_atomically(path, to_torch_csv(schedule))


def read_torch_csv(path: str | os.PathLike[str], *, n_devices: int | None = None) -> Schedule:
    """The schedule in a file, named after it; errors as in `from_torch_csv`, beginning with the
    path, and OSError."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file; expected a compute_only CSV") from None
    found = from_torch_csv(text, name=str(path), n_devices=n_devices)
    return replace(found, name=Path(path).stem)


_LETTERS: dict[Kind, str] = {"F": "F", "B": "I", "W": "W", "BW": "B"}
_KINDS: dict[str, Kind] = {letter: kind for kind, letter in _LETTERS.items()}
_CELL = re.compile(r"([0-9]{1,9})([FIWB])([0-9]{1,9})")
_OVERLAP = re.compile(r"\(([^()]*)\)OVERLAP_F_B")
_REDUCE_GRAD = re.compile(r"([0-9]{1,9})REDUCE_GRAD")
_MESSAGE = re.compile(r"[0-9]+(UNSHARD|RESHARD|REDUCE_GRAD|SEND|RECV|WAIT)(_[FB])?[0-9]*")


def _rows(text: str, name: str) -> Iterator[list[str]]:
    """The rows up to the last one that has anything in it."""
    rows = csv.reader(io.StringIO(text.rstrip(), newline=""), strict=True)
    try:
        yield from rows
    except csv.Error as error:
        raise ValueError(f"{name}: row {rows.line_num} is not CSV: {error}") from None


def _short(cell: str) -> str:
    text = cell.strip()
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _step(cell: str, spot: str) -> Step:
    """The passes of one cell; none in an empty one."""
    if not cell:
        return ()
    pair = _OVERLAP.fullmatch(cell)
    parts = [part.strip() for part in pair[1].split(";")] if pair else [cell]
    found = [_CELL.fullmatch(part) for part in parts]
    if None in found or not found:
        rule = "expected stage, one of F I W B, and microbatch, e.g. 2F0"
        if _MESSAGE.fullmatch(cell):
            rule = "it belongs to a compute_comms file; export compute_only, without messages"
        raise ValueError(f"{spot} is not a pass: {rule}")
    return tuple(
        Op(_KINDS[part[2]], int(part[1]), int(part[3])) for part in found if part is not None
    )
