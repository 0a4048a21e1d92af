"""In which order a runtime posts the messages of each device when receives are posted early."""

from __future__ import annotations

from ..schedule.dependencies import reads, steps, writes
from ..schedule.ir import QUEUES, Value
from .numbering import Message
from .tasks import Plan


def posting_order(plan: Plan) -> tuple[tuple[Message, ...], ...]:
    """What each device sends or receives in the first iteration, in the order of posting, shape
    `(n_devices, any)`.

    All devices take turns, one step each; a step whose inputs are not there yet is passed over. A
    value that crosses is posted on both sides the moment its writer's turn comes: after the writer
    here, and there after whatever that device has got to. One order for all, so no two devices ever
    wait for each other; but a receive may be posted long before its value exists. Copies beside
    compute are no step in this: they go with the step that computes next.
    """
    numbering, schedule = plan.numbering, plan.numbering.schedule
    n = schedule.n_devices
    left = [list(steps(schedule, device))[::-1] for device in range(n)]
    posted: list[list[Message]] = [[] for _ in range(n)]
    there: set[Value] = set()
    while any(left):
        for device in range(n):
            if not left[device]:
                continue
            while left[device] and left[device][-1][0].kind in QUEUES:
                there.update(writes(schedule, left[device].pop()[0]))
            if not left[device]:
                continue
            step = left[device][-1]
            needs = {value for op in step for value in reads(schedule, op)}
            made = {value for op in step for value in writes(schedule, op)}
            if not needs - made <= there:
                continue
            left[device].pop()
            there |= made
            for op in step:
                for value in writes(schedule, op):
                    if value.kind == "weight_gradient":
                        continue  # summed on a stream of its own
                    for number in numbering.ways(value):
                        message = numbering.message(number, int(value.microbatch))
                        posted[plan.channels[number].source].append(message)
                        posted[plan.channels[number].destination].append(message)
    return tuple(map(tuple, posted))
