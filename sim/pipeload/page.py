"""Runs of a streamed model as a page: a table, and the time line of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..base.text import plural
from ..engine.trace import Trace
from ..show.pages import Cell, chart_page
from .disk import Disk
from .layers import StreamedModel
from .play import stream
from .plot import streaming_figure

HEADS = {
    "memory_limit": "memory limit (bytes)",
    "peak_bytes": "peak (bytes)",
    "versus_load_all": "against loading all first",
    "versus_keep": "against one loader that keeps all",
}
READING = {
    "How to read it": (
        "Every bar is a layer with its number: above while a loader reads it from disk, in the "
        "row of inference while it is computed. A pale bar is the time a loader waits until enough "
        "memory is free; layers are freed once they are computed.",
        "The lower picture is the memory in use, with the limit dashed. All loaders share one "
        "disk.",
    )
}


def pipeload_page(
    model: StreamedModel,
    rows: Sequence[Mapping[str, Any]],
    *,
    disk: Disk,
    facts: Mapping[str, str] | None = None,
    command: str = "",
) -> str:
    """The page of some plans, as rows with a limit and a number of loaders each.

    facts, command: as in `sim.show.pages.chart_page`.
    """
    traces = {}
    for row in rows:
        limit, loaders = row["memory_limit"], row["loaders"]
        label = f"{limit:,} bytes, {plural(loaders, 'loader')}"
        traces[label] = stream(model, loaders=loaders, memory_limit=limit, disk=disk)
    table: list[dict[str, Cell]] = [
        {HEADS.get(name, name): _cell(name, value) for name, value in row.items()} for row in rows
    ]
    only = next(iter(traces)) if len(traces) == 1 else "Time line of a plan"
    return streaming_page(
        model.name, traces, heading=only, table=table, facts=facts, command=command
    )


def streaming_page(
    model: str,
    traces: Mapping[str, Trace],
    *,
    heading: str,
    table: Sequence[Mapping[str, Cell]],
    facts: Mapping[str, str] | None = None,
    command: str = "",
    unit: str = "",
) -> str:
    """The page of some runs of one model, simulated or measured.

    model: its name, for the title. traces: by what each run is called. heading: over the pictures.
    table, facts, command: as in `sim.show.pages.chart_page`. unit: of the times, for the axis.
    """
    return chart_page(
        f"{model}, streamed from disk",
        {name: streaming_figure(trace, unit=unit) for name, trace in traces.items()},
        heading=heading,
        table=table,
        facts=facts,
        command=command,
        reading=READING,
    )


def _cell(name: str, value: float) -> Cell:
    return (value, f"{value:.2f} times as fast") if name.startswith("versus") else value
