"""What a play of a schedule amounts to, as one plain object: the JSON of the command line."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

from ..base.numbers import Number, scaled
from ..engine.costs import Costs
from ..engine.costs_changed import slower
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
    peak_activations,
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
    keeps = costs.recompute_keeps if costs else 0
    peaks = peak_shares(trace) if schedule.copies else peak_activations(schedule, keeps=keeps)
    bound = None
    if costs and trace.iterations == 1:
        bound = _bound(trace, costs, clock=clock, slowdown=slowdown)
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


def _bound(
    trace: Trace, costs: Costs, *, clock: Clock, slowdown: tuple[Number, ...]
) -> Number | None:
    from ..bounds.lower_bound import lower_bound

    schedule = trace.schedule
    if any(factor != 1 for factor in slowdown):
        # Of the devices that run a stage the fastest one: no microbatch takes less there.
        homes = zip(schedule.placement, *schedule.routes, strict=True)
        costs = slower(costs, [min(slowdown[device] for device in stage) for stage in homes])
        costs = replace(
            costs,
            vocabulary_scores=_of_parts(costs.vocabulary_scores, slowdown),
            vocabulary_gradients=_of_parts(costs.vocabulary_gradients, slowdown),
        )
    limit = None
    if not trace.schedule.copies:
        limit = max(peak_activations(trace.schedule, keeps=costs.recompute_keeps), default=0)
    return lower_bound(trace.schedule, costs, clock=clock, memory_limit=limit)


def _of_parts(times: tuple[Number, ...], slowdown: tuple[Number, ...]) -> tuple[Number, ...]:
    """Times of S or T, one number per device; one may serve all."""
    each = times if len(times) > 1 else times * len(slowdown)
    if not any(each):
        return times
    return tuple(scaled(time, factor) for time, factor in zip(each, slowdown, strict=True))
