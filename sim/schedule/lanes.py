"""The queues of a schedule, each with its steps: one that computes per device, and those of copies.

>>> from sim.schedule.ir import Schedule
>>> from sim.schedule.text import parse_op
>>> order = tuple(map(parse_op, ("F0@0", "O0@0", "F1@0", "L0@0", "BW1@0", "BW0@0")))
>>> for lane in lanes(Schedule((0,), (order,), 2)):
...     print(lane.device, lane.queue, *(op for _, step in lane.steps for op in step))
0 compute F0@0 F1@0 BW1@0 BW0@0
0 out O0@0
0 in L0@0
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .dependencies import steps
from .ir import Queue, Schedule, Step, queue_of


class Lane(NamedTuple):
    """One queue of a device; steps: its steps in order, each with the position of its first pass
    in the order of the device."""

    device: int
    queue: Queue
    steps: Iterable[tuple[int, Step]]


def lanes(schedule: Schedule) -> list[Lane]:
    """All queues: those that compute, device by device, then those of copies, where there are any.

    What computes can be gone through once where nothing is copied.
    """
    devices = range(schedule.n_devices)
    if not schedule.copies:
        return [Lane(device, "compute", _placed(schedule, device)) for device in devices]
    found: dict[tuple[int, Queue], list[tuple[int, Step]]]
    found = {(device, "compute"): [] for device in devices}
    for device in devices:
        for position, step in _placed(schedule, device):
            found.setdefault((device, queue_of(step[0].kind)), []).append((position, step))
    return [Lane(*key, steps) for key, steps in found.items()]


def _placed(schedule: Schedule, device: int) -> Iterator[tuple[int, Step]]:
    if not schedule.fused:
        yield from enumerate(zip(schedule.orders[device]))
        return
    position = 0
    for step in steps(schedule, device):
        yield position, step
        position += len(step)
