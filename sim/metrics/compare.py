"""Many schedules with the same costs beside each other, as a frame."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import signature
from typing import TYPE_CHECKING, Any

from ..base.numbers import Number
from ..base.text import meant
from ..bounds.lower_bound import lower_bound
from ..engine.cluster import Cluster, least_slowdown
from ..engine.costs import Costs
from ..engine.costs_changed import at_best
from ..engine.simulate import simulate
from ..families import FAMILIES
from ..schedule.clock import Clock
from ..schedule.ir import Schedule
from .metrics import bubble, clock_time, longest_stage, makespan, peak_shares

if TYPE_CHECKING:
    import pandas as pd


def compare(
    n_devices: int,
    n_microbatches: int,
    schedules: Iterable[str | Schedule] = (),
    *,
    cluster: Cluster | None = None,
    clock: Clock = "makespan",
    **costs: Number,
) -> pd.DataFrame:
    """A row per schedule, the fastest on `clock` first; those that cannot be played last.

    schedules: names of families and schedules of one's own; all families if none is given. costs:
        as `Costs.uniform` takes them, of a device's whole share.

    Columns: `schedule`, `makespan`, `bubble_makespan` (a share), `longest_stage`,
    `bubble_longest_stage`, `peak` (shares of the fullest device), `bound` (what no order of the
    same passes can beat on `clock`), and `reason`, why it could not be played. `comparison(frame)`
    draws it.

    >>> found = compare(4, 8, ["1f1b", "zb-v"], forward=10, backward=12, weight=8)
    >>> found[["schedule", "makespan", "peak"]].values.tolist()
    [['zb-v', 258, 4], ['1f1b', 330, 4]]
    """
    import pandas as pd

    known = signature(Costs.uniform).parameters
    if unknown := next((name for name in costs if name not in known), None):
        raise TypeError(
            f"compare takes no {unknown!r}: it takes what Costs.uniform does, such as forward or "
            "send; what changes a schedule is done before, as in [sim.recomputed(schedule)]"
        )
    rows: list[dict[str, Any]] = []
    factors = least_slowdown(cluster) if cluster else ()
    for each in list(schedules) or list(FAMILIES):
        name = each.name if isinstance(each, Schedule) else each
        if isinstance(each, str) and each not in FAMILIES:
            raise ValueError(f"no family {each!r}: {meant(each, FAMILIES)}")
        try:
            schedule = FAMILIES[each](n_devices, n_microbatches) if isinstance(each, str) else each
            given = Costs.uniform(schedule, **costs)
            trace = simulate(schedule, given, cluster)
        except ValueError as error:
            rows.append({"schedule": name, "reason": str(error).partition("\n")[0]})
            continue
        rows.append(
            {
                "schedule": name,
                "makespan": makespan(trace),
                "bubble_makespan": bubble(trace),
                "longest_stage": longest_stage(trace),
                "bubble_longest_stage": bubble(trace, "longest_stage"),
                "peak": max(peak_shares(trace)),
                "bound": lower_bound(schedule, at_best(given, schedule, factors), clock=clock),
                "reason": "",
                "_at": clock_time(trace, clock),
            }
        )
    rows.sort(key=lambda row: (row["reason"] != "", row.pop("_at", 0)))
    names = ("schedule", "makespan", "bubble_makespan", "longest_stage", "bubble_longest_stage",
             "peak", "bound", "reason")  # fmt: skip
    return pd.DataFrame(rows, columns=list(names))
