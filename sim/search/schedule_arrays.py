"""A schedule as arrays, for compiled loops: passes queue by queue, and what each of them reads."""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple, cast

import numpy as np

from ..schedule.dependencies import steps
from ..schedule.ir import KINDS, PARTS, QUEUES, Op, Schedule
from ..schedule.lanes import lanes
from .compiled import Ints, writers

KIND = {kind: number for number, kind in enumerate(KINDS)}


class Tables(NamedTuple):
    """A schedule as arrays, in device order: what stays the same under all costs.

    kind, stage, route: of every pass, shape `(n_ops,)`. like: a pass of each kind, stage, slice and
    lever that occurs; which: which of these every pass is like. reads: see `compiled.writers`.
    parts: what passes read of all parts of the vocabulary, in the same numbers, shape
    `(n_ops, n_devices)`, empty where it is not cut. gate: see `compiled.play`. step_of: the step of
    every pass. first_op, first_step: where each step and each device begin, with the total at the
    end. whole: no step is a fused one. place: where each pass of each device in order is, where
    copies are listed by themselves; else None.
    """

    kind: Ints
    stage: Ints
    route: Ints | int
    like: list[Op]
    which: Ints
    reads: Ints
    parts: Ints
    gate: Ints
    step_of: Ints
    first_op: Ints
    first_step: Ints
    whole: bool
    place: Ints | None


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
    kind = np.fromiter(map(KIND.__getitem__, map(itemgetter(0), ops)), np.int64, len(ops))
    stage, microbatch, part = (
        np.fromiter(map(itemgetter(column), ops), np.int64, len(ops)) for column in (1, 2, 3)
    )
    shape = np.array((schedule.n_stages, schedule.n_microbatches, schedule.n_slices), np.int64)
    of_part = kind >= KIND["S"]
    known = np.where(of_part, 0, stage)
    for column, size in zip((known, microbatch, part), shape, strict=True):
        if len(ops) and (column.min() < 0 or column.max() >= size):
            raise broken(schedule)
    numbers = max(schedule.n_stages, schedule.n_devices)
    own = stage[of_part]
    if own.size and not (schedule.vocabulary and 0 <= own.min() <= own.max() < schedule.n_devices):
        raise broken(schedule)
    code = (kind * numbers + stage) * schedule.n_slices + part
    if schedule.levers:  # of passes that are else alike, the ones with a lever
        number = {None: 0, "R": 1, "O": 2}
        pulled = [number[schedule.levers.get(op[1:])] for op in ops]
        code = 3 * code + np.array(pulled, np.int64)
    parts = np.zeros((0, 0), np.int64)
    if schedule.vocabulary:
        parts = _of_all_parts(schedule, kind, stage, microbatch * schedule.n_slices + part)
    one = np.full(code.max(initial=-1) + 1, -1)  # a pass of each kind, stage and slice
    one[code] = np.arange(len(ops))
    return Tables(
        kind,
        stage,
        route=np.array(schedule.follows, np.int64)[microbatch] if schedule.routes else 0,
        like=[ops[i] for i in one[one >= 0].tolist()],
        which=(np.cumsum(one >= 0) - 1)[code],
        reads=writers(kind, known, microbatch, part, shape),
        parts=parts,
        gate=np.zeros(0, np.int64),
        step_of=np.repeat(np.arange(lengths.size), lengths),
        first_op=_ends(lengths),
        first_step=_ends(np.array(per_device, np.int64)),
        whole=not schedule.fused,
        place=None,
    )


def _of_all_parts(schedule: Schedule, kind: Ints, stage: Ints, unit: Ints) -> Ints:
    """What passes read of all parts of the vocabulary; and what an S reads, of the last stage.

    unit: microbatch and slice of every pass, as one number.
    """
    last, p = schedule.n_stages - 1, schedule.n_devices
    units = schedule.n_microbatches * schedule.n_slices
    wrote = np.full((3, units, p), -2, np.int64)  # F of the last stage, S and T of all parts
    forwards = np.flatnonzero((kind == KIND["F"]) & (stage == last))
    wrote[0, unit[forwards], 0] = forwards
    for row, letter in enumerate(PARTS, 1):
        ops = np.flatnonzero(kind == KIND[letter])
        wrote[row, unit[ops], stage[ops]] = ops
    found = np.full((kind.size, p), -1, np.int64)
    scores, gradients = kind == KIND["S"], kind == KIND["T"]
    found[scores, 0] = wrote[0, unit[scores], 0]
    found[gradients] = wrote[1, unit[gradients]]
    ends = ((kind == KIND["B"]) | (kind == KIND["BW"])) & (stage == last)
    found[ends] = wrote[1 if schedule.vocabulary == 1 else 2, unit[ends]]
    return found


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


def broken(schedule: Schedule) -> ValueError:
    """What is wrong with a schedule that cannot be played, in the validator's words."""
    from ..schedule.validate import InvalidSchedule, validate

    try:
        validate(schedule)
    except InvalidSchedule as error:
        return error
    return ValueError(f"{schedule.name}: its passes wait for each other for ever")
