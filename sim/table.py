"""Tables for the terminal: one schedule in detail, many side by side, and the list of families."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .ir import counted
from .timeline import number

Found = Mapping[str, Any]
"""An outcome, as `outcome` gives it, or `schedule` and `error`."""


def show(picture: RenderableType) -> None:
    """Print on stdout; as wide as the terminal, or as the table where there is none."""
    usual = Console()
    width = None if usual.is_terminal else max(usual.width, 150)
    # No markup: a schedule's name may hold [brackets].
    Console(highlight=False, markup=False, emoji=False, width=width).print(picture)


def simulated(found: Found) -> RenderableType:
    """One schedule: both clocks, both bubbles, the bound, and a row per device."""
    head = Text(
        f"{found['schedule']}: {counted(found['devices'], 'device')}, "
        f"{counted(found['stages'], 'stage')}, {counted(found['microbatches'], 'microbatch')}",
        style="bold",
    )
    facts = Table.grid(padding=(0, 2))
    facts.add_row("makespan", number(found["makespan"]), _bubble(found["bubble_makespan"]))
    facts.add_row(
        "longest stage", number(found["longest_stage"]), _bubble(found["bubble_longest_stage"])
    )
    if found["gap"] is not None:
        facts.add_row(
            "lower bound",
            number(found["lower_bound"]),
            f"no order with these passes and this memory is faster on the {_clock(found)}; "
            f"this one is {found['gap']:.2%} above it",
        )
    times = found.get("iteration_times")
    if times:
        facts.add_row("iterations", "", ", ".join(map(number, times)))
    return Group(head, facts, _devices(found))


def compared(rows: Sequence[Found]) -> RenderableType:
    """Many schedules, the fastest on the chosen clock first; and why others failed."""
    good = [row for row in rows if "error" not in row]
    clock = good[0]["clock"] if good else "makespan"
    table = _table("schedule", ">makespan", ">bubble", ">longest stage", ">bubble",
                   ">peak activations", ">peak bytes", ">above bound")  # fmt: skip
    in_bytes = any(max(row["peak_bytes"]) for row in good)
    if not in_bytes:
        table.columns.pop(6)
    for row in sorted(good, key=lambda row: (row[clock], max(row["peak_activations"]))):
        cells = [
            row["schedule"],
            number(row["makespan"]),
            f"{row['bubble_makespan']:.2%}",
            number(row["longest_stage"]),
            f"{row['bubble_longest_stage']:.2%}",
            number(max(row["peak_activations"])),
            *([number(max(row["peak_bytes"]))] if in_bytes else []),
            "-" if row["gap"] is None else f"{row['gap']:.2%}",
        ]
        table.add_row(*cells)
    note = Text(
        "bubble: idle share of the clock before it. Activations in shares: what one microbatch "
        f"keeps on a whole device.\nabove bound: on the {clock.replace('_', ' ')}, over what no "
        "order of the same passes with no more memory can beat.",
        style="dim",
    )
    failed = _table("cannot be played", "because")
    for row in rows:
        if "error" in row:
            failed.add_row(row["schedule"], row["error"])
    parts: list[RenderableType] = [table, note] if good else []
    return Group(*parts, *([failed] if failed.row_count else []))


def listed(rows: Iterable[Found]) -> RenderableType:
    """The families: a row each."""
    table = _table(
        "family", "placement", "passes", "bubble", "peak", "exact when", "options", "source"
    )
    for row in rows:
        bubble = row["bubble"] + ("" if row["clock"] == "makespan" else " on the longest stage")
        table.add_row(
            row["name"], row["placement"], row["passes"], bubble if row["bubble"] else "-",
            row["peak"] or "-", _condition(row["exact_when"]), ", ".join(row["options"]) or "-",
            row["source"],
        )  # fmt: skip
    return table


def _condition(exact_when: str) -> str:
    return "always" if exact_when == "True" else exact_when


def _devices(found: Found) -> Table:
    in_bytes = any(found["peak_bytes"])
    reasons = [name for name in found["idle"][0] if name not in ("device", "busy", "idle")]
    reasons = [name for name in reasons if any(row[name] for row in found["idle"])]
    names = [">" + name.replace("_", " ") for name in reasons]
    table = _table(">device", ">busy", ">idle", *names, ">peak activations",
                   *([">peak bytes"] if in_bytes else []))  # fmt: skip
    for row in found["idle"]:
        device = row["device"]
        cells = [device, row["busy"], row["idle"], *(row[name] for name in reasons),
                 found["peak_activations"][device],
                 *([found["peak_bytes"][device]] if in_bytes else [])]  # fmt: skip
        table.add_row(*map(number, cells))
    return table


def _table(*heads: str) -> Table:
    """A table; a head that begins with > is of a column of numbers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(
            head.removeprefix(">"),
            justify="right" if head.startswith(">") else "left",
            overflow="fold",
        )
    return table


def _bubble(share: float) -> str:
    return f"bubble {share:.2%}"


def _clock(found: Found) -> str:
    return str(found["clock"]).replace("_", " ")
