"""The page of a Pareto front: its picture, a table of its points, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...base.text import plural
from ...schedule.clock import Clock
from ...show.pages import Cell, chart_page, share
from .figure import pareto_figure

if TYPE_CHECKING:
    import pandas as pd

READING = {
    "How to read it": (
        "A blue point is the best schedule found under a memory limit, a diamond a named schedule "
        "where its own peak is. Memory is counted in shares: one is what one microbatch keeps on a "
        "whole device until its last backward pass.",
        "No schedule of these passes can lie below the dotted line: it is a proof. Where the blue "
        "line meets it, nothing better exists; the gap tells how far apart they are.",
        "The interval is the time per microbatch in the steady state of a schedule that repeats "
        "for ever; fill and drain are not in it.",
        "Two clocks: the makespan runs from the first pass to the end of the last one on any "
        "device, the longest stage is the longest that any one device takes from its first to its "
        "last pass. A bubble is the idle share of a clock.",
    )
}

WITH_LEVERS = {
    "Levers": (
        "On the line with levers activations may also be recomputed (R) or offloaded to the host; "
        "each point says of how many. All time that is not F, B or W counts as bubble, R too.",
    )
}


def pareto_page(
    found: pd.DataFrame,
    sizes: tuple[int, int],
    *,
    clock: Clock = "makespan",
    facts: Mapping[str, str] | None = None,
    note: str = "",
    command: str = "",
) -> str:
    """The page of what `pareto` found; sizes: devices and microbatches."""
    reading = {**READING, **(WITH_LEVERS if "levers" in found else {})}
    where = f"{plural(sizes[0], 'device')}, {plural(sizes[1], 'microbatch')}"
    heading = "Bubble and interval against the memory limit"
    return chart_page(
        f"Time against memory: {where}",
        {f"{heading}; the same numbers are in the table": pareto_figure(found, clock=clock)},
        heading=heading,
        table=[_table_row(row) for row in found.to_dict("records")],
        facts=facts,
        note=note,
        command=command,
        reading=reading,
    )


def _table_row(row: Mapping[Any, Any]) -> dict[str, Cell]:
    """A row of the table."""
    return {
        "by": str(row["method"]),
        "limit": _known(row["limit"]),
        "peak": _known(row["peak"]),
        "makespan": _known(row["makespan"]),
        "bubble (makespan)": share(row["bubble_makespan"]),
        "longest stage": _known(row["longest_stage"]),
        "bubble (longest stage)": share(row["bubble_longest_stage"]),
        "gap": None if _known(row["gap"]) is None else share(row["gap"]),
        "interval": _known(row["interval"]),
        "interval bound": _known(row["interval_bound"]),
        **_levers(row),
    }


def _levers(row: Mapping[Any, Any]) -> dict[str, Cell]:
    """For how many activations something is done, where levers were allowed anywhere."""
    return {name: share(row[name]) for name in ("recomputed", "offloaded") if name in row}


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
