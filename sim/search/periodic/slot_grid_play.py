"""How devices play a slot grid: F and B when they are due, W's in between.

F and B stand in the slots of the grid, and time is left between them. If a W had to end before the
next slot begins, slots would have to be long enough for all: so it may push the next pass, which
later gaps make good; and before an F that the limit has no room for, W's run at once, whatever they
push. All that only decides an order.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..compiled import Ints, compiled, overwrite
from ..settings.effort import Effort
from .budget import PLAYS_PER_GRID
from .problem import BlockProblem
from .slot_grid import Grid, legs, slot_of
from .tables import PassTables
from .unroll import DeviceOrders

FINE = 4
"""Parts of a tick that times on a grid are counted in, so that a quarter of a W is whole."""


class Way(NamedTuple):
    """How a grid is played. period: ticks. half: share of two slots that the first of them takes.
    late: quarters of the longest W by which a W may push the pass in the next slot. off: shares of
    a slot by which the passes of each leg come later (or earlier), in the order that they have."""

    period: int
    half: Fraction
    late: int
    off: tuple[Fraction, ...]


@lru_cache(maxsize=1024)
def in_arrays(problem: BlockProblem, grid: Grid) -> tuple[tuple[Ints, Ints, Ints], int]:
    """Legs (kind, up, slot), their stages, and the starts, as compiled code takes them; and how
    many periods it has to play until everything repeats."""
    found = legs(problem, grid.gap)
    arrays = [leg[:3] for leg in found], [leg.stages for leg in found], grid.starts
    kinds, stages, starts = (np.array(array, np.int64) for array in arrays)
    return (kinds, stages, starts), found[-1].slot // grid.slots + 8


def period_of(problem: BlockProblem, grid: Grid, least: int) -> int:
    """Ticks of a period of at least so many, with slots that are long enough for F, B and send."""
    return max(slot_of(problem) * grid.slots, least)


def order_on(
    problem: BlockProblem, tables: PassTables, grid: Grid, way: Way, effort: Effort
) -> DeviceOrders | None:
    """What the devices do in a period of a grid if they play it like that; None if it does not
    repeat within the limit."""
    on_legs, plays = in_arrays(problem, grid)
    unit = FINE * grid.slots  # of a tick: then those of a slot and of a W are whole
    slot = FINE * way.period
    rounds, first = played_on(
        *on_legs,
        (grid.slots, 2 * slot, int(2 * slot * way.half), plays),
        grid.slots * max(problem.weight) * way.late,
        np.array([int(slot * off) for off in way.off], np.int64),
        (unit * tables.duration, tables.rise, tables.net, tables.limit),
    )
    effort.played(PLAYS_PER_GRID + len(rounds) * plays)
    return DeviceOrders(rounds, first) if first.size else None


@compiled
def played_on(
    kinds: Ints, stages: Ints, starts: Ints, size: tuple[int, int, int, int], late: int,
    off: Ints, tables: tuple[Ints, Ints, Ints, Ints],
) -> tuple[Ints, Ints]:  # fmt: skip
    """Compiled: passes of one period, device after device, as in `DeviceOrders`, microbatches
    counted from the one that period 0 starts; empty where they do not repeat within the limits.

    kinds: (kind, up, slot) of every leg. size: slots of a period, ticks of two slots and of the
    first of them, periods to play until everything repeats. late: ticks by which a W may push the
    pass in the next slot. off: ticks by which the passes of a leg are due later than their slots.
    Slots are counted along the legs that go up, in every device from the moment they pass, so that
    those have even numbers everywhere.
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
                start = here // 2 * pair + here % 2 * half + off[rows[row, 4]]
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
    """Compiled: the F and B of a period on device d: slot, kind, stage, microbatch, leg, by slot,
    F before B of the same slot."""
    n_legs, n = kinds.shape[0], starts.size
    rows, taken = np.empty((2 * slots, 5), np.int64), np.zeros(2 * slots, np.bool_)
    for leg in range(n_legs):
        for j in range(n):
            at = kinds[leg, 2] + starts[j] - (0 if kinds[leg, 1] else 2 * d)
            here = at % slots
            row = 2 * here + kinds[leg, 0]  # a slot holds one F and one B at most
            taken[row] = True
            rows[row, 0], rows[row, 1] = here, kinds[leg, 0]
            rows[row, 2], rows[row, 3] = stages[leg, d], j - n * (at // slots)
            rows[row, 4] = leg
    n_rows = 0
    for row in range(2 * slots):
        if taken[row]:
            for column in range(5):
                rows[n_rows, column] = rows[row, column]
            n_rows += 1
    return rows[:n_rows]
