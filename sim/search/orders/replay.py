"""Compiled: play an order as early as possible, from its beginning or from a later moment."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..compiled import Ints, compiled, overwrite
from .problem import Order, OrderProblem, OrderTables

BROKEN = 2**62
"""The value of an order that cannot run."""


class Replay(NamedTuple):
    """What an order takes on the clock of its problem, and when its passes end: `end[code, i]`."""

    value: int
    end: Ints


def replayed(problem: OrderProblem, order: Order) -> Replay:
    """The order played in ticks of the problem; its value is BROKEN if it cannot run."""
    tables = problem.tables
    end = np.zeros(tables.duration.shape, np.int64)
    moments = first_moments(order, tables, 2)
    value, _, _ = play_on(order, problem.longest, tables, end, end, moments, 0, False, BROKEN)
    return Replay(value, end)


def within(problem: OrderProblem, order: Order) -> bool:
    """Whether every device stays within its limits."""
    return all(fits_memory(row, problem.tables, device) for device, row in enumerate(order))


@compiled
def fits_memory(row: Order, tables: OrderTables, device: int) -> bool:
    """Whether the order of one device stays within both of its limits."""
    takes, frees, limits = tables.takes, tables.frees, tables.limits
    pieces, size = np.int64(0), np.int64(0)
    runs = np.zeros(len(tables.duration), np.int64)
    for code in row:
        i = runs[code]
        runs[code] = i + 1
        pieces += takes[0, code, i]
        size += takes[1, code, i]
        if pieces > limits[0, device] or size > limits[1, device]:
            return False
        pieces += frees[0, code, i]
        size += frees[1, code, i]
    return True


class Moment(NamedTuple):
    """How far a play has come.

    totals: passes done, and how many devices are on the stack `todo` of those to look at.
    position, free, first, rest: of each device, passes done, when it is free, when it began, and
        the work that is left. runs, waiting: of each pass code, how often it has run, and which
        device waits for its next run, or -1.
    """

    totals: Ints
    todo: Ints
    position: Ints
    free: Ints
    first: Ints
    rest: Ints
    runs: Ints
    waiting: Ints


@compiled
def moment(row: Ints, p: int) -> Moment:
    """A row of numbers seen as a moment of a play on p devices."""
    codes = 2 + 5 * p
    n = (row.size - codes) // 2
    return Moment(
        row[:2],
        row[2 : 2 + p],
        row[2 + p : 2 + 2 * p],
        row[2 + 2 * p : 2 + 3 * p],
        row[2 + 3 * p : 2 + 4 * p],
        row[2 + 4 * p : codes],
        row[codes : codes + n],
        row[codes + n :],
    )


@compiled
def first_moments(order: Order, tables: OrderTables, how_many: int) -> Ints:
    """Room for so many moments, one a row, of which the first is the beginning."""
    p = order.shape[0]
    rows = np.zeros((how_many, 2 + 5 * p + 2 * len(tables.duration)), np.int64)
    begin = moment(rows[0], p)
    begin.totals[1] = p
    begin.waiting[:] = -1
    for d in range(p):
        begin.todo[d] = p - 1 - d
        begin.rest[d] = work_of(order[d], tables)
    return rows


@compiled
def work_of(row: Order, tables: OrderTables) -> Any:
    """Ticks that the device of a row computes."""
    total = np.int64(0)
    runs = np.zeros(len(tables.duration), np.int64)
    for code in row:
        total += tables.duration[code, runs[code]]
        runs[code] += 1
    return total


@compiled
def play_on(
    order: Order, longest: bool, tables: OrderTables, end: Ints, place: Ints, moments: Ints, k: int,
    record: bool, worst: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Value of an order, sum of the last ends, and passes played; BROKEN if it cannot run or is
    above `worst`: a device that could not make it even if it never waited again ends the play.

    It goes on from row k of `moments`, which must come before anything that changed; `end[code, i]`
    holds when what ran before has ended. record: write the positions of passes to `place[code, i]`
    and the rows after k anew.
    """
    duration, wait_on, delay, near = tables.duration, tables.wait_on, tables.delay, tables.near
    n_devices, length = order.shape
    row = moments[k].copy()
    now_at = moment(row, n_devices)
    position, free, first, rest = now_at.position, now_at.free, now_at.first, now_at.rest
    todo, runs, waiting = now_at.todo, now_at.runs, now_at.waiting
    done, n_todo = row[0], row[1]
    before = done
    every = n_devices * length // (len(moments) - 1) + 1  # passes from one moment to the next
    while n_todo > 0:
        if record and done >= (k + 1) * every:
            k += 1
            while k + 1 < len(moments) and done >= (k + 1) * every:
                overwrite(moments[k], moments[k - 1])
                k += 1
            row[0], row[1] = done, n_todo
            overwrite(moments[k], row)
        # one device runs until it is done or waits for a pass that has not run yet
        n_todo -= 1
        d = todo[n_todo]
        now, x = free[d], position[d]
        while x < length:
            code = order[d, x]
            i = runs[code]
            a, b = near[code, 0], near[code, 1]
            if (a >= 0 and runs[a] <= i) or (b >= 0 and runs[b] <= i):
                return BROKEN, BROKEN, done - before
            source = wait_on[code]
            if source >= 0:
                if runs[source] <= i:
                    waiting[source] = d
                    break
                now = max(now, end[source, i] + delay[code])
            if x == 0:
                first[d] = now
            now += duration[code, i]
            rest[d] -= duration[code, i]
            end[code, i] = now
            if record:
                place[code, i] = x
            runs[code] = i + 1
            x += 1
            done += 1
            if waiting[code] >= 0:
                todo[n_todo] = waiting[code]
                n_todo += 1
                waiting[code] = -1
        free[d], position[d] = now, x
        if now + rest[d] - (first[d] if longest else 0) > worst:
            return BROKEN, BROKEN, done - before
    if done < n_devices * length:
        return BROKEN, BROKEN, done - before
    if record:
        for later in range(k + 1, len(moments)):
            overwrite(moments[later], moments[k])
    value, total = np.int64(0), np.int64(0)
    for d in range(n_devices):
        value = max(value, free[d] - (first[d] if longest else 0))
        total += free[d]
    return value, total, done - before


@compiled
def last_before(moments: Ints, n_devices: int, d: int, x: int) -> int:
    """The last row of `moments` at which device d has not come past position x."""
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if moment(moments[middle], n_devices).position[d] <= x:
            low = middle
        else:
            high = middle - 1
    return low
