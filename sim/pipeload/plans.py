"""How many loading agents for which memory limit: the table an execution engine looks up.

Source: the planner of Hermes, Han et al. 2024, arXiv 2409.04249. Ours plays every candidate, so
the table knows layers that differ and a disk that saturates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..base.numbers import Number
from ..metrics.metrics import peak_bytes
from .disk import PRIVATE, Disk
from .layers import MemoryLimitTooSmall, StreamedModel
from .play import stream
from .trace import latency

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("memory_limit", "loaders", "latency", "peak_bytes", "versus_load_all", "versus_keep")


def plans(
    model: StreamedModel,
    limits: Iterable[Number],
    *,
    max_loaders: int = 8,
    disk: Disk = PRIVATE,
) -> pd.DataFrame:
    """A row per memory limit: the number of `loaders` with the lowest `latency` (the fewest of
    equal ones), its `peak_bytes`, and how many times faster it is than loading everything first and
    than one loader that frees nothing (those two without a limit).

    Limits are sorted; one that no plan fits is left out. MemoryLimitTooSmall if all of them are.
    """
    import pandas as pd

    load_all = latency(stream(model, disk=disk, strategy="load-all"))
    keep = latency(stream(model, disk=disk, strategy="keep"))
    rows: list[tuple[Any, ...]] = []
    refusal: MemoryLimitTooSmall | None = None
    for limit in sorted(set(limits)):
        best: tuple[Any, ...] | None = None
        for loaders in range(1, max_loaders + 1):
            try:
                trace = stream(model, loaders=loaders, memory_limit=limit, disk=disk)
            except MemoryLimitTooSmall as error:
                refusal = error
                break
            found = latency(trace), loaders, peak_bytes(trace)[0]
            best = min(best or found, found)
        if best:
            time, loaders, peak = best
            rows.append((limit, loaders, time, peak, _ratio(load_all, time), _ratio(keep, time)))
    if not rows:
        raise refusal or ValueError("no memory limits to plan for: give at least one")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def best_plan(table: pd.DataFrame, memory: Number) -> dict[str, Any]:
    """The row of `plans` to run with that much memory: the fastest of those whose limit it covers.

    ValueError if the table begins above `memory`.
    """
    fitting = table[table["memory_limit"] <= memory]
    if fitting.empty:
        least = table["memory_limit"].min()
        raise ValueError(f"no plan for {memory} bytes: the smallest limit in the table is {least}")
    fastest = fitting.sort_values(["latency", "memory_limit"], kind="stable").iloc[0]
    return {str(key): getattr(value, "item", lambda v=value: v)() for key, value in fastest.items()}


def _ratio(slow: Number, fast: Number) -> float:
    return float(slow) / float(fast) if fast else 1.0
