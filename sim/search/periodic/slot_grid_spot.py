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
NEAR = Fraction(51, 50)
"""How much slower than the fastest of all an order may be to be ranked."""


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

    one: the tables of one microbatch. most: how many a period may have. published: blocks of one
    microbatch that are on no grid, and their intervals. copies: the tables of so many microbatches.
    seen: all orders.
    """

    problem: BlockProblem
    one: PassTables
    effort: Effort
    most: int
    published: list[tuple[Fraction, DeviceOrders]] = field(default_factory=list)
    copies: dict[int, PassTables] = field(default_factory=dict)
    fastest: dict[Fraction, Spot] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)

    @property
    def first(self) -> Spot | None:
        return min(self.fastest.values(), key=lambda spot: spot.interval, default=None)

    @property
    def least(self) -> Fraction | None:
        """The shortest interval known."""
        known = [spot.interval for spot in self.fastest.values()]
        return min([*known, *(interval for interval, _ in self.published)], default=None)

    @property
    def done(self) -> bool:
        """Whether nothing can be faster: the busiest device never waits."""
        return self.least is not None and self.least <= work_bound(self.problem)

    def slower(self, grid: Grid) -> bool:
        """Whether nothing on a grid can be the fastest."""
        return self.least is not None and grid.interval_of(self.problem) * NEARLY >= self.least

    def enter(self, grid: Grid, passes: DeviceOrders) -> None:
        """Rank an order if it is the fastest of its kind so far, and was not seen before."""
        if (key := passes.passes.tobytes()) in self.seen:
            return
        self.seen.add(key)
        known = self.fastest.get(grid.interval)
        most = known.interval if known else self.least and self.least * NEAR
        found = self.spot(grid, passes, most)
        if found and (known is None or found.interval < known.interval):
            self.fastest[grid.interval] = found

    def best(self, at_most: int) -> list[Spot]:
        """So many of the fastest orders."""
        return sorted(self.fastest.values(), key=lambda spot: (spot.interval, spot.grid))[:at_most]

    def spot(self, grid: Grid, passes: DeviceOrders, most: Fraction | None) -> Spot | None:
        """An order and its interval; None if that is more than `most`, or it cannot run."""
        found = self.period(passes, len(grid.starts), most)
        return Spot(found[0], grid, found[1], passes) if found else None

    def period(
        self, passes: DeviceOrders, n: int, most: Fraction | None = None
    ) -> tuple[Fraction, Ints] | None:
        """Interval and critical passes of an order of n microbatches per period."""
        if n not in self.copies:
            self.copies[n] = in_copies(self.one, n)
        copies = self.copies[n]
        self.effort.played(PLAYS_PER_PASS * len(passes.passes))
        rounds: Rounds = rounds_of_passes(passes, n, self.problem.n_stages)
        starts = np.zeros(rounds.order.size, np.int64)
        if most and not runs_with(rounds, copies, most.numerator * n, most.denominator, starts):
            return None
        ticks, periods, cycle = critical(rounds, copies, busiest(rounds, copies), starts)
        return (Fraction(int(ticks), int(periods) * n), cycle) if periods > 0 else None
