"""Compiled: play an order, and let passes of warm-up and cool-down move into idle time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled import Ints, compiled, overwrite
from .budget import LOOKS_PER_PLAY
from .tables import PassTables
from .unroll import DeviceOrders

NEVER = 1 << 60


class Moves(NamedTuple):
    """Which passes may run before the one that a device awaits.

    An idle device takes the first of the next `window` passes that is ready, holds no memory that
    one before it in the order needs, and would end before the awaited pass is known to be ready.
    That may be late by `patience` percent of the length of the pass; with `eager` 1 by any time.
    Only passes of microbatches below `warm` or from `cool` on move. Among these a ready B also goes
    before a ready W.
    """

    window: int
    warm: int
    cool: int
    patience: int = 0
    eager: int = 0


def as_they_are(n_microbatches: int) -> Moves:
    """No pass moves."""
    return Moves(window=1, warm=0, cool=n_microbatches)


class Played(NamedTuple):
    """The order that was played, its makespan and longest stage in ticks (-1 if it cannot run), and
    how many passes devices looked at."""

    orders: DeviceOrders
    makespan: int
    longest_stage: int
    looks: int

    @property
    def work(self) -> int:
        """How many passes played alone that is worth."""
        return len(self.orders.passes) + self.looks // LOOKS_PER_PLAY


def squeezed(
    orders: DeviceOrders, tables: PassTables, moves: Moves, after: Ints | None = None
) -> Played:
    """The order played as early as it can be, with moves.

    after: a pass of the same microbatch and device that each pass waits for, too, -1 for none.
    """
    return _squeezed(
        orders, tables, moves, np.full_like(tables.writer, -1) if after is None else after
    )


@compiled
def _squeezed(orders: DeviceOrders, tables: PassTables, moves: Moves, after: Ints) -> Played:
    # local names throughout: a tuple of arrays costs a call more than it takes to run a pass
    passes, first = orders
    device, duration, writer, delay, readers, rise, net, limit = tables
    window, warm, cool, patience, eager = moves
    n, n_devices = passes.shape[0], first.size - 1
    n_micro = passes[:, 2].max() + 1 if n else 0
    end_of = np.full((duration.size, n_micro), NEVER, np.int64)  # by pass and microbatch
    taken = np.zeros(n, np.bool_)
    next_movable = np.empty(n + 1, np.int64)  # the first row from here on that may move
    next_movable[n] = NEVER
    for row in range(n - 1, -1, -1):
        moves_here = passes[row, 2] < warm or passes[row, 2] >= cool
        next_movable[row] = row if moves_here else next_movable[row + 1]
    found, n_found = np.zeros_like(passes), first[:-1].copy()
    # by device: the first row that has not run; when to look again; start of the first and end of
    # the last pass; units alive
    head, wake = first[:-1].copy(), np.zeros(n_devices, np.int64)
    begin, free = np.full(n_devices, -1, np.int64), np.zeros(n_devices, np.int64)
    alive = np.zeros(n_devices, np.int64)
    looks = placed = 0
    while placed < n:
        # the device that wakes first
        d = 0
        for e in range(1, n_devices):
            if wake[e] < wake[d]:
                d = e
        now = wake[d]
        if now >= NEVER:  # all wait for each other
            return Played(DeviceOrders(found, first), -1, -1, looks)

        # chooses a pass of its window: `held` is what would be alive if all rows up to there had
        # run, `most` the largest need on the way, which whoever overtakes them adds to
        chosen, until, awaited = -1, NEVER, NEVER
        held = most = alive[d]
        seen, row = 0, head[d]
        while row < first[d + 1] and seen < window:
            if taken[row]:
                row += 1
                continue
            if seen > 0:  # of rows that cannot move, none from here on has been taken
                ahead = next_movable[row]
                if ahead >= first[d + 1] or ahead - row >= window - seen:
                    break
            kind, m = passes[row, 0], passes[row, 2]
            x = 3 * passes[row, 1] + kind
            ready = end_of[writer[x], m] + delay[x] if writer[x] >= 0 else 0
            if after[x] >= 0:
                ready = max(ready, end_of[after[x], m])
            movable = m < warm or m >= cool
            if seen == 0:
                awaited = until = ready
                if ready <= now:
                    chosen = row
                    if kind != 2 or not movable:
                        break  # only a W may be overtaken although it is ready
            elif movable and most + rise[x] <= limit[d]:
                if chosen >= 0:
                    if kind == 1 and ready <= now:
                        chosen = row
                        break
                else:
                    length = duration[x] * (100 - patience) // 100
                    if eager or max(now, ready) + length <= awaited:
                        if ready <= now:
                            chosen = row
                            break
                        until = min(until, ready)
            most = max(most, held + rise[x])
            held += net[x]
            most = max(most, held)
            seen += 1
            row += 1
        looks += seen

        # runs it, or sleeps until something is ready
        if chosen < 0:
            wake[d] = until if until > now else NEVER
            continue
        x, m = 3 * passes[chosen, 1] + passes[chosen, 0], passes[chosen, 2]
        end = now + duration[x]
        if begin[d] < 0:
            begin[d] = now
        free[d], wake[d], end_of[x, m] = end, end, end
        alive[d] += net[x]
        taken[chosen] = True
        while head[d] < first[d + 1] and taken[head[d]]:
            head[d] += 1
        overwrite(found[n_found[d]], passes[chosen])
        n_found[d] += 1
        placed += 1

        # and wakes the devices that wait for it
        for k in range(2):
            reader = readers[x, k]
            if reader >= 0 and device[reader] != d:
                e = device[reader]
                wake[e] = min(wake[e], max(end + delay[reader], free[e]))
    longest = (free - begin).max()
    return Played(DeviceOrders(found, first), free.max() - begin.min(), longest, looks)
