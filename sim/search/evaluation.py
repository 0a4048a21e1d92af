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
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..base.numbers import Number, Ticks, common_ticks, exact, plain
from ..engine.costs import Costs, first_alike, fits
from ..engine.held import activations, in_shares, left_by, size_left
from ..schedule.ir import KINDS, QUEUES, Op, Schedule, steps
from ..schedule.lanes import lanes
from .compiled import Ints, peaks, play, writers

_KIND = {kind: number for number, kind in enumerate(KINDS)}


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


class Tables(NamedTuple):
    """A schedule as arrays, in device order: what stays the same under all costs.

    kind, stage, route: of every pass, shape `(n_ops,)`. like: a pass of each kind, stage, slice and
    lever that occurs; which: which of these every pass is like. reads: see `compiled.writers`;
    gate: `compiled.play`. step_of: the step of every pass. first_op, first_step: where each step
    and each device begin, with the total at the end. whole: no step is a fused one. place: where
    each pass of each device in order is, where copies are listed by themselves; else None.
    """

    kind: Ints
    stage: Ints
    route: Ints | int
    like: list[Op]
    which: Ints
    reads: Ints
    gate: Ints
    step_of: Ints
    first_op: Ints
    first_step: Ints
    whole: bool
    place: Ints | None


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
        found.gate,
        delay,
        duration,
    )
    if done < start.size:
        raise _broken(schedule)
    n = schedule.n_devices  # the first queues are those that compute
    spans = [
        end[last - 1] - start[first]
        for first, last in pairwise(found.first_step[: n + 1])
        if last > first
    ]
    makespan = end.max(initial=0) - start.min() if start.size else 0
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
            **_peaks_in_time(schedule, costs, begin, finish),
        )
    return Evaluation(
        starts=_split(schedule, begin),
        ends=_split(schedule, finish),
        makespan=_time(makespan, ticks),
        longest_stage=_time(max(spans, default=0), ticks),
        peak_activations=_peak_activations(schedule, costs, found),
        peak_bytes=_peak_bytes(schedule, costs, found),
    )


def _split(schedule: Schedule, column: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """A number per pass, device by device."""
    return tuple(np.split(column, np.cumsum([len(order) for order in schedule.orders])[:-1]))


def tables(schedule: Schedule) -> Tables:
    """The arrays of `schedule`, kept with it like its other cached properties."""
    kept = cast(Tables | None, vars(schedule).get("_tables"))
    if kept is None:
        kept = vars(schedule)["_tables"] = _tables(schedule)
    return kept


def _tables(schedule: Schedule) -> Tables:
    if schedule.copies:
        return _tables_with_copies(schedule)
    ops = [op for order in schedule.orders for op in order]
    if schedule.fused:
        runs = [[len(step) for step in steps(schedule, d)] for d in range(schedule.n_devices)]
        lengths = np.array([length for run in runs for length in run], np.int64)
        per_device = [len(run) for run in runs]
    else:
        lengths = np.ones(len(ops), np.int64)
        per_device = [len(order) for order in schedule.orders]
    return _tables_of(schedule, ops, lengths, per_device)


def _tables_of(schedule: Schedule, ops: list[Op], lengths: Ints, per_device: list[int]) -> Tables:
    """The arrays of passes in that order; lengths: of their steps; per_device: how many it has."""
    kind = np.fromiter(map(_KIND.__getitem__, map(itemgetter(0), ops)), np.int64, len(ops))
    stage, microbatch, part = (
        np.fromiter(map(itemgetter(column), ops), np.int64, len(ops)) for column in (1, 2, 3)
    )
    shape = np.array((schedule.n_stages, schedule.n_microbatches, schedule.n_slices), np.int64)
    for column, size in zip((stage, microbatch, part), shape, strict=True):
        if len(ops) and (column.min() < 0 or column.max() >= size):
            raise _broken(schedule)
    code = (kind * schedule.n_stages + stage) * schedule.n_slices + part
    if schedule.levers:  # of passes that are else alike, the ones with a lever
        number = {None: 0, "R": 1, "O": 2}
        pulled = [number[schedule.levers.get(op[1:])] for op in ops]
        code = 3 * code + np.array(pulled, np.int64)
    one = np.full(code.max(initial=-1) + 1, -1)  # a pass of each kind, stage and slice
    one[code] = np.arange(len(ops))
    return Tables(
        kind,
        stage,
        route=np.array(schedule.follows, np.int64)[microbatch] if schedule.routes else 0,
        like=[ops[i] for i in one[one >= 0].tolist()],
        which=(np.cumsum(one >= 0) - 1)[code],
        reads=writers(kind, stage, microbatch, part, shape),
        gate=np.zeros(0, np.int64),
        step_of=np.repeat(np.arange(lengths.size), lengths),
        first_op=_ends(lengths),
        first_step=_ends(np.array(per_device, np.int64)),
        whole=not schedule.fused,
        place=None,
    )


def _tables_with_copies(schedule: Schedule) -> Tables:
    """The arrays of all queues, one after the other; copies also wait for what computes before."""
    queues = [(lane.device, [*lane.steps]) for lane in lanes(schedule)]
    runs = [step for _, placed in queues for _, step in placed]
    first = np.cumsum([0, *(len(order) for order in schedule.orders)])
    spots = [
        int(first[device]) + position + within
        for device, placed in queues
        for position, step in placed
        for within in range(len(step))
    ]
    place = np.empty(len(spots), np.int64)
    place[spots] = np.arange(len(spots))
    found = _tables_of(
        schedule,
        [op for run in runs for op in run],
        np.array([len(run) for run in runs], np.int64),
        [len(placed) for _, placed in queues],
    )
    gate = np.full(len(spots), -1, np.int64)
    for start, order in zip(first.tolist(), schedule.orders, strict=False):
        latest = -1
        for spot, op in enumerate(order, start):
            if op.kind in QUEUES:
                gate[place[spot]] = latest
            else:
                latest = int(place[spot])
    return found._replace(gate=gate, place=place)


def _ends(lengths: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


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
    ticks = common_ticks({*durations, *sends, 0}, how_many=2 * schedule.n_ops + 1)
    dtype = np.int64 if ticks.per_unit else np.float64
    counted = {time: ticks.count(time) for time in {*durations, *costs.send}}
    duration = np.array([counted[time] for time in durations], dtype)[which]
    # edge[s]: into stage s from the one before, of all routes one after the other
    edge = np.zeros((len(placements), schedule.n_stages + 1), dtype)
    edge[:, 1:-1] = np.where(crosses, np.array([counted[s] for s in costs.send], dtype), 0)
    place = found.stage + found.route * (schedule.n_stages + 1)
    backward = (found.kind == _KIND["B"]) | (found.kind == _KIND["BW"])
    delay = np.where(found.kind == _KIND["F"], edge.ravel()[place], 0)
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


def _peaks_in_time(
    schedule: Schedule, costs: Costs, begin: NDArray[Any], finish: NDArray[Any]
) -> dict[str, Any]:
    """Peaks where copies give memory back and take it beside compute: what ends at a time gives
    back before what begins then takes."""
    sizes: list[list[tuple[Any, int, Fraction]]] = [[] for _ in range(schedule.n_devices)]
    chunks: list[list[tuple[Any, int, Fraction]]] = [[] for _ in range(schedule.n_devices)]
    times = zip(begin.tolist(), finish.tolist(), strict=True)
    for device, order in enumerate(schedule.orders):
        store = schedule.store(device)
        for op in order:
            start, end = next(times)
            size, count = left_by(schedule, costs, op)
            where = [(device, 1)]
            if store is not None and op.kind in QUEUES:
                where.append((store, -1))
            for memory, sign in where:
                for log, change in ((sizes[memory], size), (chunks[memory], count)):
                    if change:
                        taken = sign * exact(change)
                        log.append((start, 1, taken) if taken > 0 else (end, 0, taken))
    static = [sum(exact(costs.static_bytes[s]) for s in held) for held in schedule.stages_of]
    shares = map(schedule.pieces, range(schedule.n_devices))
    return {
        "peak_activations": tuple(
            in_shares(_highest(log), share) for log, share in zip(chunks, shares, strict=True)
        ),
        "peak_bytes": tuple(
            plain(_highest(log) + size) for log, size in zip(sizes, static, strict=True)
        ),
    }


def _highest(changes: list[tuple[Any, int, Fraction]]) -> Fraction:
    """The highest that a sum of changes gets, in the order of their times."""
    ordered = sorted(changes, key=itemgetter(0, 1))
    return max(accumulate((change for _, _, change in ordered), initial=Fraction(0)))


def _in_units(counted: NDArray[Any], ticks: Ticks) -> NDArray[Any]:
    return counted if ticks.per_unit <= 1 else counted / ticks.per_unit


def _time(counted: Any, ticks: Ticks) -> Number:
    return ticks.time(counted.item() if hasattr(counted, "item") else counted)


def _broken(schedule: Schedule) -> ValueError:
    """What is wrong with a schedule that cannot be played, in the validator's words."""
    from ..schedule.validate import InvalidSchedule, validate

    try:
        validate(schedule)
    except InvalidSchedule as error:
        return error
    return ValueError(f"{schedule.name}: its passes wait for each other for ever")
