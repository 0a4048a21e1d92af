"""When every pass runs and how much is live, in a thousandth of the engine's time, and equal to it.

    >>> from sim import FAMILIES, Costs
    >>> schedule = FAMILIES["1f1b"](4, 8)
    >>> evaluate(schedule, Costs.uniform(schedule)).makespan
    33

It plays what `simulate` plays on its default cluster: private wires, transfers overlapped with
compute. Only the engine knows queues on a wire, stragglers and iterations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.numbers import Number, Ticks, common_ticks, exact, plain
from ..engine.costs import Costs
from ..engine.costs_fit import first_alike, fits
from ..engine.held import activations, in_shares, size_left
from ..engine.live import peaks_in_time
from ..schedule.ir import Op, Schedule
from ..schedule.replicas import gradient_sums
from .compiled import Ints, Times, peaks, play
from .schedule_arrays import KIND, Tables, broken, tables


@dataclass(frozen=True, eq=False)
class Evaluation:
    """When the passes of a schedule run, and what they hold.

    starts, ends: times of the passes of each device in order, shape `(n_devices, any)`; int64 where
        every time is a whole number.
    makespan, longest_stage: the two clocks (see `metrics`).
    peak_activations: most live activations of each device, in shares of the device's whole
        activation of one microbatch, shape `(n_devices,)`.
    peak_bytes: most live bytes of each device, with its static ones, shape `(n_devices,)`.
    """

    starts: tuple[NDArray[Any], ...]
    ends: tuple[NDArray[Any], ...]
    makespan: Number
    longest_stage: Number
    peak_activations: tuple[Number, ...]
    peak_bytes: tuple[Number, ...]


def evaluate(schedule: Schedule, costs: Costs) -> Evaluation:
    """Start and end of every pass, both clocks and the peaks of `schedule` under `costs`.

    The arrays of a schedule are made once and kept with it: evaluating it again under other costs
    costs nanoseconds per pass. Raises InvalidSchedule if the passes wait for each other for ever.
    """
    fits(costs, schedule)
    found = tables(schedule)
    ticks, duration, delay = _times(schedule, costs, found)
    start, end, done = play(
        found.first_step,
        found.first_op,
        found.step_of,
        found.reads,
        found.parts,
        found.gate,
        delay,
        duration.dtype.type(ticks.count(costs.all_reduce) if schedule.vocabulary else 0),
        duration,
    )
    if done < start.size:
        raise broken(schedule)
    bounds = pairwise(found.first_step[: schedule.n_devices + 1])  # the first queues compute
    begins = {device: start[a] for device, (a, b) in enumerate(bounds) if b > a}
    through = {device: end[found.first_step[device + 1] - 1] for device in begins}
    if schedule.routes:
        _await_sums(schedule, costs, found, ticks, end, through)
    spans = [until - begins[device] for device, until in through.items()]
    makespan = max(end.max(), *through.values()) - start.min() if start.size else 0
    begin, finish = _in_units(start, ticks), _in_units(end, ticks)
    if not found.whole:
        begin, finish = begin[found.step_of], finish[found.step_of]
    if found.place is not None:
        begin, finish = begin[found.place], finish[found.place]
        return Evaluation(
            starts=_split(schedule, begin),
            ends=_split(schedule, finish),
            makespan=_time(makespan, ticks),
            longest_stage=_time(max(spans, default=0), ticks),
            **peaks_in_time(schedule, costs, begin.tolist(), finish.tolist())._asdict(),
        )
    return Evaluation(
        starts=_split(schedule, begin),
        ends=_split(schedule, finish),
        makespan=_time(makespan, ticks),
        longest_stage=_time(max(spans, default=0), ticks),
        peak_activations=_peak_activations(schedule, costs, found),
        peak_bytes=_peak_bytes(schedule, costs, found),
    )


def _await_sums(
    schedule: Schedule,
    costs: Costs,
    found: Tables,
    ticks: Ticks,
    end: Times,
    through: dict[int, Any],
) -> None:
    """Put off when devices are through until all sums of gradients have come."""
    sums = [one for one in gradient_sums(schedule) if costs.gradient_sum[one.op.stage]]
    if not sums:
        return
    ops = (op for order in schedule.orders for op in order)
    places = range(schedule.n_ops) if found.place is None else found.place.tolist()
    step = {op: found.step_of[place] for op, place in zip(ops, places, strict=True)}
    for op, _, destination in sums:
        arrived = end[step[op]] + ticks.count(costs.gradient_sum[op.stage])
        through[destination] = max(through[destination], arrived)


def _split(schedule: Schedule, column: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """A number per pass, device by device."""
    return tuple(np.split(column, np.cumsum([len(order) for order in schedule.orders])[:-1]))


def _times(
    schedule: Schedule, costs: Costs, found: Tables
) -> tuple[Ticks, NDArray[Any], NDArray[Any]]:
    """Ticks, the duration of every step, and what the input of every pass takes to arrive."""
    placements = np.array([schedule.placement, *schedule.routes], np.int64)
    like, which = _alike(schedule, costs, found)
    steps_like = [(op,) for op in like]
    if not found.whole:
        runs = [which[a:b].tolist() for a, b in pairwise(found.first_op)]
        numbers = {key: n for n, key in enumerate(dict.fromkeys(map(tuple, runs)))}
        steps_like = [tuple(like[i] for i in key) for key in numbers]
        which = np.array([numbers[tuple(run)] for run in runs], np.int64)
    durations = [costs.duration(step) for step in steps_like]
    crosses = placements[:, :-1] != placements[:, 1:]
    sends = [send for send, away in zip(costs.send, crosses.any(axis=0), strict=True) if away]
    rest = {*(costs.gradient_sum if schedule.routes else ()), 0}
    if schedule.vocabulary:
        rest.add(costs.all_reduce)
    ticks = common_ticks({*durations, *sends, *rest}, how_many=2 * schedule.n_ops + 1)
    dtype = np.int64 if ticks.per_unit else np.float64
    counted = {time: ticks.count(time) for time in {*durations, *costs.send}}
    duration = np.array([counted[time] for time in durations], dtype)[which]
    # edge[s]: into stage s from the one before, of all routes one after the other
    edge = np.zeros((len(placements), schedule.n_stages + 1), dtype)
    edge[:, 1:-1] = np.where(crosses, np.array([counted[s] for s in costs.send], dtype), 0)
    stage = np.where(found.kind < KIND["S"], found.stage, 0) if schedule.vocabulary else found.stage
    place = stage + found.route * (schedule.n_stages + 1)
    backward = (found.kind == KIND["B"]) | (found.kind == KIND["BW"])
    delay = np.where(found.kind == KIND["F"], edge.ravel()[place], 0)
    delay = np.where(backward, edge.ravel()[place + 1], delay)
    return ticks, duration, delay.astype(dtype)


def _alike(schedule: Schedule, costs: Costs, found: Tables) -> tuple[list[Op], Ints]:
    """One of the passes that cost as much, and which of them every pass is like."""
    if not costs.microbatch_scale:
        return found.like, found.which
    numbers: dict[tuple[int, int], int] = {}
    like: list[Op] = []
    which = np.empty_like(found.which)
    alike = first_alike(costs, schedule)
    ops = [op for order in schedule.orders for op in order]
    if found.place is not None:
        ops = [ops[spot] for spot in np.argsort(found.place).tolist()]
    for place, op in enumerate(ops):
        key = int(found.which[place]), alike[op.microbatch]
        which[place] = numbers.setdefault(key, len(like))
        if which[place] == len(like):
            like.append(op)
    return like, which


def _peak_activations(schedule: Schedule, costs: Costs, found: Tables) -> tuple[Number, ...]:
    changes = [activations(schedule, op, costs.recompute_keeps) for op in found.like]
    per_unit = 1
    if schedule.levers:
        per_unit = math.lcm(*(Fraction(change).denominator for change in changes))
        changes = [int(change * per_unit) for change in changes]
    change = np.array(changes, np.int64)[found.which]
    counts = peaks(found.first_step, found.first_op, np.maximum(change, 0), np.minimum(change, 0))
    shares = map(schedule.pieces, range(schedule.n_devices))
    return tuple(
        in_shares(count, share * per_unit)
        for count, share in zip(counts.tolist(), shares, strict=True)
    )


def _peak_bytes(schedule: Schedule, costs: Costs, found: Tables) -> tuple[Number, ...]:
    like, which = _alike(schedule, costs, found)
    changes = [size_left(schedule, costs, op) for op in like]
    sizes: set[Number] = {-change if change < 0 else change for change in changes}
    ticks = common_ticks(sizes, how_many=2 * schedule.n_ops + 1)
    dtype = np.int64 if ticks.per_unit else np.float64
    counted = {size: ticks.count(size) for size in {*changes}}
    change = np.array([counted[size] for size in changes], dtype)[which]
    live = peaks(
        found.first_step, found.first_op, np.maximum(change, 0), np.minimum(change, 0)
    ).tolist()
    return tuple(
        plain(exact(_time(most, ticks)) + sum(exact(costs.static_bytes[s]) for s in stages))
        for most, stages in zip(live, schedule.stages_of, strict=True)
    )


def _in_units(counted: NDArray[Any], ticks: Ticks) -> NDArray[Any]:
    return counted if ticks.per_unit <= 1 else counted / ticks.per_unit


def _time(counted: Any, ticks: Ticks) -> Number:
    return ticks.time(counted.item() if hasattr(counted, "item") else counted)
