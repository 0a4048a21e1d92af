"""What devices do on a slot grid, with W's that may leave their slots, and which grid is the best.

F and B stand in the slots of the grid, and time is left between them. If a W had to end before the
next slot begins, slots would have to be long enough for all: so it may push the next pass by a part
of its own length, which later gaps make good. Slots are as long as the work needs, all alike or the
second of every two as long as is left; and before an F that the limit has no room for, W's run at
once, whatever they push. All that only decides an order: how fast it repeats, played as early as it
can be, is worked out exactly (`rounds.critical`), and the fastest of some hundred orders is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from ...families.blocks.block import settled_weights
from ...families.v_half import v_half_block
from ...families.v_min import v_min_block
from ..compiled import Ints, compiled, overwrite
from ..settings.effort import Effort
from .budget import PLAYS_PER_PASS
from .climb import busiest
from .floors import work_bound
from .problem import BlockProblem
from .rounds import critical, rounds_of_passes, runs_with
from .slot_grid import MOST, Grid, grids, legs, slot_of
from .tables import PassTables, in_copies, pass_tables, peaks
from .unit_blocks import UnitBlock, rounds_of_block
from .unroll import DeviceOrders, PeriodicOrder, unrolled_orders

LATE = (0, 1, 2, 3, 4)
"""By how many quarters of the longest W a W may push the next pass."""
LONGER = (Fraction(1), Fraction(16, 15))
"""How much longer slots are than the work of a period needs."""
NEARLY = Fraction(49, 50)
"""How much shorter than its slots a period may become, played as early as it can be."""
LESS = 3
"""How many limits are tried, each a smallest stage less than the one before."""
OFFERED = 3
"""How many of the fastest orders are given: the first may not do where passes have no length."""


class Found(NamedTuple):
    """interval: ticks per microbatch. grid: None of a published block."""

    interval: Fraction
    grid: Grid | None
    order: PeriodicOrder


def slot_grid_orders(problem: BlockProblem, most: int, effort: Effort) -> list[Found]:
    """Some of the fastest orders on grids, the fastest first, with at most `most` microbatches per
    period. Orders for a little less memory are among them: they may be faster, and more memory must
    never be worse; and the published blocks of a V. None on placements other than straight and V,
    and without a limit.
    """
    if not legs(problem, 0) or problem.limit is None:
        return []
    tables = pass_tables(problem)
    race = _Race(problem, {n: in_copies(tables, n) for n in range(1, min(most, MOST) + 1)}, effort)
    for block in _published(problem):
        if (peaks(unrolled_orders(block, 1, 4 * problem.n_devices), tables) <= tables.limit).all():
            race.enter(block, None, 1)
    for limit in _less_and_less(problem):
        scarcer = replace(problem, limit=limit)
        limited = tables._replace(limit=np.array(limit, np.int64))
        for grid in grids(scarcer, max(race.copies)):
            if race.over(grid.interval * slot_of(problem) * NEARLY):
                break
            for passes in orders_on(scarcer, limited, grid, effort):
                race.enter(passes, grid, len(grid.starts))
    return race.best


@dataclass
class _Race:
    """The fastest orders so far. copies: the tables of so many microbatches. seen: all orders."""

    problem: BlockProblem
    copies: dict[int, PassTables]
    effort: Effort
    best: list[Found] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)

    def over(self, least: Fraction) -> bool:
        """Whether nothing of at least so many ticks per microbatch, or more than the work, wins."""
        return bool(self.best) and self.best[0].interval <= max(
            least, Fraction(work_bound(self.problem))
        )

    def enter(self, passes: DeviceOrders, grid: Grid | None, n: int) -> None:
        """Take an order of n microbatches per period if it is faster than all before."""
        if (key := passes.passes.tobytes()) in self.seen:
            return
        self.seen.add(key)
        rounds, copies = rounds_of_passes(passes, n, self.problem.n_stages), self.copies[n]
        starts = np.zeros(rounds.order.size, np.int64)
        self.effort.played(PLAYS_PER_PASS * len(passes.passes))
        if self.best:
            best = self.best[0].interval
            if not runs_with(rounds, copies, best.numerator * n, best.denominator, starts):
                return
        ticks, periods, _ = critical(rounds, copies, busiest(rounds, copies), starts)
        interval = Fraction(ticks, periods * n) if periods > 0 else None
        if interval and (not self.best or interval < self.best[0].interval):
            self.best = [Found(interval, grid, periodic(passes, n)), *self.best][:OFFERED]


def periodic(passes: DeviceOrders, n: int) -> PeriodicOrder:
    """The order of a period of n microbatches."""
    return PeriodicOrder(tuple(tuple((op,) for op in line) for line in passes.ops()), n)


def _published(problem: BlockProblem) -> Iterator[DeviceOrders]:
    """V-Half and V-Min, every W in the first cell after its B that is free."""
    if problem.n_stages == problem.n_devices or problem.n_devices < 2:
        return
    for block_of in (v_half_block, v_min_block):
        block = block_of(problem.n_devices)
        cells = np.array([*block.offsets.values(), settled_weights(block)], np.int64)
        yield rounds_of_block(UnitBlock(cells, block.interval), np.array(block.placement, np.int64))


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


def in_arrays(problem: BlockProblem, grid: Grid) -> tuple[tuple[Ints, Ints, Ints], int]:
    """Legs (kind, up, slot), their stages, and the starts, as compiled code takes them; and how
    many periods it has to play until everything repeats."""
    found = legs(problem, grid.gap)
    arrays = [leg[:3] for leg in found], [leg.stages for leg in found], grid.starts
    kinds, stages, starts = (np.array(array, np.int64) for array in arrays)
    return (kinds, stages, starts), found[-1].slot // grid.slots + 8


def orders_on(
    problem: BlockProblem, tables: PassTables, grid: Grid, effort: Effort
) -> Iterator[DeviceOrders]:
    """What the devices do in a period of a grid, in some ways; none that do not keep the limit."""
    on_legs, plays = in_arrays(problem, grid)
    shortest = slot_of(problem) * grid.slots
    work = len(grid.starts) * work_bound(problem)
    unit = len(LATE) - 1  # of a tick and of a slot
    longest = max(*problem.forward, *problem.backward)
    periods = sorted({max(shortest, math.ceil(work * longer)) for longer in LONGER})
    for period in periods:
        for half, late in product((unit * period, unit * grid.slots * longest), LATE):
            rounds, first = played_on(
                *on_legs,
                (grid.slots, 2 * unit * period, half, plays),
                grid.slots * max(problem.weight) * late,
                (unit * grid.slots * tables.duration, tables.rise, tables.net, tables.limit),
            )
            effort.played(len(rounds) * plays)
            if first.size:
                yield DeviceOrders(rounds, first)
            if not max(problem.weight):
                break


@compiled
def played_on(
    kinds: Ints, stages: Ints, starts: Ints, size: tuple[int, int, int, int], late: int,
    tables: tuple[Ints, Ints, Ints, Ints],
) -> tuple[Ints, Ints]:  # fmt: skip
    """Compiled: passes of one period, device after device, as in `DeviceOrders`, microbatches
    counted from the one that period 0 starts; empty where they do not repeat within the limits.

    kinds: (kind, up, slot) of every leg. size: slots of a period, ticks of two slots and of the
    first of them, periods to play until everything repeats. late: ticks by which a W may push the
    pass in the next slot. Slots are counted along the legs that go up, in every device from the
    moment they pass, so that those have even numbers everywhere.
    """
    slots, pair, half, periods = size
    duration, rise, net, limit = tables
    n_legs, n_devices = stages.shape
    n = starts.size
    per_period = 0
    for leg in range(n_legs):
        per_period += n * (1 + kinds[leg, 0])  # a B brings its W
    nothing = np.empty((0, 3), np.int64), np.empty(0, np.int64)
    found = np.empty((n_devices * per_period, 3), np.int64)
    waiting = np.empty((n_legs * n * periods, 3), np.int64)  # end of B, stage, microbatch
    before = np.empty((per_period, 3), np.int64)
    now = np.empty((per_period, 3), np.int64)
    for d in range(n_devices):
        rows = rows_on(kinds, stages, starts, slots, d)
        head = tail = end = alive = 0
        repeats = False
        for period in range(periods):
            k = 0  # passes of this period so far
            for row in range(rows.shape[0]):
                kind, stage = rows[row, 1], rows[row, 2]
                microbatch = rows[row, 3] + n * period
                if microbatch < 0:
                    continue
                here = period * slots + rows[row, 0]
                start = here // 2 * pair + here % 2 * half
                here = 3 * stage + kind
                # W's that end soon enough, or that the limit asks for
                while head < tail:
                    x = 3 * waiting[head, 1] + 2
                    w_end = max(end, waiting[head, 0]) + duration[x]
                    if w_end > start + late and alive + rise[here] <= limit[d]:
                        break
                    if k == per_period:
                        return nothing
                    now[k, 0], now[k, 1] = 2, waiting[head, 1]
                    now[k, 2] = waiting[head, 2] - n * period
                    end = w_end
                    alive += net[x]
                    head, k = head + 1, k + 1
                if k == per_period or alive + rise[here] > limit[d]:
                    return nothing
                now[k, 0], now[k, 1], now[k, 2] = kind, stage, microbatch - n * period
                k += 1
                alive += net[here]
                end = max(start, end) + duration[here]
                if kind == 1:
                    waiting[tail, 0], waiting[tail, 1], waiting[tail, 2] = end, stage, microbatch
                    tail += 1
            repeats = k == per_period and (now == before).all()
            overwrite(before, now)
        if not repeats:
            return nothing
        overwrite(found[d * per_period : (d + 1) * per_period], now)
    return found, np.arange(n_devices + 1) * per_period


@compiled
def rows_on(kinds: Ints, stages: Ints, starts: Ints, slots: int, d: int) -> Ints:
    """Compiled: the F and B of a period on device d: slot, kind, stage, microbatch, by slot."""
    n_legs, n = kinds.shape[0], starts.size
    rows, taken = np.empty((slots, 4), np.int64), np.zeros(slots, np.bool_)
    for leg in range(n_legs):
        for j in range(n):
            at = kinds[leg, 2] + starts[j] - (0 if kinds[leg, 1] else 2 * d)
            here = at % slots  # a slot holds one pass at most
            taken[here] = True
            rows[here, 0], rows[here, 1] = here, kinds[leg, 0]
            rows[here, 2], rows[here, 3] = stages[leg, d], j - n * (at // slots)
    n_rows = 0
    for here in range(slots):
        if taken[here]:
            for column in range(4):
                rows[n_rows, column] = rows[here, column]
            n_rows += 1
    return rows[:n_rows]
