"""Compiled local search on orders: simulated annealing along the critical path."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._compiled import Ints, compiled
from ._orders import BROKEN, clocks, fits_memory
from .problem import Letters


@compiled
def _random(state: Ints) -> Any:
    """The next of 2**31 equally likely numbers (xorshift; numba's own generator is per thread)."""
    z = state[0]
    z ^= (z << 13) & 0x7FFFFFFFFFFFFFFF
    z ^= z >> 7
    z ^= (z << 17) & 0x7FFFFFFFFFFFFFFF
    state[0] = z
    return (z >> 20) & 0x7FFFFFFF


@compiled
def _trace(
    order: Letters, duration: Ints, wait_on: Ints, delay: Ints, end: Ints, place: Ints,
    device_of: Ints, d: int, spots: Ints,
) -> int:  # fmt: skip
    """The critical path back from the last pass of device d, as (device, position); its length."""
    x = order.shape[1] - 1
    n = 0
    letter = np.int64(order[d, x])
    i = end.shape[1] - 1
    while True:
        spots[n, 0], spots[n, 1] = d, x
        n += 1
        start = end[letter, i] - duration[letter]
        source = wait_on[letter]
        if (
            source >= 0
            and end[source, i] + delay[letter] == start
            and (x == 0 or end[source, i] + delay[letter] > 0)
        ):
            before = -1
            if x > 0:
                other = np.int64(order[d, x - 1])
                j = _which(place, other, x - 1)
                if end[other, j] == start:
                    before = j
            if before < 0:
                letter = source
                d = device_of[letter // 3]
                x = place[letter, i]
                continue
            letter, i, x = np.int64(order[d, x - 1]), before, x - 1
            continue
        if x == 0:
            return n
        letter = np.int64(order[d, x - 1])
        i = _which(place, letter, x - 1)
        x -= 1


@compiled
def _which(place: Ints, letter: Any, x: Any) -> int:
    """Which occurrence of a letter stands at position x: its places ascend."""
    low, high = 0, place.shape[1] - 1
    while low < high:
        middle = (low + high) // 2
        if place[letter, middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _value(longest: bool, makespan: int, stage: int) -> int:
    return stage if longest else makespan


@compiled
def _shift(row: Letters, x: int, to: int) -> None:
    """Move the entry at x to position `to`; those between make room."""
    letter = row[x]
    step = 1 if to > x else -1
    while x != to:
        row[x] = row[x + step]
        x += step
    row[to] = letter


@compiled
def anneal(
    start: Letters, m: int, longest: bool, device_of: Ints, duration: Ints, wait_on: Ints,
    delay: Ints, near: Ints, takes: Ints, frees: Ints, limits: Ints, low: Ints, high: Ints,
    plan: Ints, state: Ints,
) -> tuple[Letters, Any, int]:  # fmt: skip
    """The best order found from `start`, its value, and how many moves were tried.

    low, high: positions on each device between which the order stays, and which no move crosses.
    plan: (moves to try, hottest and coldest temperature in thousandths of a tick, value to stop
    at). A move takes a pass, mostly one on the critical path, a few places ahead or back; often it
    is repeated at the same spot of the following rounds, as orders are nearly periodic.
    """
    n_devices, length = start.shape
    row_step = length // m
    order = start.copy()
    best = start.copy()
    end = np.zeros((duration.size, m), np.int64)
    place = np.zeros((duration.size, m), np.int64)
    spots = np.zeros((n_devices * length + 1, 2), np.int64)
    saved = np.zeros(length, order.dtype)
    tries, hot, cold, target = plan[0], plan[1], plan[2], plan[3]
    makespan, stage = clocks(order, m, duration, wait_on, delay, near, end, place)
    if makespan == BROKEN:
        return best, BROKEN, 0
    value = stage if longest else makespan
    total = np.int64(0)
    for d in range(n_devices):
        letter = order[d, length - 1]
        total += end[letter, m - 1]
    cost = value * 1000 + total * 20 // n_devices
    best_value, best_cost = value, cost
    n_spots = 0
    fresh = False
    tried = 0
    ratio = (max(cold, 1) / max(hot, 1)) if hot > 0 else 1.0
    heat = float(hot)
    while tried < tries and best_value > target:
        tried += 1
        if tried % 64 == 0:
            heat = hot * ratio ** (tried / tries)
        if not fresh:
            # trace from the device that decides the clock
            clocks(order, m, duration, wait_on, delay, near, end, place)
            top, which = np.int64(-1), 0
            for d in range(n_devices):
                last = end[order[d, length - 1], m - 1]
                if longest:
                    opening = order[d, 0]
                    last -= end[opening, 0] - duration[opening]
                if last > top or (last == top and _random(state) % 2 == 0):
                    top, which = last, d
            n_spots = _trace(order, duration, wait_on, delay, end, place, device_of, which, spots)
            fresh = True
        if _random(state) % 8 > 0:
            spot = _random(state) % n_spots
            d, x = spots[spot, 0], spots[spot, 1]
        else:
            d, x = _random(state) % n_devices, _random(state) % length
        reach = 1
        while _random(state) % 2 == 0 and reach < 4 * row_step:
            reach += 1 + _random(state) % 2
        to = x + reach if _random(state) % 2 == 0 else x - reach
        if to < 0 or to >= length or order[d, to] == order[d, x]:
            continue
        saved[:] = order[d]
        times = 1
        if _random(state) % 3 == 0:
            times = 1 + _random(state) % m
        period = row_step * (1 + (_random(state) % 4 == 0))
        moved, onto = order[d, x], order[d, to]
        y, goal = x, to
        while times > 0 and y < length and goal < length:
            if saved[y] != moved or saved[goal] != onto:
                break
            if max(y, goal) >= low[d] and min(y, goal) < high[d]:
                break
            _shift(order[d], y, goal)
            y += period
            goal += period
            times -= 1
        if y == x:
            continue
        if not fits_memory(order[d], takes, frees, limits, d):
            order[d] = saved
            continue
        makespan, stage = clocks(order, m, duration, wait_on, delay, near, end, place)
        accepted = False
        if makespan < BROKEN:
            value = stage if longest else makespan
            total = np.int64(0)
            for e in range(n_devices):
                total += end[order[e, length - 1], m - 1]
            new = value * 1000 + total * 20 // n_devices
            if new <= cost:
                accepted = True
            elif heat > 0:
                chance = np.exp(-(new - cost) / heat)
                accepted = _random(state) < chance * 2147483648.0
            if accepted:
                cost = new
                fresh = False
                if value < best_value or (value == best_value and new < best_cost):
                    best_value, best_cost = value, new
                    best[:] = order
        if not accepted:
            order[d] = saved
    return best, best_value, tried
