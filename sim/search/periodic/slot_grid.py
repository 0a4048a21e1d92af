"""The slot grid: blocks for every number of devices, from times alone, where memory is scarce.

Time is cut into slots, each as long as the longest F or B with its send. The passes of a microbatch
that start at slot s form legs, which go one device further in every slot; of a V:

    F, first stages    slot s + i              device i, up
    F, last stages     slot s + 2p-1 - i       down
    B, last stages     slot s + 2p + gap + i   up
    B, first stages    slot s + 4p-1 + gap - i down

A period of N slots, N even, starts n microbatches, at even slots. Then no two F or B ever share a
slot, on any number of devices: legs that go up and legs that go down stand at slots of different
parity on every device, since 2p-1 is odd; and for two legs of one direction the distance does not
depend on the device, so it is enough to look at their slots on device 0, modulo N. W goes where
time is left over, first in first out.

A microbatch is alive for about 4p slots on a device, so a device holds about 2 p n / N shares, and
the interval is N / n slots: V-Min is n = 1, N = 6, V-Half about N = 4. With several microbatches in
a period, started at uneven distances, there is a block for every memory in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from ...schedule.ir import KINDS, Op
from ..compiled import Ints, compiled
from ..placement import stages_on
from ..settings.effort import Effort
from .budget import PLAYS_PER_PASS
from .floors import area_of
from .problem import BlockProblem
from .tables import PassTables, pass_tables
from .unroll import PeriodicOrder

MOST = 6
"""Microbatches in a period: more give ratios n / N in between that hardly differ."""
SPREAD = 6
"""Slots per microbatch up to which several share a period; beyond it one alone is as good."""
GAPS = (0, 2)
"""Slots that a microbatch waits at its turn from F to B."""
ENOUGH = 4
"""Orders of one interval: their true intervals hardly differ."""
LESS = 3
"""How many limits are tried, each a smallest stage less than the one before."""
NEARLY = Fraction(21, 20)
"""How much longer in slots the intervals for less memory may be that are tried, too."""


class Grid(NamedTuple):
    """slots: of a period. starts: the even slots in which its microbatches start. gap: even slots
    between the legs of F and those of B."""

    slots: int
    starts: tuple[int, ...]
    gap: int

    @property
    def interval(self) -> Fraction:
        """Slots per microbatch."""
        return Fraction(self.slots, len(self.starts))


class Leg(NamedTuple):
    """A pass on every device, a slot later on the next one (`up`) or on the one before. slot: on
    device 0, of a microbatch that starts in slot 0. stages: by device."""

    kind: int
    up: bool
    slot: int
    stages: tuple[int, ...]

    def on(self, device: int) -> int:
        """The slot on a device."""
        return self.slot + (device if self.up else -device)


def slot_grid_orders(
    problem: BlockProblem, most: int, effort: Effort
) -> Iterator[tuple[Grid, PeriodicOrder]]:
    """Grids, and what devices do in a period of them: some of the shortest interval in slots that
    the limit allows, with at most `most` microbatches per period.

    Those for less memory follow, as long as their intervals in slots are not much longer: played as
    early as can be, they may be shorter, and more memory must never be worse. None on placements
    other than straight and V, and without a limit.
    """
    if not legs(problem, 0) or problem.limit is None:
        return
    shortest, seen = Fraction(0), set[Grid]()
    for limit in _less_and_less(problem):
        interval = Fraction(0)
        for grid, order in _within(replace(problem, limit=limit), min(most, MOST), effort):
            interval = grid.interval
            shortest = shortest or interval
            if interval > NEARLY * shortest:
                return
            if grid not in seen:
                seen.add(grid)
                yield grid, order
        if not interval:
            return


def _less_and_less(problem: BlockProblem) -> Iterator[tuple[int, ...]]:
    """The limit, and the same with a smallest stage less on every device, again and again."""
    limit = problem.limit or ()
    steps = [
        min((problem.kept[s] for s in stages if problem.kept[s] > 0), default=0)
        for stages in problem.stages_of
    ]
    for _ in range(LESS if any(steps) else 1):
        if min(limit) < 0:
            return
        yield limit
        limit = tuple(units - step for units, step in zip(limit, steps, strict=True))


def _within(
    problem: BlockProblem, most: int, effort: Effort
) -> Iterator[tuple[Grid, PeriodicOrder]]:
    """Some of the shortest interval in slots that this limit allows."""
    tables, found = pass_tables(problem), list[Grid]()
    for grid in grids(problem, most):
        if found and (grid.interval > found[0].interval or len(found) == ENOUGH):
            return
        order = order_on(problem, tables, grid)
        effort.played(PLAYS_PER_PASS * problem.n_devices * len(grid.starts) * 6)
        if order is not None:
            found.append(grid)
            yield grid, order


def slot_of(problem: BlockProblem) -> int:
    """Ticks of a slot: the longest F or B with the send of its result."""
    sends = [*problem.send, 0], [0, *problem.send]
    return max(
        duration + send
        for durations, after in zip((problem.forward, problem.backward), sends, strict=True)
        for duration, send in zip(durations, after, strict=True)
    )


def legs(problem: BlockProblem, gap: int) -> tuple[Leg, ...]:
    """The legs of a straight pipeline or a V; none of another placement."""
    p, last = problem.n_devices, problem.n_stages - 1
    first = tuple(range(p))
    if problem.placement == stages_on(p, "straight"):
        return Leg(0, True, 0, first), Leg(1, False, 2 * p - 1 + gap, first)
    if problem.placement == stages_on(p, "v"):
        back = tuple(last - s for s in first)
        return (
            Leg(0, True, 0, first),
            Leg(0, False, 2 * p - 1, back),
            Leg(1, True, 2 * p + gap, back),
            Leg(1, False, 4 * p - 1 + gap, first),
        )
    return ()


def grids(problem: BlockProblem, most: int) -> Iterator[Grid]:
    """Grids without collisions on which what is alive on average keeps the limit, by interval."""
    directions = 2 if problem.n_stages == problem.n_devices else 4
    sizes = [
        (Fraction(slots, n), n, slots)
        for n in range(1, most + 1)
        for slots in range(directions * n, _longest(problem, n) + 1)
        if slots % 2 == 0
    ]
    for _, n, slots in sorted(sizes):
        for gap in GAPS:
            found = legs(problem, gap)
            if not _may_fit(problem, found, n, slots):
                continue
            for rest in combinations(range(2, slots, 2), n - 1):
                starts = (0, *rest)
                if _free(found, starts, slots) and _is_first_rotation(starts, slots):
                    yield Grid(slots, starts, gap)


def _longest(problem: BlockProblem, n: int) -> int:
    return SPREAD * n if n > 1 else max(SPREAD, 2 * problem.n_stages + 2)


def _is_first_rotation(starts: tuple[int, ...], slots: int) -> bool:
    """Whether the distances between starts come in the smallest of their cyclic orders: the others
    are the same grid seen from another microbatch on."""
    apart = [b - a for a, b in zip(starts, (*starts[1:], slots), strict=True)]
    return all(apart <= apart[k:] + apart[:k] for k in range(1, len(apart)))


def _free(found: tuple[Leg, ...], starts: tuple[int, ...], slots: int) -> bool:
    """Whether legs of one direction never share a slot."""
    for direction in (True, False):
        taken = [(leg.slot + s) % slots for leg in found if leg.up == direction for s in starts]
        if len(set(taken)) < len(taken):
            return False
    return True


def _may_fit(problem: BlockProblem, found: tuple[Leg, ...], n: int, slots: int) -> bool:
    """Whether the work of n microbatches fits into a period, and what is alive on average under the
    limits."""
    slot, limit = slot_of(problem), problem.limit or ()
    for d, stages in enumerate(problem.stages_of):
        area = 0
        for s in stages:
            forward, backward = (
                next(leg for leg in found if leg.kind == kind and leg.stages[d] == s).on(d)
                for kind in (0, 1)
            )
            area += area_of(problem, s, (backward - forward) * slot)
        if n * problem.work(d) > slots * slot or n * area > slots * slot * limit[d]:
            return False
    return True


def order_on(problem: BlockProblem, tables: PassTables, grid: Grid) -> PeriodicOrder | None:
    """What the devices do in a period; None if that keeps no limit, or W's do not find room."""
    found = legs(problem, grid.gap)
    n = len(grid.starts)
    rounds, first = played_on(
        np.array([leg[:3] for leg in found], np.int64),
        np.array([leg.stages for leg in found], np.int64),
        np.array(grid.starts, np.int64),
        (grid.slots, slot_of(problem), found[-1].slot // grid.slots + 8),
        (tables.duration, tables.rise, tables.net, tables.limit),
    )
    if first.size == 0:
        return None
    steps = [(Op(KINDS[kind], stage, i),) for kind, stage, i in rounds.tolist()]
    return PeriodicOrder(tuple(tuple(steps[a:b]) for a, b in pairwise(first)), n)


@compiled
def played_on(
    kinds: Ints, stages: Ints, starts: Ints, size: tuple[int, int, int],
    tables: tuple[Ints, Ints, Ints, Ints],
) -> tuple[Ints, Ints]:  # fmt: skip
    """Compiled: passes of one period, device after device, as in `DeviceOrders`, microbatches
    counted from the one that period 0 starts; empty where they do not repeat within the limits.

    kinds: (kind, up, slot) of every leg. size: slots of a period, ticks of a slot, periods to play
    until everything repeats.
    """
    slots, slot, periods = size
    duration, rise, net, limit = tables
    n_legs, n_devices = stages.shape
    n = starts.size
    per_period = 0
    for leg in range(n_legs):
        per_period += n * (1 + kinds[leg, 0])  # a B brings its W
    nothing = np.empty((0, 3), np.int64), np.empty(0, np.int64)
    found = np.empty((n_devices * per_period, 3), np.int64)
    rows = np.empty((n_legs * n, 4), np.int64)  # slot within the period, kind, stage, microbatch
    waiting = np.empty((n_legs * n * periods, 3), np.int64)  # end of B, stage, microbatch
    before = np.empty((per_period, 3), np.int64)
    now = np.empty((per_period, 3), np.int64)
    for d in range(n_devices):
        for leg in range(n_legs):
            for j in range(n):
                at = kinds[leg, 2] + starts[j] + (d if kinds[leg, 1] else -d)
                row = leg * n + j
                rows[row, 0], rows[row, 1] = at % slots, kinds[leg, 0]
                rows[row, 2], rows[row, 3] = stages[leg, d], j - n * (at // slots)
        order = np.argsort(rows[:, 0])
        head = tail = end = alive = 0
        repeats = False
        for period in range(periods):
            k = 0  # passes of this period so far
            for row in order:
                kind, stage = rows[row, 1], rows[row, 2]
                microbatch = rows[row, 3] + n * period
                if microbatch < 0:
                    continue
                start = (period * slots + rows[row, 0]) * slot
                # W's that end before the slot begins
                while head < tail:
                    x = 3 * waiting[head, 1] + 2
                    begin = max(end, waiting[head, 0])
                    if begin + duration[x] > start:
                        break
                    if k == per_period:
                        return nothing
                    now[k] = 2, waiting[head, 1], waiting[head, 2] - n * period
                    end = begin + duration[x]
                    alive += net[x]
                    head, k = head + 1, k + 1
                if k == per_period:
                    return nothing
                now[k] = kind, stage, microbatch - n * period
                k += 1
                x = 3 * stage + kind
                if alive + rise[x] > limit[d]:
                    return nothing
                alive += net[x]
                end = start + duration[x]
                if kind == 1:
                    waiting[tail] = end, stage, microbatch
                    tail += 1
            repeats = k == per_period and (now == before).all()
            before[:] = now
        if not repeats:
            return nothing
        found[d * per_period : (d + 1) * per_period] = now
    return found, np.arange(n_devices + 1) * per_period
