"""Schedules that recompute: F keeps its input, and R rebuilds the rest before the backward.

>>> from sim import FAMILIES
>>> schedule = FAMILIES["1f1b"](2, 2)
>>> print(with_recompute(schedule, rebuilt(schedule, [0]), fused=True))
1f1b: 2 devices, 2 stages, 2 microbatches; stage 0 recomputes activations
device 0 | F0 F1 R0&BW0 R1&BW1
device 1 | F0 BW0 F1 BW1
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from .ir import Op, Schedule, Step
from .rewrite import checked_stages, rewritten


def rebuilt(schedule: Schedule, stages: Sequence[int] | None = None) -> dict[Op, Op]:
    """The R's of `stages` (of all, if not given), each with the backward pass that needs it first;
    none where there is no backward, or an R already."""
    chosen, there = checked_stages(schedule, stages), schedule.levers
    return {
        op._replace(kind="R"): op
        for order in schedule.orders
        for op in order
        if op.kind in ("B", "BW") and op.stage in chosen and op[1:] not in there
    }


def with_recompute(schedule: Schedule, before: Mapping[Op, Op], *, fused: bool) -> Schedule:
    """`schedule` with R's, each right before the pass that `before` gives it.

    fused: as one step with that pass; otherwise before the whole step that the pass is part of.
    """
    again: dict[Op, list[Op]] = defaultdict(list)
    for op, spot in before.items():
        again[spot].append(op)

    def instead(step: Step) -> list[Step]:
        if fused:
            return [tuple(new for op in step for new in (*again.get(op, ()), op))]
        return [*((new,) for op in step for new in again.get(op, ())), step]

    return rewritten(schedule, instead)
