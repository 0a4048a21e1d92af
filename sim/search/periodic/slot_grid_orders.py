"""Which slot grid is the fastest, played in some ways that a rule gives.

Slots are as long as the work needs, all alike or the second of every two as long as is left, and
W's may push what follows them by a part of their own length. How fast an order repeats, played as
early as it can be, is worked out exactly (`rounds.critical`), and the fastest of some hundred
orders is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ...families.blocks.block import settled_weights
from ...families.v_half import v_half_block
from ...families.v_min import v_min_block
from ..settings.effort import Effort
from .budget import PLAYS_PER_PASS
from .climb import busiest
from .floors import work_bound
from .problem import BlockProblem
from .rounds import critical, rounds_of_passes, runs_with
from .slot_grid import MOST, Grid, grids, legs
from .slot_grid_play import Way, order_on, period_of
from .slot_grid_spot import NEARLY
from .tables import PassTables, in_copies, pass_tables, peaks
from .unit_blocks import UnitBlock, rounds_of_block
from .unroll import DeviceOrders, PeriodicOrder, unrolled_orders

LATE = (0, 1, 2, 3, 4)
"""By how many quarters of the longest W a W may push the next pass."""
LONGER = (Fraction(1), Fraction(16, 15))
"""How much longer slots are than the work of a period needs."""
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
            if race.over(grid.interval_of(problem) * NEARLY):
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


def orders_on(
    problem: BlockProblem, tables: PassTables, grid: Grid, effort: Effort
) -> Iterator[DeviceOrders]:
    """What the devices do in a period of a grid, in some ways; none that do not keep the limit."""
    work = len(grid.starts) * work_bound(problem)
    longest = max(*problem.forward, *problem.backward)
    on_time = (Fraction(0),) * len(legs(problem, 0))
    for period in sorted({period_of(problem, grid, math.ceil(work * x)) for x in LONGER}):
        for half in (Fraction(1, 2), Fraction(grid.slots * longest, max(2 * period, 1))):
            for late in LATE if max(problem.weight) else (0,):
                way = Way(period, half, late, on_time)
                if orders := order_on(problem, tables, grid, way, effort):
                    yield orders
