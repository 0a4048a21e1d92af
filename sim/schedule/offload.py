"""Schedules that offload: O takes away what F saved, L brings it back before the backward.

>>> from sim import FAMILIES
>>> schedule = FAMILIES["1f1b"](2, 4)
>>> print(with_copies(schedule, reloads(schedule, [0])))
1f1b: 2 devices, 2 stages, 4 microbatches; stage 0 offloads activations to host memory
device 0 | F0 F1 O1 BW0 L1 F2 O2 BW1 L2 F3 BW2 BW3
device 1 | F0 BW0 F1 BW1 F2 BW2 F3 BW3
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from .dependencies import steps
from .ir import Op, Schedule, Step
from .rewrite import checked_stages, rewritten


def reloads(schedule: Schedule, stages: Sequence[int] | None = None) -> dict[Op, Op]:
    """For the L of every pass of `stages` (of all, if not given) the pass to put it before: the
    step before its backward, during which it can run.

    Left out is what has no backward, what is recomputed or offloaded already, and what is needed
    again so soon that no step lies between its forward and that one.
    """
    chosen = checked_stages(schedule, stages)
    found: dict[Op, Op] = {}
    for device in range(schedule.n_devices):
        order = computing(schedule, device)
        place = {op: number for number, step in enumerate(order) for op in step}
        for op in candidates(schedule, device, chosen):
            spot = place[op] - 1
            if spot > place[op._replace(kind="F")] + 1:
                found[op._replace(kind="L")] = order[spot][0]
    return found


def computing(schedule: Schedule, device: int) -> list[Step]:
    """The steps of a device that compute."""
    return [step for step in steps(schedule, device) if step[0].kind not in ("O", "L")]


def candidates(schedule: Schedule, device: int, stages: frozenset[int]) -> list[Op]:
    """The first backward passes of what can be offloaded, in order."""
    return [
        op
        for op in schedule.orders[device]
        if op.kind in ("B", "BW") and op.stage in stages and op[1:] not in schedule.levers
    ]


def with_copies(schedule: Schedule, before: Mapping[Op, Op], **changes: Any) -> Schedule:
    """`schedule` with L's, each before the step of the pass that `before` gives it, and with their
    O's, each right after the step of its forward. changes: of other fields."""
    back: dict[Op, list[Op]] = defaultdict(list)
    for op, spot in before.items():
        back[spot].append(op)

    def instead(step: Step) -> list[Step]:
        away = [op._replace(kind="O") for op in step if op.kind == "F"]
        return [
            *((load,) for op in step for load in back.get(op, ())),
            step,
            *((op,) for op in away if op._replace(kind="L") in before),
        ]

    return rewritten(schedule, instead, **changes)
