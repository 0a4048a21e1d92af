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

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..base.files import write_text_atomically
from ..base.text import plural, ranges
from .ir import Kind, Op, Schedule, Step
from .torch_messages import MESSAGE, Message, check_messages
from .torch_rows import short, torch_rows
from .validate import refuse_mechanisms, validate


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


class TorchFile(NamedTuple):
    """A schedule that torch's people had in a file, and what its reader should know about it."""

    schedule: Schedule
    notes: tuple[str, ...]


def from_torch_csv(text: str, *, name: str = "csv", n_devices: int | None = None) -> Schedule:
    """The schedule in a `compute_only` CSV, validated; see `torch_file`, which says more."""
    return torch_file(text, name=name, n_devices=n_devices).schedule


def torch_file(text: str, *, name: str = "csv", n_devices: int | None = None) -> TorchFile:
    """The schedule in what torch writes, validated; its placement is where the passes are.

    text: a CSV, `compute_only` or `compute_comms`, lists of passes as torch prints them, or a table
        of steps and ranks (see `torch_rows`). None and an empty cell are idle places. torch's own
        cells for an overlapped pair, `(0F5;7B3)OVERLAP_F_B`, become a fused step. Messages are held
        against the passes and left out, as are UNSHARD and RESHARD, and REDUCE_GRAD behind the
        passes of its stage. A file with a W and no I, or with a BW, has the letters of older
        versions of torch, whose B is the input gradient.
    n_devices: how many rows there must be; without it, a file that lost whole rows may go unnoticed
        if the rest is a schedule by itself.

    Raises ValueError with the place and the text of a bad cell, for a message without its other
    side, and for a row with microbatches that no other one has; and InvalidSchedule for a file
    whose cells are fine but which cannot be run (passes missing or twice, a deadlock). Rows and
    columns are counted from 1 as an editor does; rank i is row i + 1.
    """
    rows = torch_rows(text, name)
    older = _older_letters(cell.text for row in rows for cell in row)
    orders: list[list[Step]] = []
    home: dict[int, int] = {}
    messages: list[Message] = []
    left: set[str] = set()
    for rank, row in enumerate(rows):
        orders.append([])
        for cell in row:
            spot = f"{name}: {cell.spot}: {short(cell.text)}"
            beside = _BESIDE.fullmatch(cell.text)
            if beside and (beside[2] != "REDUCE_GRAD" or home.get(int(beside[1])) == rank):
                left.add(beside[2])
                continue
            if sent := MESSAGE.fullmatch(cell.text):
                stage, what, kind, microbatch = sent.groups()
                position = sum(map(len, orders[rank]))
                where = int(stage), int(microbatch), rank, position, cell.spot
                messages.append(Message(what, kind, *where))
                continue
            if step := _step(cell.text, spot, older):
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
    flat = tuple(tuple(op for step in row for op in step) for row in orders)
    _check_strangers(flat, name)
    if messages:
        check_messages(messages, flat, home, name)
    schedule = Schedule(
        placement=tuple(home[stage] for stage in range(len(home))),
        orders=flat,
        n_microbatches=1 + max(op.microbatch for order in flat for op in order),
        fused=tuple(step for row in orders for step in row if len(step) > 1),
        name=name,
    )
    validate(schedule)
    notes = []
    if older:
        apart = any(op.kind == "B" for order in flat for op in order)
        notes.append(
            "B is the input gradient here, as in older versions of torch (now it is I)"
            if apart
            else "BW is the whole backward here, as in older versions of torch (now it is B)"
        )
    if messages:
        notes.append(f"its {plural(len(messages), 'message')} fit the passes, and are left out")
    if left:
        notes.append(f"what is no pass is left out: {', '.join(sorted(left))}")
    return TorchFile(schedule, tuple(notes))


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
_OLDER: dict[str, Kind] = {"F": "F", "B": "B", "W": "W", "BW": "BW"}
_CELL = re.compile(r"([0-9]{1,9})(F|I|W|BW|B)([0-9]{1,9})")
_OVERLAP = re.compile(r"\(([^()]*)\)OVERLAP_F_B")
_BESIDE = re.compile(r"([0-9]{1,9})(UNSHARD|RESHARD|REDUCE_GRAD)[0-9]{0,9}")


def _older_letters(cells: Iterable[str]) -> bool:
    """Whether B means the input gradient: there is a BW, or a W but no I."""
    letters = {found[2] for cell in cells if (found := _CELL.fullmatch(cell))}
    return "BW" in letters or ("W" in letters and "I" not in letters)


def _step(cell: str, spot: str, older: bool) -> Step:
    """The passes of one cell; none in an empty one."""
    if not cell:
        return ()
    pair = _OVERLAP.fullmatch(cell)
    parts = [part.strip() for part in pair[1].split(";")] if pair else [cell]
    found = [_CELL.fullmatch(part) for part in parts]
    kinds = _OLDER if older else _KINDS
    if not found or not all(part and part[2] in kinds for part in found):
        letters = "F B W" if older else "F I W B"
        raise ValueError(
            f"{spot} is not a pass: expected stage, one of {letters}, and microbatch, e.g. 2F0"
        )
    return tuple(
        Op(kinds[part[2]], int(part[1]), int(part[3])) for part in found if part is not None
    )


def _check_strangers(orders: Sequence[Sequence[Op]], name: str) -> None:
    """ValueError for a stage with microbatches that most others lack, if it lacks others."""
    seen: dict[int, set[int]] = defaultdict(set)
    for order in orders:
        for op in order:
            seen[op.stage].add(op.microbatch)
    usual, times = Counter(map(frozenset, seen.values())).most_common(1)[0]
    for rank, order in enumerate(orders):
        for op in order:
            strange, lacks = seen[op.stage] - usual, usual - seen[op.stage]
            if times > 1 and strange and lacks:
                first = op._replace(kind="F", microbatch=min(lacks))
                raise ValueError(
                    f"{name}: row {rank + 1} has {first._replace(microbatch=max(strange))} and "
                    f"lacks {first}: most stages have the microbatches {ranges(usual)}"
                )
