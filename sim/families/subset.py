"""How a rule that needs many microbatches serves fewer: lay out more, then leave some out."""

from __future__ import annotations

from dataclasses import replace

from ..schedule.ir import Schedule, Step


def first_microbatches(schedule: Schedule, n_microbatches: int) -> Schedule:
    """The same orders without the passes of microbatches from `n_microbatches` on.

    Valid whenever `schedule` is: no pass of one microbatch ever waits for another one's values. A
    fused step keeps the passes that are left; a single one that is left stands alone.

    >>> from sim import FAMILIES
    >>> print(first_microbatches(FAMILIES["1f1b"](2, 4), 2))
    1f1b: 2 devices, 2 stages, 2 microbatches
    device 0 | F0 F1 BW0 BW1
    device 1 | F0 BW0 F1 BW1
    """
    if n_microbatches >= schedule.n_microbatches:
        return schedule

    def kept(ops: Step) -> Step:
        return tuple(op for op in ops if op.microbatch < n_microbatches)

    follows = schedule.follows[:n_microbatches]
    alone = len({*follows}) <= len(schedule.routes)  # nobody is left on some route
    return replace(
        schedule,
        routes=() if alone else schedule.routes,
        follows=() if alone else follows,
        orders=tuple(kept(order) for order in schedule.orders),
        n_microbatches=n_microbatches,
        fused=tuple(step for step in map(kept, schedule.fused) if len(step) > 1),
    )
