"""Slot grids whose legs come a part of a slot later or earlier, by chance.

The slots say in which order the F and B of a device follow each other; when they are due decides
where W's find room between them. A leg that is due a little later than its slots leaves that room
on every device, all along the pipeline.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from .floors import work_bound
from .problem import BlockProblem
from .slot_grid import Grid, grids, legs
from .slot_grid_orders import LATE
from .slot_grid_play import Way, order_on, period_of
from .slot_grid_spot import Ranking

LONGER = Fraction(1, 16)
"""By which part a period is longer than its slots, at most."""
PARTS = 16
"""Of that, and of a slot: what is drawn is a whole number of them."""
AGAIN = 0.5
"""How often the grid of the fastest order is tried, instead of any."""


def shift_legs(ranking: Ranking, until: float, rng: np.random.Generator) -> None:
    """Rank orders on grids with legs that are off by chance, until then."""
    problem, effort = ranking.problem, ranking.effort
    if ranking.done or effort.now() >= until:
        return
    every = [grid for grid in grids(problem, ranking.most) if not ranking.slower(grid)]
    while every and effort.now() < until and not ranking.done:
        if ranking.first and rng.random() < AGAIN:
            grid = ranking.first.grid
        else:
            grid = every[rng.integers(len(every))]
            if ranking.slower(grid):
                every.remove(grid)
                continue
        way = _way(problem, grid, rng)
        if passes := order_on(problem, ranking.one, grid, way, effort):
            ranking.enter(grid, passes)


def _way(problem: BlockProblem, grid: Grid, rng: np.random.Generator) -> Way:
    def part(low: int, high: int) -> Fraction:
        """Between them, in `PARTS`; every other time nothing."""
        return Fraction(int(rng.integers(2) * rng.integers(low, high + 1)), PARTS)

    least = period_of(problem, grid, len(grid.starts) * work_bound(problem))
    return Way(
        period=math.ceil(least * (1 + LONGER * part(0, PARTS))),
        half=Fraction(1, 2),
        late=int(rng.choice((*LATE, 6))),
        off=tuple(part(-PARTS // 2, PARTS // 2) for _ in legs(problem, grid.gap)),
    )
