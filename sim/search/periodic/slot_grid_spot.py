"""An order on a slot grid, how fast it repeats, and what keeps it from repeating faster."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..compiled import Ints
from ..settings.effort import Effort
from .budget import PLAYS_PER_PASS
from .climb import busiest
from .floors import work_bound
from .problem import BlockProblem
from .rounds import Rounds, critical, rounds_of_passes, runs_with
from .slot_grid import Grid
from .tables import PassTables, in_copies
from .unroll import DeviceOrders

NEARLY = Fraction(49, 50)
"""How much shorter than its slots a period may become, played as early as it can be."""


class Spot(NamedTuple):
    """interval: ticks per microbatch, of a period of all microbatches of `grid`. critical: passes
    of the critical cycle that the next one of their device waits for."""

    interval: Fraction
    grid: Grid
    critical: Ints
    passes: DeviceOrders


@dataclass
class Ranking:
    """The fastest order on grids of each number of slots per microbatch.

    one: the tables of one microbatch. near: how much slower than the fastest of all an order may be
    to be ranked.
    """

    problem: BlockProblem
    one: PassTables
    effort: Effort
    near: Fraction
    copies: dict[int, PassTables] = field(default_factory=dict)
    fastest: dict[Fraction, Spot] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)

    @property
    def first(self) -> Spot | None:
        return min(self.fastest.values(), key=lambda spot: spot.interval, default=None)

    @property
    def done(self) -> bool:
        """Whether nothing can be faster: the busiest device never waits."""
        return self.first is not None and self.first.interval <= work_bound(self.problem)

    def hopeless(self, grid: Grid) -> bool:
        """Whether nothing on a grid is fast enough to be ranked."""
        least = grid.interval_of(self.problem) * NEARLY
        return self.first is not None and least >= self.first.interval * self.near

    def enter(self, grid: Grid, passes: DeviceOrders) -> None:
        """Rank an order if it is the fastest of its kind so far, and was not seen before."""
        if (key := passes.passes.tobytes()) in self.seen:
            return
        self.seen.add(key)
        known = self.fastest.get(grid.interval)
        most = known.interval if known else self.first and self.first.interval * self.near
        found = self.spot(grid, passes, most)
        if found and (known is None or found.interval < known.interval):
            self.fastest[grid.interval] = found

    def spot(self, grid: Grid, passes: DeviceOrders, most: Fraction | None) -> Spot | None:
        """An order and its interval; None if that is more than `most`, or it cannot run."""
        n = len(grid.starts)
        if n not in self.copies:
            self.copies[n] = in_copies(self.one, n)
        copies = self.copies[n]
        self.effort.played(PLAYS_PER_PASS * len(passes.passes))
        rounds: Rounds = rounds_of_passes(passes, n, self.problem.n_stages)
        starts = np.zeros(rounds.order.size, np.int64)
        if most and not runs_with(rounds, copies, most.numerator * n, most.denominator, starts):
            return None
        ticks, periods, cycle = critical(rounds, copies, busiest(rounds, copies), starts)
        if periods <= 0:
            return None
        return Spot(Fraction(int(ticks), int(periods) * n), grid, cycle, passes)
