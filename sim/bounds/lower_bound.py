"""How good any order could be: times that no schedule of the same passes can beat.

Every bound speaks about all orders of the passes of a schedule on its placement, under its costs:
how a device's own passes follow each other is free, and so is when it starts. `lower_bound` is the
best of those that apply.

    >>> from sim import FAMILIES, Costs
    >>> schedule = FAMILIES["1f1b"](4, 8)
    >>> lower_bound(schedule, Costs.uniform(schedule), clock="makespan")
    33
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ..base.numbers import Number, exact, plain
from ..engine.costs import Costs
from ..engine.costs_fit import fits
from ..schedule.clock import Clock
from ..schedule.ir import Schedule
from .bottleneck import bottleneck
from .chains import absolute, relative
from .first_backward import first_backwards
from .least_memory import check_limits
from .lever_memory import as_pulled, best_of_memory, least_interval
from .limited_memory import few_live, full_memory, late_weights, least_area
from .memory import memories
from .workload import Time, workload_of


def lower_bound(
    schedule: Schedule,
    costs: Costs,
    *,
    clock: Clock = "makespan",
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> Number:
    """The best proven lower bound on `clock` for any order of the passes of `schedule`.

    memory_limit: live activations a device may hold, in shares; memory_bytes: bytes it may hold,
    static ones included (one number, or one per device). None is unlimited; ValueError for a limit
    into which nothing fits.
    """
    fits(costs, schedule)
    check_limits(schedule, costs, memory_limit, memory_bytes)
    if clock not in ("makespan", "longest_stage"):
        raise ValueError(f"clock is {clock!r}: it must be 'makespan' or 'longest_stage'")
    work = workload_of(schedule, costs)
    devices = range(schedule.n_devices)
    held = [memories(schedule, costs, device, memory_limit, memory_bytes) for device in devices]
    if clock == "makespan":
        views = [[chains] for chains in absolute(work)]
    elif schedule.routes:  # the first pass of a device may be on any of them
        return work.time(max(work.work(device) for device in devices))
    else:  # from each device's own side, and from the first one's, which waits for all the others
        first = relative(work, schedule.placement[0])
        views = [[relative(work, device), first] for device in devices]
    best: Time = 0
    for device in devices:
        for chains in views[device]:
            best = max(best, bottleneck(work.total[device], chains))
            for queue_of, copies in work.copying:
                if queue_of == device:
                    best = max(best, bottleneck(copies, chains))
            for memory in held[device] if work.simple else ():
                for bound in (few_live, full_memory, late_weights):
                    best = max(best, bound(work, device, chains, memory))
    if clock == "longest_stage" and work.simple and work.placement == (*devices,):
        m = work.n_microbatches
        room = [min([m, *(memory.holds(d) for memory in held[d])]) for d in devices]
        best = max(best, first_backwards(work, room))
    known = work.time(best)
    if schedule.levers and (case := as_pulled(schedule, costs)):
        known = max(known, best_of_memory(case, schedule, costs, clock, memory_limit, memory_bytes))
    return known


def steady_interval(
    schedule: Schedule,
    costs: Costs,
    *,
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> Number:
    """A lower bound on the time per microbatch of any endless repetition on this placement.

    A device needs the time of its passes, a copy queue that of its copies; and a microbatch
    occupies its memory for at least the shortest way from F to the end of W, so that `sum of
    (life * size) <= limit * interval`.
    ValueError for a limit into which nothing fits.
    """
    fits(costs, schedule)
    check_limits(schedule, costs, memory_limit, memory_bytes)
    work = workload_of(schedule, costs)
    best: Time = 0
    for _, copies in work.copying:
        best = max(best, exact(sum(copies.values())) / schedule.n_microbatches)
    for device in range(schedule.n_devices):
        best = max(best, exact(work.work(device)) / schedule.n_microbatches)
        for memory in memories(schedule, costs, device, memory_limit, memory_bytes):
            if work.simple and memory.limit > 0:
                best = max(best, exact(least_area(work, device, memory)) / exact(memory.limit))
    per_unit = work.ticks.per_unit
    if schedule.levers and (case := as_pulled(schedule, costs)):
        own = least_interval(case, schedule, costs, memory_limit, memory_bytes)
        best = max(best, exact(own) * (per_unit or 1))
    interval = plain(exact(best) / per_unit) if per_unit else best
    return float(interval) if isinstance(interval, Fraction) else interval
