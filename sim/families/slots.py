"""Orders laid in slots of equal length: a rule for placements too winding for a formula.

In every slot a device runs what is ready: a backward before a forward, of the lowest microbatch.
What ends in one slot is ready in the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from ..schedule.ir import Op


def laid_in_slots(routes: Sequence[Sequence[int]], follows: Sequence[int]) -> tuple[list[Op], ...]:
    """The orders of all devices; every forward and full backward of a stage takes one slot.

    routes: placements, each the device of every stage. follows: which of them each microbatch
        takes.
    """
    n_devices, last = max(map(max, routes)) + 1, len(routes[0]) - 1
    ready: list[list[tuple[bool, int, int]]] = [[] for _ in range(n_devices)]
    orders: tuple[list[Op], ...] = tuple([] for _ in range(n_devices))

    def can_run(op: Op) -> None:
        device = routes[follows[op.microbatch]][op.stage]
        heappush(ready[device], (op.kind == "F", op.microbatch, op.stage))

    for i in range(len(follows)):
        can_run(Op("F", 0, i))
    while any(ready):
        now = []
        for line, order in zip(ready, orders, strict=True):
            if line:
                is_forward, i, stage = heappop(line)
                now.append(Op("F" if is_forward else "BW", stage, i))
                order.append(now[-1])
        for op in now:
            if op.kind == "F":
                turn = op._replace(kind="BW")
                can_run(op._replace(stage=op.stage + 1) if op.stage < last else turn)
            elif op.stage:
                can_run(op._replace(stage=op.stage - 1))
    return orders
