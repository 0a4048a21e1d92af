"""The slot grid as a schedule, for any number of devices and microbatches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ...base.numbers import Number, checked_whole
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Schedule
from ..placement import stages_on
from ..settings.methods import METHODS
from .block_schedule import block_schedule
from .slot_grid import MOST
from .smallest_interval import smallest_interval


def slot_grid(
    n_devices: int,
    n_microbatches: int,
    costs: Costs,
    *,
    placement: Literal["v", "straight"] = "v",
    memory_limit: Number | Sequence[Number] | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
    clock: Clock = "makespan",
) -> Schedule:
    """The schedule that arithmetic alone gives under a memory limit; nothing is searched.

    The block is that of `sim.search.periodic.slot_grid` with the shortest interval that the limit
    allows, one microbatch after the other where it allows none; warm-up and cool-down are played
    into idle time. With more memory it may even be a little longer: blocks for a little less are
    tried, too, but ends are then filled otherwise. memory_limit: shares of a device's whole
    activation; or memory_bytes, static bytes included. Without a limit: as much as 1F1B holds, p
    shares.

    Raises ValueError for a limit that not even one microbatch meets.

    >>> from sim import Costs, peak_activations
    >>> costs = Costs.of(16, forward=5, backward=6, weight=4, send=1)
    >>> schedule = slot_grid(8, 32, costs, memory_limit=4)
    >>> print(schedule.name, float(max(peak_activations(schedule))))
    slot-grid 4.0
    """
    if placement not in ("v", "straight"):
        raise ValueError(f"placement is {placement!r}: it must be 'v' or 'straight'")
    if clock not in ("makespan", "longest_stage"):
        raise ValueError(f"clock is {clock!r}: it must be 'makespan' or 'longest_stage'")
    stages = stages_on(checked_whole(n_devices, "n_devices"), placement)
    m = checked_whole(n_microbatches, "n_microbatches")
    if memory_limit is None and memory_bytes is None:
        memory_limit = n_devices
    block = smallest_interval(
        stages, costs, memory_limit=memory_limit, memory_bytes=memory_bytes,
        microbatches_per_period=MOST, time_limit=0,
        without=METHODS.keys() - {"slot-grid", "longer-periods"},
    )  # fmt: skip
    return block_schedule(
        block, m, costs, memory_limit=memory_limit, memory_bytes=memory_bytes, clock=clock,
        name="slot-grid",
    )  # fmt: skip
