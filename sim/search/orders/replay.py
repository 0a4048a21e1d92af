"""Compiled loops over orders kept as letters: play them, build them, improve them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled import Ints, compiled
from .problem import Letters

BROKEN = 2**62


@compiled
def clocks(
    order: Letters,
    m: int,
    duration: Ints,
    wait_on: Ints,
    delay: Ints,
    near: Ints,
    end: Ints,
    place: Ints,
) -> tuple[Any, Any]:
    """Makespan and longest stage of an order; BROKEN if it cannot run.

    Fills `end[letter, i]` and `place[letter, i]`: when the i-th of a letter ends, and its position.
    """
    n_devices, length = order.shape
    n_letters = duration.size
    position = np.zeros(n_devices, np.int64)
    free = np.zeros(n_devices, np.int64)
    first = np.zeros(n_devices, np.int64)
    count = np.zeros(n_letters, np.int64)
    waiting = np.full(n_letters, -1, np.int64)
    todo = np.empty(n_devices, np.int64)
    for d in range(n_devices):
        todo[d] = n_devices - 1 - d
    n_todo, done = n_devices, 0
    while n_todo > 0:
        n_todo -= 1
        d = int(todo[n_todo])
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
            end[letter, i] = now
            place[letter, i] = x
            count[letter] = i + 1
            x += 1
            done += 1
            if waiting[letter] >= 0:
                todo[n_todo] = waiting[letter]
                n_todo += 1
                waiting[letter] = -1
        free[d], position[d] = now, x
    if done < n_devices * length:
        return BROKEN, BROKEN
    makespan, longest = np.int64(0), np.int64(0)
    for d in range(n_devices):
        makespan = max(makespan, free[d])
        longest = max(longest, free[d] - first[d])
    return makespan, longest


@compiled
def fits_memory(row: Letters, takes: Ints, frees: Ints, limits: Ints, device: int) -> bool:
    """Whether the order of one device stays within both of its limits."""
    pieces, size = np.int64(0), np.int64(0)
    for letter in row:
        pieces += takes[0, letter]
        size += takes[1, letter]
        if pieces > limits[0, device] or size > limits[1, device]:
            return False
        pieces += frees[0, letter]
        size += frees[1, letter]
    return True


@compiled
def list_order(
    m: int,
    stages_of: Ints,
    device_of: Ints,
    duration: Ints,
    wait_on: Ints,
    delay: Ints,
    takes: Ints,
    frees: Ints,
    limits: Ints,
    caps: Ints,
    rank: Ints,
    look: Ints,
    order: Letters,
) -> bool:
    """List scheduling in time order by fixed rules; False if the rules got stuck.

    The rules of a device may differ by phase g: 0 before its first B, 2 once its first chunk has
    run every F, 1 between. caps[g, d, c]: how many microbatches chunk c of device d may have
    between F and the end of W; caps[g, d, chunks + c]: between F and B. rank[g, d, 2 * c + kind]:
    which of the ready passes F (0) or B (1) of chunk c goes first (small).
    look[g, d]: in thousandths: W runs if nothing better comes within look[., 0] of its time; a pass
    gives way to a better one that comes within look[., 1] of its own time; W runs at once when
    look[., 2] (a number) are pending.
    """
    n_devices, chunks = stages_of.shape
    n_stages = device_of.size
    length = 3 * chunks * m
    never = np.int64(2**61)
    end = np.full((3 * n_stages, m), -1, np.int64)
    count = np.zeros(3 * n_stages, np.int64)
    free = np.zeros(n_devices, np.int64)
    wake = np.zeros(n_devices, np.int64)
    x = np.zeros(n_devices, np.int64)
    live = np.zeros((2, n_devices), np.int64)
    pending = np.zeros((n_devices, chunks * m), np.int64)
    head = np.zeros(n_devices, np.int64)
    tail = np.zeros(n_devices, np.int64)
    left = n_devices * length
    while left > 0:
        d, now = -1, never
        for e in range(n_devices):
            if wake[e] < now:
                d, now = e, wake[e]
        if d < 0:
            return False
        best, best_rank = -1, np.int64(1000000)
        soon, soon_rank, soon_at = -1, np.int64(1000000), never
        starved = False
        g = 1
        if count[3 * stages_of[d, 0]] >= m:
            g = 2
        elif count[3 * stages_of[d, chunks - 1] + 1] == 0:
            g = 0
        for c in range(chunks):
            s = stages_of[d, c]
            for kind in range(2):
                letter = 3 * s + kind
                i = count[letter]
                if i >= m:
                    continue
                source, at = wait_on[letter], np.int64(0)
                if source >= 0:
                    if count[source] <= i:
                        continue
                    at = end[source, i] + delay[letter]
                elif kind == 0 and s > 0:
                    if count[3 * (s - 1)] <= i:
                        continue
                elif kind == 1 and s < n_stages - 1 and count[letter + 3] <= i:
                    continue
                if kind == 1 and count[3 * s] <= i:
                    continue
                allowed = (
                    live[0, d] + takes[0, letter] <= limits[0, d]
                    and live[1, d] + takes[1, letter] <= limits[1, d]
                )
                if kind == 0 and i - count[3 * s + 1] >= caps[g, d, chunks + c]:
                    continue
                if kind == 0 and i - count[3 * s + 2] >= caps[g, d, c]:
                    if at <= now:
                        starved = True
                    continue
                if not allowed:
                    if at <= now:
                        starved = True
                    continue
                r = rank[g, d, 2 * c + kind]
                if at <= now:
                    if r < best_rank:
                        best, best_rank = letter, r
                elif at < soon_at or (at == soon_at and r < soon_rank):
                    soon, soon_rank, soon_at = letter, r, at
        n_pending = tail[d] - head[d]
        choice = best
        if (
            best >= 0
            and soon >= 0
            and soon_rank < best_rank
            and (soon_at - now) * 1000 < look[g, d, 1] * duration[best]
        ):
            choice = -1
        if n_pending > 0:
            w = 3 * pending[d, head[d]] + 2
            if n_pending >= look[g, d, 2] or (
                choice < 0
                and (starved or soon < 0 or (soon_at - now) * 1000 >= look[g, d, 0] * duration[w])
            ):
                choice = w
        if choice < 0:
            wake[d] = soon_at if soon >= 0 else never
            continue
        i = count[choice]
        finish = now + duration[choice]
        end[choice, i] = finish
        count[choice] = i + 1
        order[d, x[d]] = choice
        x[d] += 1
        left -= 1
        free[d] = finish
        wake[d] = finish if x[d] < length else never
        live[0, d] += takes[0, choice] + frees[0, choice]
        live[1, d] += takes[1, choice] + frees[1, choice]
        kind, s = choice % 3, choice // 3
        if kind == 1:
            pending[d, tail[d]] = s
            tail[d] += 1
        elif kind == 2:
            head[d] += 1
        reader = -1
        if kind == 0 and s + 1 < n_stages:
            reader = device_of[s + 1]
        elif kind == 1 and s > 0:
            reader = device_of[s - 1]
        if reader >= 0 and reader != d and x[reader] < length:
            into = choice + 3 if kind == 0 else choice - 3
            at = max(finish + delay[into], free[reader])
            wake[reader] = min(wake[reader], at)
    return True
