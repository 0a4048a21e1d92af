"""Recompute in training: torch's runtime has no pass R, and checkpointing rebuilds in the backward.

So an R right before its backward is played by checkpointing that microbatch's forward, and one that
stands anywhere else is refused: torch has nothing that would rebuild in the waits of a device.
"""

from __future__ import annotations

from dataclasses import replace

from sim import Op, Schedule, steps

Unit = tuple[int, int]
"""(stage, microbatch)"""


def rebuilt_units(schedule: Schedule) -> frozenset[Unit]:
    """What is recomputed."""
    return frozenset((s, m) for (s, m, _), lever in schedule.levers.items() if lever == "R")


def apart_from_backward(schedule: Schedule) -> Op | None:
    """The first R that does not stand right before its own backward, or None."""
    for order in schedule.orders:
        for op, after in zip(order, (*order[1:], None), strict=True):
            if op.kind == "R" and (after is None or after != op._replace(kind=after.kind)):
                return op
    return None


def without_rebuilding(schedule: Schedule) -> Schedule:
    """The same order without its R's: what torch's runtime is told."""
    rows = [
        [tuple(op for op in step if op.kind != "R") for step in steps(schedule, device)]
        for device in range(schedule.n_devices)
    ]
    return replace(
        schedule,
        orders=tuple(tuple(op for step in row for op in step) for row in rows),
        fused=tuple(step for row in rows for step in row if len(step) > 1),
    )
