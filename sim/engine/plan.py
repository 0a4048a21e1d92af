"""A schedule made ready to play: its steps as tasks, its crossing values as channels, in ticks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ..base.numbers import Number, Ticks, common_ticks, exact, plain
from ..schedule.ir import Op, Schedule, Step, Value, reads, steps, writes
from .cluster import Cluster
from .costs import Costs
from .numbering import Numbering
from .tasks import Channel, MemoryChange, Output, Plan, Task, Work

CHUNKS = {"F": 1, "B": 0, "W": -1, "BW": -1}
"""Activations that a pass of each kind leaves behind, in chunks."""


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
    shapes, lines = _shapes(schedule)
    slowdown = [cluster.slowdown[schedule.placement[step[0].stage]] for step in shapes]
    alone = [costs.duration(step) for step in shapes]
    if jitter:
        around = [float(time) * float(slow) for time, slow in zip(alone, slowdown, strict=True)]
        times = _jittered(lines, around, jitter=jitter, seed=seed, iterations=iterations)
    else:
        slowed = zip(alone, slowdown, strict=True)
        times = [(plain(exact(time) * exact(slow)),) for time, slow in slowed]
    crossings = _crossings(schedule, costs, cluster)
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
    numbering = Numbering(schedule, [channel.value for channel in channels])
    works = [_work(costs, step, numbering, channels) for step in shapes]
    # With jitter every step has durations of its own, otherwise all of one shape share theirs.
    durations = [tuple(map(ticks.count, each)) for each in times]
    if not jitter:
        durations = [each * iterations for each in durations]
    own = iter(durations)
    tasks = tuple(
        tuple(
            map(
                Task,
                [works[shape] for shape in line.shapes],
                [numbering.first_pass(device, position) for position in line.positions],
                line.microbatches,
                [next(own) if jitter else durations[shape] for shape in line.shapes],
            )
        )
        for device, line in enumerate(lines)
    )
    return Plan(ticks, numbering, tuple(channels), tasks)


class _Line(NamedTuple):
    """The steps of a device, shape `(n_steps,)`: the number of the shape of each, and microbatch
    and position of its first pass."""

    shapes: list[int]
    microbatches: list[int]
    positions: list[int]


def _shapes(schedule: Schedule) -> tuple[list[Step], list[_Line]]:
    """The distinct steps with microbatches counted from that of the first pass; and every step of
    every device as one of them."""
    numbers: dict[tuple[tuple[str, int, int, int], ...], int] = {}
    lines = []
    for device in range(schedule.n_devices):
        line, position = _Line([], [], []), 0
        for step in steps(schedule, device):
            first = int(step[0].microbatch)
            shape = tuple([(kind, stage, int(m) - first, part) for kind, stage, m, part in step])
            line.shapes.append(numbers.setdefault(shape, len(numbers)))
            line.microbatches.append(first)
            line.positions.append(position)
            position += len(step)
        lines.append(line)
    return [tuple(Op(*one) for one in shape) for shape in numbers], lines  # type: ignore[arg-type]


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


class _Crossing(NamedTuple):
    """A `Channel` with its times as they were given."""

    value: Value
    source: int
    destination: int
    route: tuple[str, ...]
    size: Number
    hold: Number
    latency: Number


def _crossings(schedule: Schedule, costs: Costs, cluster: Cluster) -> list[_Crossing]:
    found = []
    # Boundary b lies between stages b and b + 1.
    for b, (left, right) in enumerate(pairwise(schedule.placement)):
        for part in range(schedule.n_slices) if left != right else ():
            size = costs.crossing_bytes(b, part)
            for value, source, destination in (
                (Value("activation", b, 0, part), left, right),
                (Value("gradient", b + 1, 0, part), right, left),
            ):
                route = cluster.routes.get((source, destination), ())
                wires = [cluster.links[name] for name in route]
                narrow = min((wire.bandwidth for wire in wires), default=float("inf"))
                hold = exact(size) / exact(narrow) if narrow != float("inf") else exact(0)
                latency = exact(costs.send[b]) + sum(exact(wire.latency) for wire in wires)
                found.append(
                    _Crossing(value, source, destination, route, size, plain(hold), plain(latency))
                )
    return found


def _work(costs: Costs, step: Step, numbering: Numbering, channels: Sequence[Channel]) -> Work:
    schedule = numbering.schedule
    inputs, outputs, takes, frees = [], [], [], []
    for place, op in enumerate(step):
        for value in reads(schedule, op):
            if (channel := numbering.channel(value)) is not None:
                inputs.append(numbering.message(channel, value.microbatch))
        for value in writes(schedule, op):
            if (channel := numbering.channel(value)) is not None:
                message = numbering.message(channel, value.microbatch)
                outputs.append(Output(message, channels[channel], place))
        size = costs.change(op.kind, op.stage, op.slice)
        change = MemoryChange(size, CHUNKS[op.kind], place)
        if change.size > 0 or change.chunks > 0:
            takes.append(change)
        elif change.size < 0 or change.chunks < 0:
            frees.append(change)
    return Work(len(step), tuple(inputs), tuple(outputs), tuple(takes), tuple(frees))
