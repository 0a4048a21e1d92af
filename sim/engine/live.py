"""Peaks of memory where copies take it and give it back beside compute, from times of a play."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, product
from operator import itemgetter
from typing import Any, NamedTuple

from ..base.numbers import Number, exact, plain
from ..schedule.dependencies import steps
from ..schedule.ir import QUEUES, Schedule
from .costs import Costs
from .held import in_shares, left_by


class Peaks(NamedTuple):
    """The most that is live on each device, shape `(n_devices,)`: in shares, and in bytes."""

    peak_activations: tuple[Number, ...]
    peak_bytes: tuple[Number, ...]


def peaks_in_time(
    schedule: Schedule, costs: Costs, begin: Sequence[Any], finish: Sequence[Any]
) -> Peaks:
    """The peaks if every pass, device by device in order, begins and ends at those times.

    What ends at a time gives back before what begins then takes; but passes of a device that take
    no time come one after the other, and a copy that takes none ends after what begins when it
    does, as the shortest copy would.
    """
    sizes: list[list[tuple[Any, int, Fraction]]] = [[] for _ in range(schedule.n_devices)]
    chunks: list[list[tuple[Any, int, Fraction]]] = [[] for _ in range(schedule.n_devices)]
    times = zip(begin, finish, strict=True)
    for device in range(schedule.n_devices):
        store = schedule.store(device)
        now, place = None, 0  # when what computes has ended, and its place among all at that time
        for step in steps(schedule, device):
            (start, end), *_ = [next(times) for _ in step]
            first = place + 1 if start == now else 1
            last = 0 if end > start else first + 1
            copied = step[0].kind in QUEUES
            if not copied:
                now, place = end, last
            where = [(device, 1)]
            if store is not None and copied:
                where.append((store, -1))
            for op, (memory, sign) in product(step, where):
                size, count = left_by(schedule, costs, op)
                for log, change in ((sizes[memory], size), (chunks[memory], count)):
                    if change:
                        taken = sign * exact(change)
                        log.append((start, first, taken) if taken > 0 else (end, last, taken))
    static = [sum(exact(costs.static_bytes[s]) for s in held) for held in schedule.stages_of]
    shares = map(schedule.pieces, range(schedule.n_devices))
    return Peaks(
        tuple(in_shares(_highest(log), share) for log, share in zip(chunks, shares, strict=True)),
        tuple(plain(_highest(log) + size) for log, size in zip(sizes, static, strict=True)),
    )


def _highest(changes: list[tuple[Any, int, Fraction]]) -> Fraction:
    """The highest that a sum of changes gets, in the order of their times."""
    ordered = sorted(changes, key=itemgetter(0, 1))
    return max(accumulate((change for _, _, change in ordered), initial=Fraction(0)))
