"""A hill climb on where W's stand on a slot grid, the same on every device of the same kind.

Seen from legs that go up, those that come down are two slots earlier on the next device. So devices
half a period of slots apart have their F and B in the same places, and can have their W's there as
well: a **layout** says for each of these kinds of devices how many W's run before each F and B. It
is small however many devices there are, and what is better for one kind is better all along the
pipeline, where a climb on single passes (`climb`) would have to change every device.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..compiled import Ints, compiled, overwrite
from ..settings.effort import Effort
from .budget import PLAYS_PER_PASS
from .climb import busiest
from .floors import work_bound
from .problem import BlockProblem
from .rounds import Rounds, critical, rounds_of_passes, runs_with
from .slot_grid import MOST, Grid, grids, legs, slot_of
from .slot_grid_orders import NEARLY, in_arrays, orders_on, rows_on
from .tables import PassTables, in_copies, pass_tables
from .unroll import DeviceOrders

NEAR = Fraction(26, 25)
"""How much slower than the fastest an order may be from which a climb starts."""
CLIMBS = 4
"""How many grids are climbed on, each of another interval in slots."""
FAR = 2
"""By how many F and B a W moves at most."""


class Spot(NamedTuple):
    """An order and its period (ticks, of so many periods), and its critical passes."""

    ticks: int
    periods: int
    critical: Ints
    passes: DeviceOrders


def moved_weights(
    problem: BlockProblem, most: int, until: float, effort: Effort, seed: int
) -> Iterator[tuple[DeviceOrders, int]]:
    """Orders on grids within the limit and their numbers of microbatches per period, as they are
    found, each faster than the ones before; W's are moved until then."""
    if not legs(problem, 0) or problem.limit is None:
        return
    tables = pass_tables(problem)
    copies = {n: in_copies(tables, n) for n in range(1, min(most, MOST) + 1)}
    started = _starts(problem, tables, copies, until, effort)
    best = min((value for value, *_ in started), default=Fraction(0))
    rng = np.random.default_rng(seed)
    for left, (_, grid, passes) in zip(range(len(started), 0, -1), started, strict=True):
        deadline = effort.now() + (until - effort.now()) / left
        n = len(grid.starts)
        for spot in _climb(problem, copies[n], grid, passes, deadline, effort, rng):
            value = Fraction(spot.ticks, spot.periods * n)
            if value < best:
                best = value
                yield spot.passes, n
            if best <= work_bound(problem):
                return


def _starts(
    problem: BlockProblem, tables: PassTables, copies: dict[int, PassTables], until: float,
    effort: Effort,
) -> list[tuple[Fraction, Grid, DeviceOrders]]:  # fmt: skip
    """The fastest order for each number of slots per microbatch, if it is fast."""
    best = dict[Fraction, tuple[Fraction, Grid, DeviceOrders]]()  # by slots per microbatch
    least: Fraction | None = None
    for grid in grids(problem, max(copies)):
        if least and grid.interval * slot_of(problem) * NEARLY >= least * NEAR:
            break
        n = len(grid.starts)
        for passes in orders_on(problem, tables, grid, effort):
            if effort.now() > until:
                break
            known = best.get(grid.interval)
            near = known[0] if known else least and least * NEAR
            found = _spot(problem, copies[n], passes, n, near, effort)
            if found is None:
                continue
            value = Fraction(found.ticks, found.periods * n)
            if known is None or value < known[0]:
                best[grid.interval] = value, grid, passes
                least = min(least or value, value)
    return sorted(best.values(), key=lambda entry: entry[:2])[:CLIMBS]


def _spot(
    problem: BlockProblem, copies: PassTables, passes: DeviceOrders, n: int,
    most: Fraction | None, effort: Effort,
) -> Spot | None:  # fmt: skip
    """An order's period, None if that is more than `most` per microbatch, or it cannot run."""
    effort.played(PLAYS_PER_PASS * len(passes.passes))
    rounds: Rounds = rounds_of_passes(passes, n, problem.n_stages)
    starts = np.zeros(rounds.order.size, np.int64)
    if most and not runs_with(rounds, copies, most.numerator * n, most.denominator, starts):
        return None
    ticks, periods, cycle = critical(rounds, copies, busiest(rounds, copies), starts)
    return Spot(int(ticks), int(periods), cycle, passes) if periods > 0 else None


def _climb(
    problem: BlockProblem, copies: PassTables, grid: Grid, passes: DeviceOrders, until: float,
    effort: Effort, rng: np.random.Generator,
) -> Iterator[Spot]:  # fmt: skip
    """Orders that are no slower than those before, each with one or two W's elsewhere."""
    n, kinds = len(grid.starts), min(grid.slots // 2, problem.n_devices)
    on_legs, periods = in_arrays(problem, grid)
    tables = copies.rise, copies.net, copies.limit
    now: Spot | None = None
    layout = np.empty((0, 0), np.int64)

    def tried(new: Ints) -> Spot | None:
        rounds, first = with_layout(*on_legs, grid.slots, periods, new, tables)
        effort.played(len(rounds) * periods)
        most = now and Fraction(now.ticks, now.periods * n)
        if not first.size:
            return None
        return _spot(problem, copies, DeviceOrders(rounds, first), n, most, effort)

    for device in range(0, problem.n_devices - kinds + 1, kinds):
        layout = layout_of_orders(passes, device, kinds)
        if now := tried(layout):
            break
    while now is not None and effort.now() < until:
        new = _moved(layout, now, copies, rng)
        if spot := tried(new):
            now, layout = spot, new
            yield spot


def _moved(layout: Ints, now: Spot, copies: PassTables, rng: np.random.Generator) -> Ints:
    """The layout with one or two W's up to `FAR` passes earlier or later, mostly on devices of the
    critical cycle."""
    new = layout.copy()
    for _ in range(rng.integers(1, 3)):
        if now.critical.size and rng.random() < 0.8:
            kind = int(copies.device[now.critical[rng.integers(now.critical.size)]]) % len(layout)
        else:
            kind = int(rng.integers(len(layout)))
        places = np.flatnonzero(new[kind])
        if places.size:
            place = places[rng.integers(places.size)]
            new[kind, place] -= 1
            new[kind, (place + rng.choice((-1, 1)) * rng.integers(1, FAR + 1)) % len(new[0])] += 1
    return new


def layout_of_orders(passes: DeviceOrders, device: int, kinds: int) -> Ints:
    """How many W's so many devices, from this one on, run before each F and B of a period, shape
    `(kinds, any)`; those after the last one count as before the first."""
    rows = []
    for low, high in pairwise(passes.first[device : device + kinds + 1]):
        weights = passes.passes[low:high, 0] == 2
        others = np.cumsum(~weights)
        rows.append(np.bincount(others[weights] % others[-1], minlength=others[-1]))
    return np.array(rows, np.int64)


@compiled
def with_layout(
    kinds: Ints, stages: Ints, starts: Ints, slots: int, periods: int, layout: Ints,
    tables: tuple[Ints, Ints, Ints],
) -> tuple[Ints, Ints]:  # fmt: skip
    """Compiled: passes of one period, as `played_on` gives them, with W's where the layout says,
    first in first out; empty where that does not repeat within the limits."""
    rise, net, limit = tables
    n_legs, n_devices = stages.shape
    n, per_period = starts.size, 0
    for leg in range(n_legs):
        per_period += n * (1 + kinds[leg, 0])
    nothing = np.empty((0, 3), np.int64), np.empty(0, np.int64)
    found = np.empty((n_devices * per_period, 3), np.int64)
    waiting = np.empty((n_legs * n * periods, 2), np.int64)  # stage, microbatch
    before = np.empty((per_period, 3), np.int64)
    now = np.empty((per_period, 3), np.int64)
    for d in range(n_devices):
        rows = rows_on(kinds, stages, starts, slots, d)
        weights = layout[d % layout.shape[0]]
        head = tail = alive = 0
        repeats = False
        for period in range(periods):
            k = 0
            for row in range(rows.shape[0]):
                kind, stage = rows[row, 1], rows[row, 2]
                microbatch = rows[row, 3] + n * period
                for _ in range(weights[row]):
                    if head < tail and k < per_period:
                        now[k, 0], now[k, 1] = 2, waiting[head, 0]
                        now[k, 2] = waiting[head, 1] - n * period
                        alive += net[3 * waiting[head, 0] + 2]
                        head, k = head + 1, k + 1
                if microbatch < 0:
                    continue
                x = 3 * stage + kind
                if k == per_period or alive + rise[x] > limit[d]:
                    return nothing
                now[k, 0], now[k, 1], now[k, 2] = kind, stage, microbatch - n * period
                k += 1
                alive += net[x]
                if kind == 1:
                    waiting[tail, 0], waiting[tail, 1] = stage, microbatch
                    tail += 1
            repeats = k == per_period and (now == before).all()
            overwrite(before, now)
        if not repeats:
            return nothing
        overwrite(found[d * per_period : (d + 1) * per_period], now)
    return found, np.arange(n_devices + 1) * per_period
