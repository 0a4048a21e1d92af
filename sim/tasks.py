"""A schedule made ready to play: every step with its time in ticks and what crosses devices."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from .cluster import Cluster
from .costs import Costs
from .exact import Number, Ticks, common_ticks, exact, plain
from .ir import Op, Schedule, Step, Value, reads, steps, writes

Pair = tuple[int, int]
Crossing = Callable[[Value, Pair], tuple[int | float, int | float]]
"""(value, (source, destination)) -> (ticks it holds the wires, ticks of latency after that)."""


class Task(NamedTuple):
    """One atomic step of one device.

    durations: ticks in each iteration; a single one serves all. inputs: values it reads that
    another device writes. outputs: values it writes that another device reads, with the pass that
    writes them. takes, frees: (bytes, chunks, pass) taken at its start and given back (negative) at
    its end.
    """

    step: Step
    durations: tuple[int | float, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[tuple[Value, Op], ...]
    takes: tuple[tuple[Number, int, Op], ...]
    frees: tuple[tuple[Number, int, Op], ...]


class Tasks(NamedTuple):
    """Everything the engine plays: `per_device[d]` in order, and the times of a crossing."""

    ticks: Ticks
    per_device: tuple[tuple[Task, ...], ...]
    crossing: Crossing


def home(schedule: Schedule, value: Value) -> tuple[int, int]:
    """The devices that write and read an activation or a gradient."""
    other = value.stage + 1 if value.kind == "activation" else value.stage - 1
    return schedule.placement[value.stage], schedule.placement[other]


def boundary(value: Value) -> int:
    """The number of the stage boundary a value crosses: b lies between stages b and b + 1."""
    return value.stage if value.kind == "activation" else value.stage - 1


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
    order = [list(steps(schedule, device)) for device in range(schedule.n_devices)]
    # A row of factors per iteration: the first one is what a single one gets.
    noise = (
        iter(np.random.default_rng(seed).lognormal(0, jitter, (repeats, sum(map(len, order)))).T)
        if jitter
        else None
    )

    @cache
    def shape(*parts: tuple[str, int, int]) -> Number:
        return costs.duration(tuple(Op(kind, stage, 0, part) for kind, stage, part in parts))  # type: ignore[arg-type]

    def durations(step: Step, device: int) -> tuple[Number, ...]:
        time = shape(*((op.kind, op.stage, op.slice) for op in step))
        if noise is None:
            return (scaled(time, device),)
        usual = float(time) * float(cluster.slowdown[device])
        return tuple((usual * next(noise)).tolist())

    @cache
    def scaled(time: Number, device: int) -> Number:
        return plain(exact(time) * exact(cluster.slowdown[device]))

    times = [[durations(step, device) for step in order[device]] for device in range(len(order))]

    @cache
    def held(stage_boundary: int, part: int, pair: Pair) -> tuple[Number, Number]:
        wires = [cluster.links[name] for name in cluster.routes.get(pair, ())]
        size = exact(costs.crossing_bytes(stage_boundary, part))
        narrow = min((wire.bandwidth for wire in wires), default=float("inf"))
        hold = size / exact(narrow) if narrow != float("inf") else exact(0)
        latency = exact(costs.send[stage_boundary]) + sum(exact(wire.latency) for wire in wires)
        return plain(hold), plain(latency)

    crossings = [
        time
        for b, (left, right) in enumerate(
            zip(schedule.placement, schedule.placement[1:], strict=False)
        )
        if left != right
        for part in range(schedule.n_slices)
        for pair in ((left, right), (right, left))
        for time in held(b, part, pair)
    ]
    distinct = {time for row in times for each in row for time in each} | {*crossings, extra}
    how_many = repeats * (2 * schedule.n_ops + 1)
    longest = max(distinct)
    if float(longest) > sys.float_info.max / how_many:
        raise ValueError(
            f"a time of {float(longest):g} is too long: {how_many} of them add up to more than a "
            "float can hold"
        )
    ticks = common_ticks(distinct, how_many=how_many)
    counted = {time: ticks.count(time) for time in distinct}

    @cache
    def crossing(stage_boundary: int, part: int, pair: Pair) -> tuple[int | float, int | float]:
        hold, latency = held(stage_boundary, part, pair)
        return counted[hold], counted[latency]

    return Tasks(
        ticks,
        tuple(
            tuple(
                _task(schedule, costs, step, tuple(counted[time] for time in each))
                for step, each in zip(order[device], times[device], strict=True)
            )
            for device in range(schedule.n_devices)
        ),
        lambda value, pair: crossing(boundary(value), value.slice, pair),
    )


def _task(schedule: Schedule, costs: Costs, step: Step, durations: tuple[int | float, ...]) -> Task:
    placement = schedule.placement
    inputs: list[Value] = []
    outputs: list[tuple[Value, Op]] = []
    takes: list[tuple[Number, int, Op]] = []
    frees: list[tuple[Number, int, Op]] = []
    for op in step:
        here = placement[op.stage]
        for value in reads(schedule, op):
            if value.kind in CROSSING and placement[value.stage] != here:
                inputs.append(value)
        for value in writes(schedule, op):
            if value.kind in CROSSING and home(schedule, value)[1] != here:
                outputs.append((value, op))
        change, chunks = costs.change(op.kind, op.stage, op.slice), _CHUNKS[op.kind]
        if change > 0 or chunks > 0:
            takes.append((change, chunks, op))
        elif change < 0 or chunks < 0:
            frees.append((change, chunks, op))
    return Task(step, durations, tuple(inputs), tuple(outputs), tuple(takes), tuple(frees))


CROSSING = frozenset({"activation", "gradient"})
"""The kinds of value that may have to cross between devices."""
_CHUNKS = {"F": 1, "B": 0, "W": -1, "BW": -1}
