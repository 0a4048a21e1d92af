"""One row of a plan as a page: its time line, its memory, its idle time, and what it is."""

from __future__ import annotations

from typing import Any

from ..base.text import plural
from ..metrics.summary import summary
from ..show.pages import facts_of
from ..show.report import page
from .problem import Problem
from .rows import configuration_of
from .timeline import shortened, timeline

FACTS = (
    "rank", "samples_per_second", "mfu", "memory_gib", "pipeline", "virtual", "tensor", "data",
    "expert", "microbatch", "microbatches", "sequence", "batch", "recompute", "zero", "layout",
)  # fmt: skip
"""Columns of the plan that the page tells."""
WORDS = {"mfu": "MFU", "memory_gib": "memory (GiB)"}


def row_page(problem: Problem, row: Any, *, command: str = "") -> str:
    """The page of a simulated row; of many microbatches it plays the first few."""
    whole = configuration_of(row)
    played = shortened(whole, 3 * whole.pipeline)
    trace = timeline(problem, played)
    found = summary(trace, clock=problem.clock)
    facts = {"model": problem.model.name, "cluster": problem.machine.name}
    facts |= facts_of({WORDS.get(name, name): _written(row[name]) for name in FACTS})
    few = played.n_microbatches
    note = "" if few == whole.n_microbatches else (
        f"Played here with {plural(few, 'microbatch')} instead of {whole.n_microbatches}, to be "
        "looked at: clocks and bubbles below are of those, speed and memory above of all."
    )  # fmt: skip
    devices = plural(whole.n_devices, "device")
    title = f"{problem.model.name} on {devices}: {whole.schedule}, row {row['rank']} of the plan"
    return page([(found, trace)], title=title, facts=facts, unit="s", note=note, command=command)


def _written(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
