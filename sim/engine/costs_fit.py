"""Whether costs describe a schedule, and which of its microbatches they make alike."""

from __future__ import annotations

from ..base.numbers import checked_type
from ..schedule.ir import Schedule
from .costs import FIX, PER_PART, TABLES, Costs


def fits(costs: Costs, schedule: Schedule) -> None:
    """ValueError if `costs` do not describe the stages and slices of `schedule`."""
    checked_type(costs, Costs, FIX)
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    if costs.n_stages != schedule.n_stages:
        raise ValueError(
            f"costs describe {costs.n_stages} stages, but {schedule.name} has {schedule.n_stages}"
        )
    for name in TABLES:
        width = {len(row) for row in getattr(costs, name) or ()} - {1, schedule.n_slices}
        if width:
            raise ValueError(
                f"{name} has {min(width)} columns, but {schedule.name} has {schedule.n_slices} "
                "slices: give one column, or one per slice"
            )
    for name in PER_PART if schedule.vocabulary else ():
        found = len(getattr(costs, name))
        if found not in (1, schedule.n_devices):
            raise ValueError(
                f"{name} has {found} numbers, but {schedule.name} has {schedule.n_devices} "
                "devices: give one, or one per device"
            )
    if costs.offload is None and schedule.copies:
        raise ValueError(
            f"{schedule.name} offloads, but the costs have no time for it: give offload, the time "
            "of O, as in Costs.uniform(schedule, offload=2), or --host-bandwidth"
        )
    if costs.microbatch_scale and len(costs.microbatch_scale) != schedule.n_microbatches:
        raise ValueError(
            f"microbatch_scale has {len(costs.microbatch_scale)} rows, but {schedule.name} has "
            f"{schedule.n_microbatches} microbatches: give one per microbatch"
        )


def first_alike(costs: Costs, schedule: Schedule) -> tuple[int, ...]:
    """For each microbatch the first one that costs as much and takes the same route, shape
    `(n_microbatches,)`."""
    m = schedule.n_microbatches
    if not costs.microbatch_scale and not schedule.routes:
        return (0,) * m
    scale, follows = costs.microbatch_scale or ((),) * m, schedule.follows or (0,) * m
    first: dict[object, int] = {}
    return tuple(
        [first.setdefault(key, i) for i, key in enumerate(zip(scale, follows, strict=True))]
    )
