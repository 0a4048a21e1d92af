"""What a play of a schedule amounts to, as one plain object: the JSON of the command line."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from ..base.numbers import Number
from ..bounds.lower_bound import lower_bound
from ..engine.costs import Costs
from ..engine.costs_changed import at_best
from ..engine.trace import Trace
from ..schedule.clock import Clock
from .metrics import (
    IDLE_COLUMNS,
    bubble,
    clock_time,
    exposed,
    host_peak_bytes,
    idle_rows,
    iteration_times,
    longest_stage,
    makespan,
    peak_bytes,
    peak_shares,
)


def summary(
    trace: Trace,
    *,
    clock: Clock = "makespan",
    costs: Costs | None = None,
    slowdown: tuple[Number, ...] = (),
) -> dict[str, Any]:
    """Both clocks, both bubbles, peaks, idle time and the lower bound of one simulated trace.

    `peak_activations` is a list per device, in shares of one device's whole activation of one
    microbatch. `lower_bound` is what no order of these passes that holds no more activations can
    beat on `clock`, and `gap` how far above it this one is (0.02: 2 %). Both are None without
    `costs` (leave them out where times were measured or random) and for several iterations.
    slowdown: of each device, as in `Cluster`, and as much as its neighbours can speed it up.
    """
    schedule = trace.schedule
    peaks = peak_shares(trace)
    bound = None
    if costs and trace.iterations == 1:
        bound = lower_bound(
            schedule,
            at_best(costs, schedule, slowdown),
            clock=clock,
            memory_limit=None if schedule.copies else max(peaks),
        )
    time = clock_time(trace, clock)
    found = {
        "schedule": schedule.name,
        "devices": schedule.n_devices,
        "microbatches": schedule.n_microbatches,
        "stages": schedule.n_stages,
        "slices": schedule.n_slices,
        "makespan": makespan(trace),
        "longest_stage": longest_stage(trace),
        "bubble_makespan": bubble(trace, "makespan"),
        "bubble_longest_stage": bubble(trace, "longest_stage"),
        "peak_activations": list(peaks),
        "peak_bytes": list(peak_bytes(trace)),
        "clock": clock,
        "lower_bound": bound,
        "gap": float(time) / float(bound) - 1 if bound else None,
        "idle": [dict(zip(IDLE_COLUMNS, row, strict=True)) for row in idle_rows(trace)],
    }
    if any(waits := exposed(trace)):
        found["exposed_all_to_all"] = list(waits)
    if schedule.copies:
        found["host_peak_bytes"] = host_peak_bytes(trace)
    if trace.iterations > 1:
        found["iteration_times"] = list(iteration_times(trace))
    answer: dict[str, Any] = plain_numbers(found)
    return answer


def plain_numbers(found: Any) -> Any:
    """The same with strict-JSON numbers: whole ones as int, others as float, None if not finite.

    >>> plain_numbers([2.0, Fraction(1, 4), math.nan])
    [2, 0.25, None]
    """
    if isinstance(found, dict):
        return {key: plain_numbers(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [plain_numbers(value) for value in found]
    if hasattr(found, "item"):  # a numpy scalar
        found = found.item()
    if isinstance(found, (float, Fraction)):
        if not math.isfinite(found):
            return None
        return int(found) if found == int(found) else float(found)
    return found
