"""Compiled: play an order with its levers as early as possible, within the memory of every device.

What ends at a moment gives its memory back before what begins takes some. Where nothing is
offloaded the memory follows from the order alone, as a device computes one pass after the other;
copies run beside compute, so there it is followed in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled import Ints, compiled
from ..orders.problem import Order, OrderTables
from ..orders.replay import BROKEN
from .problem import Leads, LeverTables, Modes

NEVER = 2**61


@compiled
def place_levers(
    row: Order, d: Any, mode: Modes, lead: Leads, first_of: Ints, next_of: Ints
) -> None:
    """What is to be prepared before each position of a device's order.

    first_of[d, x]: the first unit `s * m + i` whose R or L stands there, or -1; next_of: the next
    one at the same place.
    """
    n_stages, m = mode.shape
    ahead = np.zeros((n_stages, m), np.int32)
    forwards, backwards = np.zeros(n_stages, np.int64), np.zeros(n_stages, np.int64)
    last = np.full(row.size, -1, np.int64)
    first_of[d, :] = -1
    for x in range(row.size):
        s, kind = row[x] // 3, row[x] % 3
        if kind == 0:
            ahead[s, forwards[s]] = x
            forwards[s] += 1
        elif kind == 1:
            i = backwards[s]
            backwards[s] += 1
            if mode[s, i] == 0 or i >= forwards[s]:
                continue
            spot = max(x - lead[s, i], ahead[s, i] + 1)
            unit = s * m + i
            next_of[unit] = -1
            if last[spot] < 0:
                first_of[d, spot] = unit
            else:
                next_of[last[spot]] = unit
            last[spot] = unit


@compiled
def offloads(mode: Modes, stages: Ints) -> bool:
    """Whether a device with these stages offloads anything."""
    for s in stages:
        for i in range(mode.shape[1]):
            if mode[s, i] == 2:
                return True
    return False


@compiled
def fits_by_order(
    row: Order, d: Any, mode: Modes, first_of: Ints, next_of: Ints, more: LeverTables
) -> bool:
    """Whether a device that does not offload stays within its limits."""
    n_stages, m = mode.shape
    runs = np.zeros(3 * n_stages, np.int64)
    for measure in range(2):
        limit = more.limits[measure, d]
        if limit >= 2**60:
            continue
        runs[:] = 0
        live = np.int64(0)
        for x in range(row.size):
            unit = first_of[d, x]
            while unit >= 0:
                s = unit // m
                live += more.prepare[measure, s, 1]
                if live > limit:
                    return False
                unit = next_of[unit]
            code = row[x]
            s, kind, i = code // 3, code % 3, runs[code]
            runs[code] += 1
            if kind == 0:
                change = more.forward[measure, s, mode[s, i]]
            elif kind == 1:
                change = more.backward[measure, s]
            else:
                change = more.weight[measure, s]
            live += change
            if change > 0 and live > limit:
                return False
    return True


@compiled
def _follow(
    d: Any, now: Any, ended: bool, copied: Ints, stage_of: Ints, heads: Ints, live: Ints,
    more: LeverTables,
) -> bool:  # fmt: skip
    """Bring the memory of a device up to a moment; False if it does not hold what L brings.

    copied, stage_of: the ends of O's and the starts of L's that are to come, each in order of
    time, shape `(2, n_devices, any)`; heads: which is next and how many there are, `(2, 2, n)`.
    ended: something ends now and gives its memory back before an L that begins now.
    """
    while True:
        a, b = heads[0, 0, d], heads[1, 0, d]
        away = copied[0, d, a] if a < heads[0, 1, d] else NEVER
        back = copied[1, d, b] if b < heads[1, 1, d] else NEVER
        if away <= back and away <= now:
            for measure in range(2):
                live[measure, d] += more.away[measure, stage_of[0, d, a]]
            heads[0, 0, d] += 1
        elif back < now or (back == now and not ended):
            for measure in range(2):
                live[measure, d] += more.prepare[measure, stage_of[1, d, b], 2]
                if live[measure, d] > more.limits[measure, d]:
                    return False
            heads[1, 0, d] += 1
        else:
            return True


@compiled
def play(
    order: Order, mode: Modes, first_of: Ints, next_of: Ints, by_order: Any, longest: bool,
    tables: OrderTables, more: LeverTables, end: Ints, cause: Ints, place: Ints, record: bool,
    worst: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Value on the clock, sum of the last ends, and passes played; BROKEN if it cannot run, is
    above `worst`, or breaks the limit of a device.

    by_order[d]: the memory of that device is known to suffice. end[row, i]: end of every pass of
    microbatch i; rows are the pass codes, then R, O and L of every stage. record: write to `cause`
    what each pass waited for (`row * m + i`, or -1), and to `place` where F, B and W stand.
    """
    n_devices, length = order.shape
    n_stages, m = mode.shape
    duration, wait_on, delay, near = tables.duration, tables.wait_on, tables.delay, tables.near
    again, out, back = 3 * n_stages, 4 * n_stages, 5 * n_stages
    position, ready = np.zeros(n_devices, np.int64), np.zeros(n_devices, np.int64)
    free, first = np.zeros(n_devices, np.int64), np.zeros(n_devices, np.int64)
    rest, latest = np.zeros(n_devices, np.int64), np.full(n_devices, -1, np.int64)
    out_free, in_free = np.zeros(n_devices, np.int64), np.zeros(n_devices, np.int64)
    out_last, in_last = np.full(n_devices, -1, np.int64), np.full(n_devices, -1, np.int64)
    runs, waiting = np.zeros(3 * n_stages, np.int64), np.full(3 * n_stages, -1, np.int64)
    todo = np.arange(n_devices)[::-1].copy()
    live = np.zeros((2, n_devices), np.int64)
    heads = np.zeros((2, 2, n_devices), np.int64)
    room = 1
    for e in range(n_devices):
        if not by_order[e]:
            room = length // 3 + 1
        for s in tables.stages_of[e]:
            rest[e] += duration[3 * s : 3 * s + 3].sum()
            for k in range(m):
                if mode[s, k] == 1:
                    rest[e] += more.again[s]
    copied = np.zeros((2, n_devices, room), np.int64)
    stage_of = np.zeros((2, n_devices, room), np.int64)
    n_todo, done = n_devices, 0
    while n_todo > 0:
        n_todo -= 1
        d = todo[n_todo]
        now, x = free[d], position[d]
        timed = not by_order[d]
        while x < length:
            if ready[d] <= x:
                ready[d] = x + 1
                unit = first_of[d, x]
                while unit >= 0:
                    s, i = unit // m, unit % m
                    if mode[s, i] == 1:
                        if timed:
                            if not _follow(d, now, False, copied, stage_of, heads, live, more):
                                return BROKEN, BROKEN, done
                            for measure in range(2):
                                live[measure, d] += more.prepare[measure, s, 1]
                                if live[measure, d] > more.limits[measure, d]:
                                    return BROKEN, BROKEN, done
                        now += more.again[s]
                        rest[d] -= more.again[s]
                        end[again + s, i] = now
                        if record:
                            cause[again + s, i] = latest[d]
                        latest[d] = (again + s) * m + i
                        done += 1
                        if timed and not _follow(d, now, True, copied, stage_of, heads, live, more):
                            return BROKEN, BROKEN, done
                    else:
                        begin, why = now, latest[d]
                        if in_free[d] > begin:
                            begin, why = in_free[d], in_last[d]
                        if end[out + s, i] > begin:
                            begin, why = end[out + s, i], (out + s) * m + i
                        heads_in = heads[1, 1, d]
                        copied[1, d, heads_in], stage_of[1, d, heads_in] = begin, s
                        heads[1, 1, d] += 1
                        in_free[d] = begin + more.back[s]
                        in_last[d] = (back + s) * m + i
                        end[back + s, i] = in_free[d]
                        if record:
                            cause[back + s, i] = why
                        done += 1
                    unit = next_of[unit]
            code = order[d, x]
            i = runs[code]
            a, b = near[code, 0], near[code, 1]
            if (a >= 0 and runs[a] <= i) or (b >= 0 and runs[b] <= i):
                return BROKEN, BROKEN, done
            s, kind = code // 3, code % 3
            begin, why = now, latest[d]
            source = wait_on[code]
            if source >= 0:
                if runs[source] <= i:
                    waiting[source] = d
                    break
                arrival = end[source, i] + delay[code]
                if arrival > begin:
                    begin, why = arrival, source * m + i
            if kind == 1 and mode[s, i] == 2 and end[back + s, i] > begin:
                begin, why = end[back + s, i], (back + s) * m + i
            if x == 0:
                first[d] = begin
            now = begin + duration[code, i]
            if timed:
                if not _follow(d, begin, False, copied, stage_of, heads, live, more):
                    return BROKEN, BROKEN, done
                for measure in range(2):
                    if kind == 0:
                        change = more.forward[measure, s, mode[s, i]]
                    elif kind == 1:
                        change = more.backward[measure, s]
                    else:
                        change = more.weight[measure, s]
                    if change > 0:
                        live[measure, d] += change
                        if live[measure, d] > more.limits[measure, d]:
                            return BROKEN, BROKEN, done
                if not _follow(d, now, True, copied, stage_of, heads, live, more):
                    return BROKEN, BROKEN, done
                for measure in range(2):
                    if kind == 1 and more.backward[measure, s] < 0:
                        live[measure, d] += more.backward[measure, s]
                    elif kind == 2 and more.weight[measure, s] < 0:
                        live[measure, d] += more.weight[measure, s]
            rest[d] -= duration[code, i]
            end[code, i] = now
            if kind == 0 and mode[s, i] == 2:
                out_end = now
                if out_free[d] > out_end:
                    out_end = out_free[d]
                if record:
                    cause[out + s, i] = out_last[d] if out_free[d] > now else code * m + i
                out_end += more.out[s]
                out_free[d] = out_end
                out_last[d] = (out + s) * m + i
                end[out + s, i] = out_end
                tail = heads[0, 1, d]
                copied[0, d, tail], stage_of[0, d, tail] = out_end, s
                heads[0, 1, d] += 1
                done += 1
            if record:
                cause[code, i] = why
                place[code, i] = x
            latest[d] = code * m + i
            runs[code] = i + 1
            x += 1
            done += 1
            if waiting[code] >= 0:
                todo[n_todo] = waiting[code]
                n_todo += 1
                waiting[code] = -1
        free[d], position[d] = now, x
        if now + rest[d] - (first[d] if longest else 0) > worst:
            return BROKEN, BROKEN, done
    value, total = np.int64(0), np.int64(0)
    for e in range(n_devices):
        if position[e] < length:
            return BROKEN, BROKEN, done
        value = max(value, free[e] - (first[e] if longest else 0))
        total += free[e]
    return value, total, done
