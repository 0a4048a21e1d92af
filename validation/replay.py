"""A measured trace played again under other assumptions: a faster link, twice the microbatches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sim import Cluster, Costs, Link, Schedule, Trace, simulate

from .compare import pass_times


def costs_of(trace: Trace) -> Costs:
    """The costs that a trace shows: means of its pass times, and what its passes left in memory.

    Passes that a trace does not have cost what the others say: B + W where there is only BW, split
    in two halves; BW where there are B and W, their sum.
    """
    times = pass_times(trace)["time"]
    schedule = trace.schedule
    stages, slices = range(schedule.n_stages), range(schedule.n_slices)

    def table(kind: str) -> tuple[tuple[float, ...], ...] | None:
        keys = [(kind, stage, part) for stage in stages for part in slices]
        if not all(key in times.index for key in keys):
            return None
        return tuple(tuple(float(times[kind, s, j]) for j in slices) for s in stages)

    fused = table("BW")
    half = fused and tuple(tuple(time / 2 for time in row) for row in fused)
    forward = table("F")
    if forward is None:
        raise ValueError(f"the trace of {schedule.name} lacks forward passes of some stage")
    changes = _changes(trace)
    return Costs(
        forward,
        backward=table("B") or half or (),
        weight=table("W") or half or (),
        fused_backward=fused,
        activation_bytes=changes["F"],
        backward_bytes=changes["B"],
        boundary_bytes=_crossings(trace),
    )


def replay(
    trace: Trace,
    *,
    schedule: Schedule | None = None,
    latency: float | None = None,
    bandwidth: float | None = None,
    slowdown: Sequence[float] = (),
) -> Trace:
    """What the trace would have been: its own schedule or another one on the same stages.

    latency, bandwidth: of every wire; by default what a straight line through the trace's own
    transfers says. slowdown: factor of each device.
    """
    schedule = schedule or trace.schedule
    if schedule.n_stages != trace.schedule.n_stages:
        raise ValueError(
            f"{schedule.name} has {schedule.n_stages} stages, the trace {trace.schedule.n_stages}: "
            "measured passes are of those"
        )
    fitted = fitted_link(trace)
    wire = Link(
        fitted[0] if latency is None else latency,
        fitted[1] if bandwidth is None else bandwidth,
    )
    n = schedule.n_devices
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    cluster = Cluster(
        n,
        slowdown=tuple(slowdown),
        links={f"{a}->{b}": wire for a, b in pairs},
        routes={(a, b): (f"{a}->{b}",) for a, b in pairs},
    )
    return simulate(schedule, costs_of(trace), cluster)


def fitted_link(trace: Trace) -> tuple[float, float]:
    """(latency, bandwidth) of a line through bytes and seconds of the trace's transfers."""
    moved = trace.transfers
    if not len(moved):
        return 0.0, float("inf")
    seconds = (moved["end"] - moved["start"]).to_numpy(dtype=float)
    return fitted_line(moved["bytes"].to_numpy(dtype=float), seconds)


def fitted_line(sizes: Any, seconds: Any) -> tuple[float, float]:
    """(latency, bandwidth) such that seconds ~ latency + sizes / bandwidth, neither negative.

    Weighted by 1/seconds, so that small messages count as much as large ones.
    """
    if len(set(sizes)) < 2:
        return float(np.median(seconds)), float("inf")
    rows = np.stack([np.ones(len(sizes)), sizes], axis=1) / seconds[:, None]
    (latency, per_byte), *_ = np.linalg.lstsq(rows, np.ones(len(sizes)), rcond=None)
    if per_byte <= 0:
        return float(np.median(seconds)), float("inf")
    if latency < 0:
        return 0.0, float(1 / np.median(seconds / sizes))
    return float(latency), float(1 / per_byte)


def _changes(trace: Trace) -> dict[str, tuple[tuple[int, ...], ...]]:
    from sim import parse_op

    schedule = trace.schedule
    cells = {kind: np.zeros((schedule.n_stages, schedule.n_slices)) for kind in "FB"}
    frame = trace.memory[trace.memory["reason"] != "static"]
    for reason, rows in frame.groupby("reason"):
        op = parse_op(str(reason))
        if op.kind in cells:
            cells[op.kind][op.stage, op.slice] = rows["change"].median()
    return {
        kind: tuple(tuple(round(cell) for cell in row) for row in table)
        for kind, table in cells.items()
    }


def _crossings(trace: Trace) -> tuple[tuple[int, ...], ...]:
    schedule, moved = trace.schedule, trace.transfers
    forth = moved[moved["value"] == "activation"]
    sizes = forth.groupby(["stage", "slice"])["bytes"].median().to_dict()
    return tuple(
        tuple(round(sizes.get((stage, part), 0)) for part in range(schedule.n_slices))
        for stage in range(schedule.n_stages - 1)
    )
