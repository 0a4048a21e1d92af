"""A plan as text: no line is longer than a terminal is wide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from .breakdown import PARTS
from .explanation import (
    WORDS,
    Explained,
    assumptions,
    best_of_each,
    precisions_of,
    zero_bubble_or_not,
)
from .memory_table import GIB, KINDS, told
from .problem import Problem
from .rows import NO_PIPELINE, configuration_of

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80
COLUMNS = {
    "rank": "#", "schedule": "schedule", "pipeline": "p", "virtual": "v", "tensor": "t",
    "data": "d", "context": "c", "expert": "e", "microbatch": "b", "zero": "z",
    "recompute": "again", "precision": "bits", "seconds": "s",
    "samples_per_second": "samples/s", "mfu": "MFU", "bubble": "bubble", "memory_gib": "GiB",
}  # fmt: skip
"""Columns of the plan, and their heads in a narrow table."""
WHERE_THEY_DIFFER = ("virtual", "data", "context", "expert", "zero", "recompute", "precision")
"""Columns that are told in a line of their own where all rows say the same."""
USUAL = {"context": 1, "expert": 1, "precision": "bf16"}
"""What goes without saying if all rows have it."""
DECIMALS = {"seconds": 3, "samples_per_second": 3, "memory_gib": 1}
SHARES = ("mfu", "bubble")
"""Columns in percent."""


def plan_text(
    problem: Problem, table: pd.DataFrame, details: Mapping[int, Explained], *, rows: int, row: int
) -> str:
    """The whole text. details: of the rows that are shown, by rank; row: the one to look into."""
    done = table[table["status"] == "simulated"]
    parts = [f"{table.attrs['model']} on {table.attrs['machine']}"]
    answer = _wrapped(zero_bubble_or_not(table)) if len(done) else ""
    if len(done):
        best = best_of_each(table)
        parts += [
            answer,
            _listed(assumptions(problem, configuration_of(done.iloc[0]), precisions_of(table))),
            "\nThe fastest row of every schedule",
            ranking(best),
            "\nThe fastest rows",
            ranking(done.head(rows)),
            "\nWhere the seconds go, in percent of the iteration",
            _seconds(details),
        ]
        if row in details:
            parts += [
                "\n" + _wrapped(f"Row {row}: {details[row].advice}."),
                f"\nMemory of row {row} in GiB, the fullest moment of each device",
                _memory(details[row]),
            ]
    parts += [*left_out(table), _wrapped("; ".join(f"{k}: {v}" for k, v in WORDS.items()))]
    if answer:  # again where a short terminal still shows it
        parts.append(f"\n{answer}")
    return "\n".join(part for part in parts if part)


def ranking(rows: pd.DataFrame) -> str:
    """Rows of a plan as a table, with a line of what they have in common."""
    same = {name: rows[name].iloc[0] for name in WHERE_THEY_DIFFER if rows[name].nunique() == 1}
    shown = [name for name in COLUMNS if name not in same and name in rows]
    rows = rows.assign(schedule=rows["schedule"].where(rows["pipeline"] > 1, NO_PIPELINE))
    cells = [[written(name, value) for name, value in zip(shown, row, strict=True)]
             for row in rows[shown].itertuples(index=False)]  # fmt: skip
    told = [name for name, value in same.items() if USUAL.get(name) != value]
    common = ", ".join(f"{COLUMNS[name]} {same[name]}" for name in told)
    return columns([COLUMNS[name] for name in shown], cells, left=("schedule", "again", "bits")) + (
        f"\n(all: {common})" if common else ""
    )


def columns(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[str] = ()
) -> str:
    """A table as wide as its words; numbers end in one line, and words begin in one."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        " ".join(
            cell.ljust(width) if head in left else cell.rjust(width)
            for head, cell, width in zip(heads, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def left_out(table: pd.DataFrame) -> list[str]:
    """How many configurations were not simulated, why, and one example of each kind."""
    found = []
    for status, what in {
        "bound": "bounded out", "memory": "too large", "illegal": "impossible",
    }.items():  # fmt: skip
        some = table[table["status"] == status]
        if len(some):
            first = some.iloc[0]
            found.append(_wrapped(f"{len(some)} {what}, e.g. {first['key']}: {first['reason']}"))
    return found


def _seconds(details: Mapping[int, Explained]) -> str:
    """Parts of all rows in percent; those that are nothing anywhere are left out."""
    shares = {
        rank: {name: 100 * part / found.seconds.total for name, part in found.seconds.named.items()}
        for rank, found in sorted(details.items())
    }
    shown = [name for name in PARTS if any(each[name] >= 0.05 for each in shares.values())]
    rows = [[str(rank), *(_percent(each[name]) for name in shown)] for rank, each in shares.items()]
    return columns(["#", *(PARTS[name] for name in shown)], rows)


def _percent(share: float) -> str:
    return f"{round(share, 1) + 0.0:.1f}"  # no negative zero


def _memory(found: Explained) -> str:
    heads = ["device", "stages", *KINDS, "reserve", "headroom"]
    short = {"gradients": "grads", "activations": "activ.", "optimizer": "optim."}
    rows = []
    for row in told(found.devices):
        stages = ",".join(map(str, row.stages))
        if len(row.stages) > 3:
            stages = f"{row.stages[0]},{row.stages[1]},..{row.stages[-1]}"
        cells = [getattr(row, name) / GIB for name in (*KINDS, "reserve", "headroom")]
        rows.append([str(row.device), stages, *(f"{cell:.2f}" for cell in cells)])
    text = columns([short.get(head, head) for head in heads], rows)
    left = len(found.devices) - len(rows)
    return text + (f"\n({left} devices between these are in --json and --html)" if left else "")


def _listed(facts: Mapping[str, str]) -> str:
    wide = max(map(len, facts)) + 1
    return "\n".join(
        fill(f"{name + ':':<{wide}} {value}", WIDTH, subsequent_indent=" " * (wide + 1),
             break_on_hyphens=False)
        for name, value in facts.items()
    )  # fmt: skip


def written(name: str, value: Any) -> str:
    """A cell of a plan's table."""
    if name in SHARES:
        return f"{value:.1%}"
    return f"{value:.{DECIMALS[name]}f}" if name in DECIMALS else str(value)


def _wrapped(text: str) -> str:
    return fill(text, WIDTH, break_on_hyphens=False)
