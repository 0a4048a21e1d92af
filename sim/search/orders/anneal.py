"""Compiled local search on orders: simulated annealing along the critical path."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiled import Ints, below, compiled, overwrite
from .problem import Order, OrderTables
from .replay import BROKEN, first_moments, fits_memory, last_before, play_on, work_of

MOMENTS = 33
"""How many moments of the best play are kept, so that a trial need not begin at the beginning."""
SUM_WEIGHT = 20
"""Thousandths of a tick that a tick of the mean last end counts beside one of the clock."""


class Cooling(NamedTuple):
    """moves: how many to try. hot, cold: first and last temperature, in thousandths of a tick.
    target: ticks to stop at."""

    moves: int
    hot: int
    cold: int
    target: int


@compiled
def anneal(
    start: Order, longest: bool, tables: OrderTables, low: Ints, high: Ints, cooling: Cooling,
    rng: np.random.Generator,
) -> tuple[Order, Any]:  # fmt: skip
    """The best order found from `start`, and how many passes were played on the way.

    low, high: positions on each device between which the order stays, and which no move crosses. A
    move takes a pass, mostly one on the critical path, a few places ahead or back; often it is
    repeated at the same spot of the following rounds, as orders are nearly periodic.
    """
    n_devices, length = start.shape
    row_step = 3 * tables.stages_of.shape[1]  # passes of a device for one microbatch
    m = length // row_step
    order, best = start.copy(), start.copy()
    end = np.zeros((len(tables.duration), m), np.int64)
    trial, place = np.zeros_like(end), np.zeros_like(end)
    spots = np.zeros((n_devices * length + 1, 2), np.int64)
    moments = first_moments(order, tables, MOMENTS)
    least: Any = np.int64(0)  # of what the sum of last ends adds to the cost of any order
    for d in range(n_devices):
        least += work_of(order[d], tables)
    least = least * SUM_WEIGHT // n_devices
    value, total, work = play_on(order, longest, tables, end, place, moments, 0, True, BROKEN)
    if value == BROKEN:
        return best, work
    cost = value * 1000 + total * SUM_WEIGHT // n_devices
    best_value, best_cost = value, cost
    n_spots: Any = 0  # on the critical path; 0 if it has to be followed anew
    hot, tried = float(cooling.hot), 0
    ratio = max(cooling.cold, 1) / max(cooling.hot, 1) if cooling.hot > 0 else 1.0
    heat = hot
    while tried < cooling.moves and best_value > cooling.target:
        tried += 1
        if tried % 64 == 0:
            heat = hot * ratio ** (tried / cooling.moves)
        if n_spots == 0:
            last = deciding(order, longest, tables.duration, end, rng)
            n_spots = critical_path(order, tables, end, place, last, spots)

        # choose a pass and where it goes
        d, x = somewhere(order, spots, n_spots, rng)
        to = x + random_step(row_step, rng)
        if to < 0 or to >= length or order[d, to] == order[d, x]:
            continue

        # move it, and mostly nothing else; a third of the time its like in the next rounds too
        saved = order[d].copy()
        times = 1 + below(rng, m) if below(rng, 3) == 0 else 1
        period = 2 * row_step if below(rng, 4) == 0 else row_step
        if not moved_row(order[d], saved, x, to, period, times, low[d], high[d]):
            continue
        if not fits_memory(order[d], tables, d):
            overwrite(order[d], saved)
            continue

        # play it from where it differs, no longer than it may still be taken
        worst = cost - np.int64(heat * np.log(1.0 - rng.random()))
        k = last_before(moments, n_devices, d, min(x, to))
        overwrite(trial, end)
        value, total, n = play_on(
            order, longest, tables, trial, place, moments, k, False, (worst - least) // 1000
        )
        work += n
        new = value * 1000 + total * SUM_WEIGHT // n_devices if value < BROKEN else BROKEN
        if new > worst:
            overwrite(order[d], saved)
            continue
        cost, n_spots = new, 0
        work += play_on(order, longest, tables, end, place, moments, k, True, BROKEN)[2]
        if value < best_value or (value == best_value and new < best_cost):
            best_value, best_cost = value, new
            overwrite(best, order)
    return best, work


@compiled
def somewhere(order: Order, spots: Ints, n_spots: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """A device and a position in its order: mostly one on the critical path."""
    if below(rng, 8) > 0:
        spot = below(rng, n_spots)
        return spots[spot, 0], spots[spot, 1]
    return below(rng, order.shape[0]), below(rng, order.shape[1])


@compiled
def deciding(
    order: Order, longest: bool, duration: Ints, end: Ints, rng: np.random.Generator
) -> int:
    """The device that decides the clock; any of them where several do."""
    most, device = np.int64(-1), 0
    for d in range(order.shape[0]):
        time = end[order[d, -1], -1]
        if longest:
            time -= end[order[d, 0], 0] - duration[order[d, 0], 0]
        if time > most or (time == most and below(rng, 2) == 0):
            most, device = time, d
    return device


@compiled
def critical_path(
    order: Order, tables: OrderTables, end: Ints, place: Ints, d: Any, spots: Ints
) -> int:
    """Back from the last pass of device d through what each pass waited for; how many they are.

    spots: takes their (device, position).
    """
    x, i = order.shape[1] - 1, end.shape[1] - 1
    code = np.int64(order[d, x])
    n = 0
    while True:
        spots[n, 0], spots[n, 1] = d, x
        n += 1
        start = end[code, i] - tables.duration[code, i]
        before = np.int64(order[d, x - 1]) if x > 0 else np.int64(-1)
        j = _which(place, before, x - 1) if x > 0 else 0
        source = tables.wait_on[code]
        arrival = end[source, i] + tables.delay[code] if source >= 0 else np.int64(-1)
        if arrival == start and (x == 0 or (arrival > 0 and end[before, j] < start)):
            code = source  # it came just then from another device
            d = tables.device_of[code // 3]
            x = place[code, i]
        elif x > 0:
            code, i, x = before, j, x - 1
        else:
            return n


@compiled
def _which(place: Ints, code: Any, x: Any) -> int:
    """Which run of a pass code stands at position x: its places ascend."""
    low, high = 0, place.shape[1] - 1
    while low < high:
        middle = (low + high) // 2
        if place[code, middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def random_step(row_step: Any, rng: np.random.Generator) -> int:
    """How far a pass moves, ahead or back: mostly a little, sometimes some rounds."""
    reach = 1
    while below(rng, 2) == 0 and reach < 4 * row_step:
        reach += 1 + below(rng, 2)
    return reach if below(rng, 2) == 0 else -reach


@compiled
def moved_row(
    row: Order, before: Order, x: Any, to: Any, period: Any, times: Any, low: Any, high: Any
) -> bool:
    """Whether the pass at x could move to position `to`, others making room, without a fence
    between. That is repeated, `times` in all, as long as the order `before` repeats with `period`.
    """
    shift = to - x
    y = x
    for _ in range(times):
        goal = y + shift
        if max(y, goal) >= row.size or before[y] != before[x] or before[goal] != before[to]:
            break
        if max(y, goal) >= low and min(y, goal) < high:
            break
        code, step = row[y], 1 if shift > 0 else -1
        for z in range(y, goal, step):
            row[z] = row[z + step]
        row[goal] = code
        y += period
    return bool(y > x)
