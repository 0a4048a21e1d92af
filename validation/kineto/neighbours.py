"""How much the passes of a run slowed each other down: they share caches, memory and cores.

A pass that ran beside others for a share of its time took longer by that share:

    seconds = alone * (1 + (slowdown - 1) * share of the other devices that computed meanwhile)

which is the simulator's model (`Cluster.neighbour_slowdown`). The slowdown is the one number that
leaves the smallest squares, with the best mean for every kind of pass and stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from sim import Trace

MOST = 3.0
"""Larger slow-downs are not looked for: then devices would be better off one after the other."""


def slowdown_by_neighbours(traces: Sequence[Trace]) -> float:
    """The slowdown while all other devices compute, at least 1; of 1 device, 1."""
    if traces[0].schedule.n_devices < 2:
        return 1.0
    rows = pd.concat([_passes(trace) for trace in traces], ignore_index=True)
    kinds, _ = pd.factorize(rows["key"])
    seconds, beside = rows["seconds"].to_numpy(float), rows["beside"].to_numpy(float)
    counts = np.bincount(kinds)

    def squares(slowdown: float) -> float:
        factor = 1 + (slowdown - 1) * beside
        alone = np.bincount(kinds, seconds / factor) / counts
        return float(((seconds - alone[kinds] * factor) ** 2).sum())

    return float(min(np.linspace(1.0, MOST, 201), key=squares))


def alone(trace: Trace, slowdown: float) -> Trace:
    """The trace with every pass as long as it would have been without neighbours."""
    rows = _passes(trace).set_index(["device", "step"])
    ops = trace.ops
    factor = 1 + (slowdown - 1) * rows["beside"].reindex(
        pd.MultiIndex.from_frame(ops[["device", "step"]])
    ).to_numpy(float)
    return replace(trace, ops=ops.assign(end=ops["start"] + (ops["end"] - ops["start"]) / factor))


def _passes(trace: Trace) -> pd.DataFrame:
    """A row per step: `device`, `step`, `key` (what it is), `seconds`, and `beside`, the mean share
    of the other devices that computed meanwhile."""
    steps = trace.ops.groupby(["device", "step"], as_index=False).agg(
        start=("start", "first"), end=("end", "first"),
        key=("kind", "+".join), stages=("stage", lambda column: "+".join(map(str, column))),
    )  # fmt: skip
    start, end = steps["start"].to_numpy(float), steps["end"].to_numpy(float)
    device = steps["device"].to_numpy()
    shared = np.zeros(len(steps))
    for other in range(trace.schedule.n_devices):
        theirs = device == other
        # Seconds of work of that device before a moment: its passes do not overlap.
        edges = np.stack([start[theirs], end[theirs]], 1).ravel()
        work = np.stack([np.cumsum(end[theirs] - start[theirs])] * 2, 1).ravel()
        work[0::2] -= end[theirs] - start[theirs]
        until = np.interp(end, edges, work) - np.interp(start, edges, work)
        shared += np.where(theirs, 0.0, until)
    seconds = end - start
    n_others = trace.schedule.n_devices - 1
    beside = np.divide(shared, seconds * n_others, out=np.zeros(len(steps)), where=seconds > 0)
    return steps.assign(
        key=steps["key"] + "@" + steps["stages"], seconds=seconds, beside=beside.clip(0, 1)
    )
