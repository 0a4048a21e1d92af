"""Compiled local search on orders: simulated annealing along the critical path."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled import Ints, compiled
from .problem import Letters
from .replay import BROKEN, fits_memory


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
def _resumed(
    order: Letters, longest: bool, duration: Ints, wait_on: Ints, delay: Ints, near: Ints,
    end: Ints, place: Ints, states: Ints, k: int, record: bool, worst: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Value and sum of the last ends of an order; BROKEN if it cannot run or is above `worst`.

    states: one row per moment of the play at which it can go on: passes done, devices to look at,
    how many; then per device its position, when it is free, when it began and its work left; then
    per letter how many have run and which device waits for it. It goes on from row k, which must
    come before anything that changed; `end` holds what ran before. record: write `end`, `place` and
    the rows after k anew. A device that could not make it within `worst` even if it never waited
    again ends the play.
    """
    n_devices, length = order.shape
    n_letters = duration.size
    per = 5 * n_devices + 2
    state = states[k].copy()
    position, free = (
        state[2 + n_devices : 2 + 2 * n_devices],
        state[2 + 2 * n_devices : per - 2 * n_devices],
    )
    first, rest = state[per - 2 * n_devices : per - n_devices], state[per - n_devices : per]
    todo = state[2 : 2 + n_devices]
    count, waiting = state[per : per + n_letters], state[per + n_letters :]
    done, n_todo = state[0], state[1]
    every = n_devices * length // (states.shape[0] - 1) + 1
    row = k
    while n_todo > 0:
        if record and done >= (row + 1) * every:
            row += 1
            while row + 1 < states.shape[0] and done >= (row + 1) * every:
                states[row] = states[row - 1]
                row += 1
            state[0], state[1] = done, n_todo
            states[row] = state
        n_todo -= 1
        d = todo[n_todo]
        now, x = free[d], position[d]
        while x < length:
            letter = order[d, x]
            i = count[letter]
            a, b = near[letter, 0], near[letter, 1]
            if (a >= 0 and count[a] <= i) or (b >= 0 and count[b] <= i):
                return BROKEN, BROKEN
            source = wait_on[letter]
            if source >= 0:
                if count[source] <= i:
                    waiting[source] = d
                    break
                now = max(now, end[source, i] + delay[letter])
            if x == 0:
                first[d] = now
            now += duration[letter]
            rest[d] -= duration[letter]
            end[letter, i] = now
            if record:
                place[letter, i] = x
            count[letter] = i + 1
            x += 1
            done += 1
            if waiting[letter] >= 0:
                todo[n_todo] = waiting[letter]
                n_todo += 1
                waiting[letter] = -1
        free[d], position[d] = now, x
        if now + rest[d] - (first[d] if longest else 0) > worst:
            return BROKEN, BROKEN
    if done < n_devices * length:
        return BROKEN, BROKEN
    if record:
        for later in range(row + 1, states.shape[0]):
            states[later] = states[row]
    value, total = np.int64(0), np.int64(0)
    for d in range(n_devices):
        value = max(value, free[d] - (first[d] if longest else 0))
        total += free[d]
    return value, total


@compiled
def _before(states: Ints, n_devices: int, d: int, x: int) -> int:
    """The last row of `states` at which device d has not come past position x."""
    low, high = 0, states.shape[0] - 1
    while low < high:
        middle = (low + high + 1) // 2
        if states[middle, 2 + n_devices + d] <= x:
            low = middle
        else:
            high = middle - 1
    return low


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
    trial = np.zeros((duration.size, m), np.int64)
    place = np.zeros((duration.size, m), np.int64)
    spots = np.zeros((n_devices * length + 1, 2), np.int64)
    saved = np.zeros(length, order.dtype)
    states = np.zeros((33, 2 + 5 * n_devices + 2 * duration.size), np.int64)
    states[0, 1] = n_devices
    states[0, 2 + 5 * n_devices + duration.size :] = -1
    least = np.int64(0)
    for d in range(n_devices):
        states[0, 2 + d] = n_devices - 1 - d
        work = np.int64(0)
        for letter in order[d]:
            work += duration[letter]
        states[0, 2 + 4 * n_devices + d] = work
        least += work
    least = least * 20 // n_devices
    tries, hot, cold, target = plan[0], plan[1], plan[2], plan[3]
    value, total = _resumed(
        order, longest, duration, wait_on, delay, near, end, place, states, 0, True, BROKEN
    )
    if value == BROKEN:
        return best, BROKEN, 0
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
        chance = (_random(state) + 1) / 2147483648.0
        worst = cost - np.int64(heat * np.log(chance))
        k = _before(states, n_devices, d, min(x, to))
        trial[:] = end
        value, total = _resumed(
            order, longest, duration, wait_on, delay, near, trial, place, states, k, False,
            (worst - least) // 1000,
        )  # fmt: skip
        new = value * 1000 + total * 20 // n_devices if value < BROKEN else BROKEN
        if new > worst:
            order[d] = saved
            continue
        cost = new
        fresh = False
        _resumed(
            order, longest, duration, wait_on, delay, near, end, place, states, k, True, BROKEN
        )
        if value < best_value or (value == best_value and new < best_cost):
            best_value, best_cost = value, new
            best[:] = order
    return best, best_value, tried
