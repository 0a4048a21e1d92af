"""A hill climb on where W's stand on a slot grid, the same on every device of the same kind.

Seen from legs that go up, those that come down are two slots earlier on the next device. So devices
half a period of slots apart have their F and B in the same places, and can have their W's there as
well: a **layout** says for each of these kinds of devices how many W's run before each F and B. It
is small however many devices there are, and what is better for one kind is better all along the
pipeline, where a climb on single passes (`climb`) would have to change every device.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ..compiled import Ints, compiled, overwrite
from .budget import PLAYS_PER_GRID
from .floors import work_bound
from .slot_grid_play import in_arrays, rows_on
from .slot_grid_spot import Ranking, Spot
from .unroll import DeviceOrders

CLIMBS = 4
"""How many grids are climbed on, each of another interval in slots."""
FAR = 2
"""By how many F and B a W moves at most."""


def moved_weights(ranking: Ranking, until: float, seed: int) -> Iterator[tuple[DeviceOrders, int]]:
    """Orders on grids within the limit and their numbers of microbatches per period, as they are
    found, each faster than all before, until then."""
    problem, effort, best = ranking.problem, ranking.effort, ranking.first
    rng = np.random.default_rng(seed)
    if best is None:
        return
    started = ranking.best(CLIMBS)
    for left, start in zip(range(len(started), 0, -1), started, strict=True):
        deadline = effort.now() + (until - effort.now()) / left
        for spot in _climb(ranking, start, deadline, rng):
            if spot.interval < best.interval:
                best = spot
                yield spot.passes, len(spot.grid.starts)
            if best.interval <= work_bound(problem):
                return


def _climb(ranking: Ranking, start: Spot, until: float, rng: np.random.Generator) -> Iterator[Spot]:
    """Orders that are no slower than those before, each with one or two W's elsewhere."""
    problem, grid = ranking.problem, start.grid
    kinds = min(grid.slots // 2, problem.n_devices)
    on_legs, periods = in_arrays(problem, grid)
    tables = ranking.one.rise, ranking.one.net, ranking.one.limit
    device_of = ranking.copies[len(grid.starts)].device
    now: Spot | None = None
    layout = np.empty((0, 0), np.int64)

    def tried(new: Ints) -> Spot | None:
        rounds, first = with_layout(*on_legs, grid.slots, periods, new, tables)
        ranking.effort.played(PLAYS_PER_GRID + len(rounds) * periods)
        if not first.size:
            return None
        return ranking.spot(grid, DeviceOrders(rounds, first), now and now.interval)

    for device in range(0, problem.n_devices - kinds + 1, kinds):
        layout = layout_of_orders(start.passes, device, kinds)
        if now := tried(layout):
            break
    while now is not None and ranking.effort.now() < until:
        new = _moved(layout, now, device_of, rng)
        if spot := tried(new):
            now, layout = spot, new
            yield spot


def _moved(layout: Ints, now: Spot, device_of: Ints, rng: np.random.Generator) -> Ints:
    """The layout with one or two W's up to `FAR` passes earlier or later, mostly on devices of the
    critical cycle."""
    new = layout.copy()
    for _ in range(rng.integers(1, 3)):
        if now.critical.size and rng.random() < 0.8:
            kind = int(device_of[now.critical[rng.integers(now.critical.size)]]) % len(layout)
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
