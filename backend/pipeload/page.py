"""Measured runs of a streamed model as a page: their time lines, and each beside its simulation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.pipeload.page import READING
from sim.pipeload.plot import streaming_figure
from sim.show.pages import Cell, chart_page, told, typed

from .profile import Measured


def pipeload_page(runs: Mapping[str, Measured], facts: Mapping[str, Any]) -> str:
    """The page of `runs`, by their names; facts: what all of them have in common."""
    named = {name.replace("_", " "): measured for name, measured in runs.items()}
    table: list[dict[str, Cell]] = [
        {
            "run": name,
            "measured (s)": (one.latency, f"{one.latency:.4g}"),
            "simulated (s)": (one.simulated, f"{one.simulated:.4g}"),
            "error": (one.simulated / one.latency - 1, f"{one.simulated / one.latency - 1:+.1%}"),
            "peak (bytes)": one.peak_bytes,
        }
        for name, one in named.items()
    ]
    return chart_page(
        f"{facts['model']}, streamed from disk",
        {name: streaming_figure(one.run.trace, unit="s") for name, one in named.items()},
        heading="Measured time line",
        table=table,
        facts=told({name: _written(value) for name, value in facts.items()}),
        command=typed(),
        reading=READING,
    )


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
