"""In which order a runtime posts the messages of each device when receives are posted early."""

from __future__ import annotations

from collections.abc import Sequence

from ..schedule.ir import Schedule, Value, reads, steps, writes
from .tasks import Channel, Message


def message_order(
    schedule: Schedule, channels: Sequence[Channel]
) -> tuple[tuple[Message, ...], ...]:
    """What each device sends or receives in one iteration, in posting order, shape
    `(n_devices, any)`.

    All devices take turns, one step each; a step whose inputs are not there yet is passed over. A
    value that crosses is posted on both sides the moment its writer's turn comes: after the writer
    here, and there after whatever that device has got to. One order for all, so no two devices ever
    wait for each other; but a receive may be posted long before its value exists.
    """
    n = schedule.n_devices
    number = {channel.value: number for number, channel in enumerate(channels)}
    left = [list(steps(schedule, device))[::-1] for device in range(n)]
    posted: list[list[Message]] = [[] for _ in range(n)]
    there: set[Value] = set()
    while any(left):
        for device in range(n):
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
                    crosses = number.get(value._replace(microbatch=0))
                    if crosses is not None:
                        message = crosses * schedule.n_microbatches + int(value.microbatch)
                        for side in channels[crosses].pair:
                            posted[side].append(message)
    return tuple(map(tuple, posted))
