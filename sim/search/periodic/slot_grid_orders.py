"""Which slot grid is the fastest, played in some ways that a rule gives.

Slots are as long as the work needs, all alike or the second of every two as long as is left, and
W's may push what follows them by a part of their own length. How fast an order repeats, played as
early as it can be, is worked out exactly (`rounds.critical`), and the fastest of some hundred
orders is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ...families.blocks.block import settled_weights
from ...families.v_half import v_half_block
from ...families.v_min import v_min_block
from ..settings.effort import Effort
from .floors import work_bound
from .problem import BlockProblem
from .slot_grid import MOST, Grid, grids, legs
from .slot_grid_play import Way, order_on, period_of
from .slot_grid_spot import Ranking
from .tables import PassTables, pass_tables, peaks
from .unit_blocks import UnitBlock, rounds_of_block
from .unroll import DeviceOrders, PeriodicOrder, unrolled_orders

LATE = (0, 1, 2, 3, 4)
"""By how many quarters of the longest W a W may push the next pass."""
LONGER = (Fraction(1), Fraction(16, 15))
"""How much longer slots are than the work of a period needs."""
BACK = tuple(
    (Fraction(x, 8), Fraction(y, 8)) for x, y in ((3, 2), (0, 3), (-3, 0), (0, -3), (-3, -3))
)
"""By which shares of a slot the two legs of B come later, on the fastest grids of a V."""
REFINED = 6
"""On so many grids."""
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
    period; and the published blocks of a V. None on placements other than straight and V, and
    without a limit.
    """
    ranking = ranked_grids(problem, most, effort)
    return offered(ranking) if ranking else []


def offered(ranking: Ranking) -> list[Found]:
    """The fastest orders of a ranking, and the published blocks that are as fast."""
    found = [
        Found(spot.interval, spot.grid, periodic(spot.passes, len(spot.grid.starts)))
        for spot in ranking.best(OFFERED)
    ]
    for interval, block in ranking.published:
        found.append(Found(interval, None, periodic(block, 1)))
    return sorted(found, key=lambda one: one.interval)[:OFFERED]


def ranked_grids(problem: BlockProblem, most: int, effort: Effort) -> Ranking | None:
    """The fastest orders on grids, ranked, with at most `most` microbatches per period; None on
    placements other than straight and V, and without a limit.

    Orders for a little less memory are among them: they may be faster, and more memory must never
    be worse.
    """
    if not legs(problem, 0) or problem.limit is None:
        return None
    tables = pass_tables(problem)
    ranking = Ranking(problem, tables, effort, min(most, MOST))
    for block in _published(problem, tables):
        if found := ranking.period(block, 1):
            ranking.published.append((found[0], block))
    for limit in _less_and_less(problem):
        scarcer = replace(problem, limit=limit)
        limited = tables._replace(limit=np.array(limit, np.int64))
        for grid in grids(scarcer, ranking.most):
            if ranking.done or ranking.slower(grid):
                break
            for passes in orders_on(scarcer, limited, grid, effort):
                ranking.enter(grid, passes)
    for spot in ranking.best(REFINED) if len(legs(problem, 0)) == 4 else ():
        for back in BACK:
            off = (Fraction(0), Fraction(0), *back)
            for passes in orders_on(problem, tables, spot.grid, effort, off):
                if ranking.done:
                    return ranking
                ranking.enter(spot.grid, passes)
    return ranking


def periodic(passes: DeviceOrders, n: int) -> PeriodicOrder:
    """The order of a period of n microbatches."""
    return PeriodicOrder(tuple(tuple((op,) for op in line) for line in passes.ops()), n)


def _published(problem: BlockProblem, tables: PassTables) -> Iterator[DeviceOrders]:
    """V-Half and V-Min, as far as they keep the limit, every W in the first cell after its B that
    is free."""
    if problem.n_stages == problem.n_devices or problem.n_devices < 2:
        return
    for block_of in (v_half_block, v_min_block):
        block = block_of(problem.n_devices)
        cells = np.array([*block.offsets.values(), settled_weights(block)], np.int64)
        placement = np.array(block.placement, np.int64)
        orders = rounds_of_block(UnitBlock(cells, block.interval), placement)
        played = unrolled_orders(orders, 1, 4 * problem.n_devices)
        if (peaks(played, tables) <= tables.limit).all():
            yield orders


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
    problem: BlockProblem, tables: PassTables, grid: Grid, effort: Effort,
    off: tuple[Fraction, ...] = (),
) -> Iterator[DeviceOrders]:  # fmt: skip
    """What the devices do in a period of a grid, in some ways; none that do not keep the limit.
    off: by which shares of a slot the legs come later, 0 by default."""
    work = len(grid.starts) * work_bound(problem)
    longest = max(*problem.forward, *problem.backward)
    off = off or (Fraction(0),) * len(legs(problem, 0))
    for period in sorted({period_of(problem, grid, math.ceil(work * x)) for x in LONGER}):
        tight = Fraction(grid.slots * longest, max(2 * period, 1))
        for half in (Fraction(1, 2), *(() if any(off) else (tight,))):
            for late in LATE if max(problem.weight) else (0,):
                way = Way(period, half, late, off)
                if orders := order_on(problem, tables, grid, way, effort):
                    yield orders
