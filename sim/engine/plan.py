"""A schedule made ready to play: its steps as tasks, its crossing values as channels, in ticks."""

from __future__ import annotations

import sys
from bisect import bisect
from collections.abc import Sequence, Set
from typing import NamedTuple

from ..base.numbers import Number, Ticks, common_ticks, exact, plain
from ..schedule.dependencies import reads, writes
from ..schedule.ir import QUEUES, Queue, Schedule, Step, Value
from ..schedule.lanes import lanes
from .cluster import Cluster
from .costs import Costs
from .costs_fit import first_alike
from .crossings import crossings_of, summed
from .held import left_by
from .numbering import Numbering
from .tasks import Channel, Copy, CopyLane, MemoryChange, Output, Plan, Task, Work


def planned(
    schedule: Schedule,
    costs: Costs,
    cluster: Cluster,
    *,
    iterations: int,
    optimizer: Number,
    jitter: float,
    seed: int,
) -> Plan:
    """The tasks of all devices, every time in one common tick; the arguments are `simulate`'s.

    ValueError where times are too long to be added up.
    """
    alike = first_alike(costs, schedule)
    shapes, lines = _shapes(schedule, alike, {one.value for one in summed(schedule, costs)})
    slowdown = [
        1 if step[0].kind in QUEUES else cluster.slowdown[schedule.device_of(step[0])]
        for step in shapes
    ]
    alone = [costs.duration(step) for step in shapes]
    if jitter:
        around = [float(time) * float(slow) for time, slow in zip(alone, slowdown, strict=True)]
        times = _jittered(lines, around, jitter=jitter, seed=seed, iterations=iterations)
    else:
        slowed = zip(alone, slowdown, strict=True)
        times = [(plain(exact(time) * exact(slow)),) for time, slow in slowed]
    crossings = crossings_of(schedule, costs, cluster)
    ticks = _ticks(
        {time for each in times for time in each}
        | {time for one in crossings for time in (one.hold, one.latency)}
        | {optimizer},
        how_many=iterations * (2 * schedule.n_ops + 1),
    )
    channels = [
        Channel(
            *(one.value, one.source, one.destination, one.route, one.size),
            hold=ticks.count(one.hold),
            latency=ticks.count(one.latency),
        )
        for one in crossings
    ]
    numbering = Numbering(
        schedule,
        [channel.value for channel in channels],
        alike,
        [channel.destination for channel in channels],
    )
    works = [_work(costs, step, numbering, channels) for step in shapes]
    # With jitter every step has durations of its own, otherwise all of one shape share theirs.
    durations = [tuple(map(ticks.count, each)) for each in times]
    if not jitter:
        durations = [each * iterations for each in durations]
    own = iter(durations)
    each_line = [
        [next(own) if jitter else durations[shape] for shape in line.shapes] for line in lines
    ]
    tasks = tuple(
        tuple(
            map(
                Task,
                [works[shape] for shape in line.shapes],
                [numbering.first_pass(device, position) for position in line.positions],
                line.microbatches,
                each_line[device],
            )
        )
        for device, line in enumerate(lines[: schedule.n_devices])
    )
    copies = tuple(
        _copies(costs, numbering, line, lines[line.lane[0]].positions, times)
        for line, times in zip(lines, each_line, strict=True)
        if line.lane[1] != "compute"
    )
    awaited = tuple(
        tuple(
            numbering.message(number, channel.value.microbatch)
            for number, channel in enumerate(channels)
            if channel.value.kind == "weight_gradient" and channel.destination == device
        )
        for device in range(schedule.n_devices)
    )
    return Plan(
        ticks, numbering, tuple(channels), tasks, copies, awaited, exchanges=costs.exchanges
    )


class _Line(NamedTuple):
    """The steps of a queue (lane: device and which one), shape `(n_steps,)`: the number of the
    shape of each, and microbatch and position of its first pass."""

    lane: tuple[int, Queue]
    shapes: list[int]
    microbatches: list[int]
    positions: list[int]


def _shapes(
    schedule: Schedule, alike: Sequence[int], sums: Set[Value]
) -> tuple[list[Step], list[_Line]]:
    """The distinct steps, one of each; and every step of every queue as one of them.

    Two are alike if their passes differ by the same number of microbatches, cost as much, nothing
    else is done about their memory, and none completes one of the `sums` of gradients.
    """
    numbers: dict[tuple[object, ...], int] = {}
    variants = schedule.variants
    shapes: list[Step] = []
    lines = []
    for lane in lanes(schedule):
        line = _Line((lane.device, lane.queue), [], [], [])
        for position, step in lane.steps:
            kind, stage, first, part = step[0]
            first = int(first)
            shape: tuple[object, ...] = (kind, stage, part, alike[first])
            if len(step) > 1:
                shape = tuple([(op[:2], op[2] - first, op[3], alike[op[2]]) for op in step])
            if variants:
                shape = (shape, *[variants.get(op[1:]) for op in step])
            if sums:
                shape = (shape, *({*sums} & {v for op in step for v in writes(schedule, op)}))
            number = numbers.setdefault(shape, len(shapes))
            if number == len(shapes):
                shapes.append(step)
            line.shapes.append(number)
            line.microbatches.append(first)
            line.positions.append(position)
        lines.append(line)
    return shapes, lines


def _jittered(
    lines: Sequence[_Line],
    around: Sequence[float],
    *,
    jitter: float,
    seed: int,
    iterations: int,
) -> list[tuple[Number, ...]]:
    """Random times of every step in every iteration; `around[n]` is the median of shape n."""
    import numpy as np

    # A row of factors per iteration: the first one is what a single one gets.
    order = [shape for line in lines for shape in line.shapes]
    noise = np.random.default_rng(seed).lognormal(0, jitter, (iterations, len(order))).T
    return [
        tuple((around[shape] * factors).tolist())
        for shape, factors in zip(order, noise, strict=True)
    ]


def _ticks(times: set[Number], *, how_many: int) -> Ticks:
    longest = float(max(times))
    if longest > sys.float_info.max / how_many:
        raise ValueError(
            f"a time of {longest:g} is too long: {how_many} of them add up to more than a "
            "float can hold"
        )
    return common_ticks(times, how_many=how_many)


def _work(costs: Costs, step: Step, numbering: Numbering, channels: Sequence[Channel]) -> Work:
    schedule, first = numbering.schedule, int(step[0].microbatch)
    device = schedule.device_of(step[0])
    inputs, outputs, takes, frees, loads = [], [], [], [], []
    for place, op in enumerate(step):
        for value in reads(schedule, op):
            if (channel := numbering.channel(value, device)) is not None:
                inputs.append(numbering.message(channel, int(value.microbatch) - first))
            elif value.kind == "loaded":
                loads.append((value.stage, int(value.microbatch) - first, value.slice))
        for value in writes(schedule, op):
            for channel in numbering.ways(value):
                message = numbering.message(channel, int(value.microbatch) - first)
                outputs.append(Output(message, channels[channel], place))
        change = MemoryChange(*left_by(schedule, costs, op), place)
        if change.size > 0 or change.chunks > 0:
            takes.append(change)
        elif change.size < 0 or change.chunks < 0:
            frees.append(change)
    # Onto a wire that both take, what a pass waits for goes before a sum that only the end needs.
    outputs.sort(key=lambda output: output.channel.value.kind == "weight_gradient")
    return Work(
        len(step), tuple(inputs), tuple(outputs), tuple(takes), tuple(frees), tuple(loads),
        exposed=costs.exposed(step),
    )  # fmt: skip


def _copies(
    costs: Costs,
    numbering: Numbering,
    line: _Line,
    computing: Sequence[int],
    durations: Sequence[tuple[int | float, ...]],
) -> CopyLane:
    """A copy queue of a device on which steps compute from those positions on."""
    schedule, (device, queue) = numbering.schedule, line.lane
    copies = []
    for position, times in zip(line.positions, durations, strict=True):
        order, after = schedule.orders[device], bisect(computing, position)
        op = order[position]
        last = next((p for p in range(position)[::-1] if order[p].kind not in QUEUES), None)
        size, chunks = left_by(schedule, costs, op)
        here, there = MemoryChange(size, chunks, 0), MemoryChange(-size, -chunks, 0)
        copies.append(
            Copy(
                op.kind,
                op[1:],
                numbering.first_pass(device, position),
                after,
                -1 if last is None else numbering.first_pass(device, last),
                times,
                taken=here if op.kind == "L" else there,
                freed=there if op.kind == "L" else here,
            )
        )
    return CopyLane(device, queue, schedule.store(device), len(computing), tuple(copies))
