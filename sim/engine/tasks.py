"""A schedule made ready to play: every step with its time in ticks and what crosses devices.

Steps that differ only in their microbatch do the same work, so it is worked out once for all. What
crosses is numbered: a **message** is a value in an iteration, counted

    number = (iteration * channels + channel) * n_microbatches + microbatch
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..base.numbers import Number, Ticks, common_ticks, exact, plain
from ..schedule.ir import Op, Schedule, Step, Value, reads, steps, writes
from .cluster import Cluster
from .costs import Costs

Pair = tuple[int, int]
Message = int
"""The number of a value and the iteration it belongs to."""


class Channel(NamedTuple):
    """The values of one kind, stage and slice, one per microbatch: all cross in the same way.

    value: the one of microbatch 0. pair: source and destination. route: the wires it occupies.
    size: bytes. hold, latency: ticks it holds the wires, and takes after that.
    """

    value: Value
    pair: Pair
    route: tuple[str, ...]
    size: Number
    hold: int | float
    latency: int | float


class Work(NamedTuple):
    """What an atomic step does, with messages numbered as if its first pass had microbatch 0.

    size: how many passes it has. inputs: messages it reads. outputs: (message, channel, place in
    the step of the pass that writes it). takes, frees: (bytes, chunks, place of the pass) taken at
    its start and given back (negative) at its end.
    """

    size: int
    inputs: tuple[Message, ...]
    outputs: tuple[tuple[Message, int, int], ...]
    takes: tuple[tuple[Number, int, int], ...]
    frees: tuple[tuple[Number, int, int], ...]


Task = tuple[Work, int, tuple[int | float, ...]]
"""A step to play: (work, microbatch of its first pass, ticks in each iteration or one for all)."""


class Tasks(NamedTuple):
    """Everything the engine plays: `per_device[d]` in order, and the channels between devices.

    n_messages: how many cross in one iteration.
    """

    ticks: Ticks
    per_device: tuple[tuple[Task, ...], ...]
    channels: tuple[Channel, ...]
    n_messages: int


def tasks(
    schedule: Schedule,
    costs: Costs,
    cluster: Cluster,
    *,
    jitter: float = 0.0,
    seed: int = 0,
    extra: Number = 0,
    repeats: int = 1,
) -> Tasks:
    """The schedule as tasks, all times in one common tick.

    extra: another time that will be counted in these ticks. repeats: how often it will be played.
    """
    numbers: dict[tuple[Any, ...], int] = {}
    order, first = [], []
    for device in range(schedule.n_devices):
        here = list(steps(schedule, device))
        order.append([numbers.setdefault(_shape(step), len(numbers)) for step in here])
        first.append([int(step[0].microbatch) for step in here])
    shapes = [tuple(Op(*one) for one in shape) for shape in numbers]
    alone = [costs.duration(step) for step in shapes]
    slowed = [cluster.slowdown[schedule.placement[step[0].stage]] for step in shapes]
    usual = [plain(exact(time) * exact(slow)) for time, slow in zip(alone, slowed, strict=True)]
    drawn = []
    if jitter:
        # A row of factors per iteration: the first one is what a single one gets.
        size = repeats, sum(map(len, order))
        noise = iter(np.random.default_rng(seed).lognormal(0, jitter, size).T)
        around = [float(time) * float(slow) for time, slow in zip(alone, slowed, strict=True)]
        drawn = [[tuple((around[n] * next(noise)).tolist()) for n in row] for row in order]

    crossings = _crossings(schedule, costs, cluster)
    distinct = {time for row in drawn for each in row for time in each} if drawn else {*usual}
    distinct |= {time for *_, hold, latency in crossings for time in (hold, latency)} | {extra}
    how_many = repeats * (2 * schedule.n_ops + 1)
    longest = max(distinct)
    if float(longest) > sys.float_info.max / how_many:
        raise ValueError(
            f"a time of {float(longest):g} is too long: {how_many} of them add up to more than a "
            "float can hold"
        )
    ticks = common_ticks(distinct, how_many=how_many)
    if drawn:
        durations = [[tuple(map(ticks.count, each)) for each in row] for row in drawn]
    else:
        counted = [(ticks.count(time),) for time in usual]
        durations = [[counted[n] for n in row] for row in order]
    channels = tuple(
        Channel(value, pair, route, size, ticks.count(hold), ticks.count(latency))
        for value, pair, route, size, hold, latency in crossings
    )
    through = {channel.value: number for number, channel in enumerate(channels)}
    works = [_work(schedule, costs, step, through) for step in shapes]
    lines = (
        tuple(zip((works[n] for n in row), microbatches, times, strict=True))
        for row, microbatches, times in zip(order, first, durations, strict=True)
    )
    return Tasks(ticks, tuple(lines), channels, len(channels) * schedule.n_microbatches)


def _shape(step: Step) -> tuple[Any, ...]:
    """The step with its microbatches counted from that of its first pass, as plain tuples."""
    first = int(step[0].microbatch)
    return tuple(
        [(kind, stage, int(microbatch) - first, part) for kind, stage, microbatch, part in step]
    )


def _crossings(
    schedule: Schedule, costs: Costs, cluster: Cluster
) -> list[tuple[Value, Pair, tuple[str, ...], Number, Number, Number]]:
    """The fields of all channels, with times as they were given."""
    found = []
    # Boundary b lies between stages b and b + 1.
    for b, (left, right) in enumerate(pairwise(schedule.placement)):
        for part in range(schedule.n_slices) if left != right else ():
            size = costs.crossing_bytes(b, part)
            for value, pair in (
                (Value("activation", b, 0, part), (left, right)),
                (Value("gradient", b + 1, 0, part), (right, left)),
            ):
                route = cluster.routes.get(pair, ())
                wires = [cluster.links[name] for name in route]
                narrow = min((wire.bandwidth for wire in wires), default=float("inf"))
                hold = exact(size) / exact(narrow) if narrow != float("inf") else exact(0)
                latency = exact(costs.send[b]) + sum(exact(wire.latency) for wire in wires)
                found.append((value, pair, route, size, plain(hold), plain(latency)))
    return found


def _work(schedule: Schedule, costs: Costs, step: Step, through: dict[Value, int]) -> Work:
    inputs: list[Message] = []
    outputs: list[tuple[Message, int, int]] = []
    takes: list[tuple[Number, int, int]] = []
    frees: list[tuple[Number, int, int]] = []

    def message(value: Value) -> tuple[Message, int] | None:
        """What crosses, and its channel; None for a value that stays."""
        channel = through.get(value._replace(microbatch=0))
        if channel is None:
            return None
        return channel * schedule.n_microbatches + value.microbatch, channel

    for place, op in enumerate(step):
        inputs += [found[0] for value in reads(schedule, op) if (found := message(value))]
        outputs += [(*found, place) for value in writes(schedule, op) if (found := message(value))]
        change, chunks = costs.change(op.kind, op.stage, op.slice), _CHUNKS[op.kind]
        if change > 0 or chunks > 0:
            takes.append((change, chunks, place))
        elif change < 0 or chunks < 0:
            frees.append((change, chunks, place))
    return Work(len(step), tuple(inputs), tuple(outputs), tuple(takes), tuple(frees))


_CHUNKS = {"F": 1, "B": 0, "W": -1, "BW": -1}
