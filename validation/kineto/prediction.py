"""What a profiled run says about other runs: its costs, and the simulator's answer with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from statistics import fmean
from typing import Any

import pandas as pd

from sim import FAMILIES, Cluster, Costs, Link, Schedule, Trace, makespan, mechanisms, simulate
from sim.base.progress import bar

from ..compare import pass_times
from ..replay import costs_of
from .measured import Run, transits, with_host
from .neighbours import alone, slowdown_by_neighbours

DRAWS = 4000
"""Random pass times that a prediction is a mean over: the more, the smaller its own error."""


@dataclass(frozen=True)
class Prediction:
    """The costs of a run, and what the simulator makes of them.

    costs: mean times of passes as if no other device computed, each with the host's time until the
    next. slowdown: of a pass while all other devices compute. spread: standard deviation of a
    pass over its mean, pooled by size. latency: mean seconds of a transfer. makespan: mean of plays
    of the run's own schedule; measured: mean of its iterations. trace: of a play without
    randomness.
    """

    costs: Costs
    slowdown: float
    spread: float
    latency: float
    makespan: float
    measured: float
    trace: Trace

    @property
    def error(self) -> float:
        """Simulated over measured makespan, minus one."""
        return self.makespan / self.measured - 1


def predicted(run: Run, *, progress: bool = False) -> Prediction:
    """The run, simulated with the times of its own passes; progress: a bar."""
    traces = with_host(run)
    slowdown = slowdown_by_neighbours(traces)
    pooled = _pooled([alone(trace, slowdown) for trace in traces])
    costs = costs_of(pooled)
    waits = transits(run)
    base = Prediction(
        costs,
        slowdown,
        _spread(pooled),
        fmean(waits) if waits else 0.0,
        0.0,
        fmean(float(makespan(trace)) for trace in run.traces),
        run.traces[0],
    )
    return replace(
        base,
        makespan=_plays(run.schedule, base, progress=progress),
        trace=simulate(run.schedule, costs, _cluster(run.schedule, base)),
    )


def what_if(
    run: Run,
    base: Prediction,
    *,
    schedules: Sequence[Schedule] = (),
    n_microbatches: int | None = None,
    latency: float | None = None,
    progress: bool = False,
) -> dict[str, float]:
    """Predicted makespans of the same stages under other schedules, by name.

    schedules: with the same stages on the same devices; by default the run's own, and every family
    that has them. n_microbatches, latency: other than the run's. Passes a run does not have cost
    what the others say (`replay.costs_of`); what its host takes per pass stays. progress: a bar.
    """
    m = n_microbatches or run.schedule.n_microbatches
    asked = [*schedules] or _families(run.schedule, m)
    for other in asked:
        if other.placement != run.schedule.placement:
            raise ValueError(
                f"{other.name} places its stages {list(other.placement)}, the run "
                f"{list(run.schedule.placement)}: measured passes are of those"
            )
    if latency is not None:
        base = replace(base, latency=latency)
    found: dict[str, float] = {}
    with bar("trying", len(asked), shown=progress) as move:
        for other in asked:
            if move:
                move(len(found), other.name)
            found[other.name] = _plays(other, base, progress=progress)
    return found


def pass_table(run: Run) -> pd.DataFrame:
    """Per kind and stage: `count`, and `mean`, `median`, `spread` (standard deviation), `least`,
    `most` of the seconds of a pass alone, and `host`, the mean seconds from its end to the next."""
    key = ["kind", "stage"]
    frames = [trace.ops.assign(time=trace.ops.end - trace.ops.start) for trace in run.traces]
    whole = [trace.ops.end - trace.ops.start for trace in with_host(run)]
    ops = pd.concat(
        [frame.assign(host=long - frame.time) for frame, long in zip(frames, whole, strict=True)]
    )
    grouped = ops.groupby(key)
    table = grouped["time"].agg(["count", "mean", "median", "std", "min", "max"])
    table = table.rename(columns={"std": "spread", "min": "least", "max": "most"})
    return table.assign(host=grouped["host"].mean()).fillna({"spread": 0.0}).reset_index()


def _plays(schedule: Schedule, base: Prediction, *, progress: bool) -> float:
    """The mean makespan of plays in which every pass takes its mean time, give or take."""
    cluster = _cluster(schedule, base)
    if not base.spread:
        return float(makespan(simulate(schedule, base.costs, cluster)))
    jitter = sqrt(log(1 + base.spread**2))
    # The simulator's factor has median 1, and so the mean exp(jitter^2 / 2).
    even = _scaled(base.costs, exp(-(jitter**2) / 2))
    plays = max(DRAWS // schedule.n_ops, 5)
    times: list[float] = []
    with bar(f"playing {schedule.name}", plays, shown=progress) as move:
        for seed in range(plays):
            trace = simulate(schedule, even, cluster, jitter=jitter, seed=seed)
            times.append(float(makespan(trace)))
            if move:
                move(len(times), "")
    return fmean(times)


def _spread(pooled: Trace) -> float:
    """Standard deviation over mean of a pass, long passes counting for more."""
    times = pass_times(pooled)["time"]
    ops = pooled.ops[~pooled.ops.duplicated(["device", "step"], keep=False)]
    seconds = (ops["end"] - ops["start"]).to_numpy(dtype=float)
    means = times.reindex(pd.MultiIndex.from_frame(ops[["kind", "stage", "slice"]])).to_numpy()
    total = float((means**2).sum())
    return sqrt(float(((seconds - means) ** 2).sum()) / total) if total else 0.0


def _pooled(traces: Sequence[Trace]) -> Trace:
    """All iterations as one trace, for means over all passes of a kind."""
    frames, offset = [], 0
    for number, trace in enumerate(traces):
        frames.append(trace.ops.assign(iteration=number, step=trace.ops["step"] + offset))
        offset += int(trace.ops["step"].max()) + 1
    return replace(traces[0], ops=pd.concat(frames, ignore_index=True), iterations=len(traces))


def _scaled(costs: Costs, factor: float) -> Costs:
    def scaled(table: Any) -> Any:
        return table and tuple(tuple(float(cell) * factor for cell in row) for row in table)

    names = ("forward", "backward", "weight", "fused_backward")
    tables: dict[str, Any] = {name: scaled(getattr(costs, name)) for name in names}
    return replace(costs, **tables)


def _cluster(schedule: Schedule, base: Prediction) -> Cluster:
    n = schedule.n_devices
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    return Cluster(
        n,
        neighbour_slowdown=base.slowdown,
        links={f"{a}->{b}": Link(base.latency) for a, b in pairs},
        routes={(a, b): (f"{a}->{b}",) for a, b in pairs},
    )


def _families(like: Schedule, m: int) -> list[Schedule]:
    v, rest = divmod(like.n_stages, like.n_devices)
    found = []
    for family in FAMILIES.values():
        for options in ({}, {"v": v}) if not rest else ({},):
            try:
                made = family(like.n_devices, m, **options)
            except (ValueError, TypeError):
                continue
            if made.placement == like.placement and made.n_slices == 1 and not mechanisms(made):
                found.append(made)
                break
    return found
