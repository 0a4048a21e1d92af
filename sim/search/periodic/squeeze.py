"""Compiled: play an order, and let passes of warm-up and cool-down move into idle time."""

from __future__ import annotations

import numpy as np

from ..compiled import Ints, compiled

FAR = 1 << 60


@compiled
def advanced(
    lines: Ints,
    first: Ints,
    duration: Ints,
    send: Ints,
    device_of: Ints,
    units: Ints,
    limit: Ints,
    zone: Ints,
) -> tuple[Ints, int, int]:
    """The order played with changes: rows like `lines`, the makespan and the longest stage.

    lines: (kind 0 F 1 B 2 W, stage, microbatch) of every pass, device after device, of which device
    d has the rows first[d] to first[d+1]. duration: ticks (3, n_stages). units: memory kept by F
    and signed change at B, (2, n_stages). limit: units per device.
    zone: window, warm, cool, patience, eager. An idle device takes the first of the next `window`
    passes that is ready, holds no memory another one needs, and ends before the awaited pass is
    known to be ready (with `patience` percent of its time to spare; `eager` 1: whatever comes) if
    its microbatch is below `warm` or at least `cool`. There a ready B also goes before a ready W.
    """
    n, n_devices, n_stages = lines.shape[0], first.size - 1, device_of.size
    n_micro = 0
    for i in range(n):
        n_micro = max(n_micro, lines[i, 2] + 1)
    done = np.full((2, n_stages, n_micro), FAR, np.int64)
    taken = np.zeros(n, np.bool_)
    out = np.zeros_like(lines)
    head = first[:-1].copy()
    count = np.zeros(n_devices, np.int64)
    clock = np.zeros(n_devices, np.int64)
    begin = np.full(n_devices, -1, np.int64)
    free = np.zeros(n_devices, np.int64)
    alive = np.zeros(n_devices, np.int64)
    window, warm, cool, patience, eager = zone[0], zone[1], zone[2], zone[3], zone[4]
    placed = 0
    while placed < n:
        d, best = -1, FAR
        for e in range(n_devices):
            if clock[e] < best:
                d, best = e, clock[e]
        if d < 0:
            return out, -1, -1
        now = clock[d]
        chosen, soonest, awaited = -1, FAR, FAR
        held, most, seen, at = alive[d], alive[d], 0, head[d]
        front = -1
        while at < first[d + 1] and seen < window:
            if taken[at]:
                at += 1
                continue
            kind, s, m = lines[at, 0], lines[at, 1], lines[at, 2]
            ready = 0
            if kind == 0:
                if s > 0:
                    ready = done[0, s - 1, m] + send[s - 1]
            elif kind == 1:
                ready = done[0, s, m]
                if s < n_stages - 1:
                    ready = max(ready, done[1, s + 1, m] + send[s])
            else:
                ready = done[1, s, m]
            rise = units[0, s] if kind == 0 else max(units[1, s], 0) if kind == 1 else 0
            moves = m < warm or m >= cool
            if seen == 0:
                front, awaited = at, ready
                if ready <= now:
                    chosen = at
                    if kind != 2 or not moves:
                        break
            elif moves and most + rise <= limit[d]:
                if chosen >= 0:  # the front is a ready W: only a ready B may go before it
                    if kind == 1 and ready <= now:
                        chosen = at
                        break
                else:
                    longer = now + duration[kind, s] * (100 - patience) // 100
                    if ready <= now and (eager or longer <= awaited):
                        chosen = at
                        break
                    if (
                        ready > now
                        and ready + duration[kind, s] * (100 - patience) // 100 <= awaited
                    ) or (ready > now and eager):
                        soonest = min(soonest, ready)
            if kind == 0:
                held += units[0, s]
            elif kind == 1:
                most = max(most, held + max(units[1, s], 0))
                held += units[1, s]
            else:
                held -= units[0, s] + units[1, s]
            most = max(most, held)
            seen += 1
            at += 1
        if chosen < 0:
            soonest = min(soonest, awaited)
            clock[d] = soonest if soonest > now else FAR
            if front < 0:
                clock[d] = FAR
            continue
        kind, s, m = lines[chosen, 0], lines[chosen, 1], lines[chosen, 2]
        taken[chosen] = True
        while head[d] < first[d + 1] and taken[head[d]]:
            head[d] += 1
        end = now + duration[kind, s]
        if begin[d] < 0:
            begin[d] = now
        free[d] = end
        clock[d] = end
        out[first[d] + count[d]] = lines[chosen]
        count[d] += 1
        placed += 1
        if kind == 0:
            alive[d] += units[0, s]
        elif kind == 1:
            alive[d] += units[1, s]
        else:
            alive[d] -= units[0, s] + units[1, s]
        if kind < 2:
            done[kind, s, m] = end
            other = -1
            if kind == 0 and s < n_stages - 1:
                other = device_of[s + 1]
            elif kind == 1 and s > 0:
                other = device_of[s - 1]
            if other >= 0 and other != d:
                arrival = end + (send[s] if kind == 0 else send[s - 1])
                clock[other] = min(clock[other], max(arrival, free[other]))
    longest = 0
    for e in range(n_devices):
        longest = max(longest, free[e] - begin[e])
    return out, free.max() - begin.min(), longest
