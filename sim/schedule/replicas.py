"""Which sums of gradients cross at the end of a batch: of stages that live on several devices.

>>> from sim import FAMILIES
>>> from sim.families.chimera import chimera
>>> gradient_sums(FAMILIES["1f1b"](2, 4))
()
>>> for one in gradient_sums(chimera(2, 2)):
...     print("after", one.op, "from", one.source, "to", one.destination)
after BW0@0 from 0 to 1
after BW1@0 from 1 to 0
after BW1@1 from 0 to 1
after BW0@1 from 1 to 0
"""

from __future__ import annotations

from typing import NamedTuple

from .ir import Op, Schedule, Value


class GradientSum(NamedTuple):
    """What one device has summed of the gradients of a stage, on its way to another one that holds
    the same stage.

    op: the last of its weight gradients there, at whose end the sum is complete.
    """

    op: Op
    source: int
    destination: int

    @property
    def value(self) -> Value:
        """What crosses."""
        return Value("weight_gradient", *self.op[1:])


def gradient_sums(schedule: Schedule) -> tuple[GradientSum, ...]:
    """All of them, stage by stage: every device that ran weight gradients of a stage tells its sum
    to every other device that did, so that all end with the same gradients.

    Between two devices that is an all-reduce: each sends all it has, once. Among more of them a
    ring would send less.
    """
    if not schedule.routes:
        return ()
    last: dict[int, dict[int, Op]] = {}
    for device, order in enumerate(schedule.orders):
        for op in order:
            if op.kind in ("W", "BW"):
                last.setdefault(op.stage, {})[device] = op
    return tuple(
        GradientSum(op, source, destination)
        for stage in sorted(last)
        for source, op in sorted(last[stage].items())
        for destination in sorted(last[stage])
        if destination != source
    )
