"""Compiled: a hill climb on periodic orders that swaps neighbours on the critical cycle."""

from __future__ import annotations

import numpy as np

from ._compiled import Ints, compiled

BROKEN = -1


@compiled
def next_random(state: Ints) -> int:
    """The next number below 2**31 (xorshift)."""
    x = state[0]
    x ^= (x << 13) & 0x7FFFFFFF
    x ^= x >> 17
    x ^= (x << 5) & 0x7FFFFFFF
    state[0] = x & 0x7FFFFFFF
    return int(state[0])


@compiled
def critical(
    order: Ints, later: Ints, first: Ints, length: Ints, inputs: Ints, ratio: Ints, starts: Ints
) -> tuple[int, int, Ints]:
    """The smallest period of a periodic order as a fraction, and the nodes of a critical cycle that
    are followed on it by the next pass of their device; (BROKEN, 1, -) if it cannot run.

    order: nodes of the rounds, device after device, device d from first[d] on. later: how many
    periods later the microbatch of a node is. length: ticks per node. inputs: rows (from, to,
    ticks) of the dependencies. ratio: a period to start from, as (ticks, periods). starts: work
    space, one per node.
    """
    n, n_devices = length.size, first.size - 1
    n_edges = n + inputs.shape[0]
    a, b = np.empty(n_edges, np.int64), np.empty(n_edges, np.int64)
    ticks, height = np.empty(n_edges, np.int64), np.empty(n_edges, np.int64)
    e = 0
    for d in range(n_devices):
        for i in range(first[d], first[d + 1]):
            last = i == first[d + 1] - 1
            a[e], b[e] = order[i], order[first[d] if last else i + 1]
            ticks[e], height[e] = length[order[i]], 1 if last else 0
            e += 1
    for i in range(inputs.shape[0]):
        a[e], b[e] = inputs[i, 0], inputs[i, 1]
        ticks[e], height[e] = inputs[i, 2], later[a[e]] - later[b[e]]
        e += 1
    num, den = ratio[0], ratio[1]
    into = np.empty(n, np.int64)
    mark = np.empty(n, np.int64)
    best = np.zeros(0, np.int64)
    while True:
        starts[:] = 0
        into[:] = -1
        found = -1
        for sweep in range(4 * n):
            changed = False
            for e in range(n_edges):
                at = starts[a[e]] + ticks[e] * den - height[e] * num
                if at > starts[b[e]]:
                    starts[b[e]] = at
                    into[b[e]] = e
                    changed = True
            if not changed:
                break
            if sweep % 3 == 2:
                mark[:] = 0
                for node in range(n):
                    at = node
                    while at >= 0 and mark[at] == 0:
                        mark[at] = node + 1
                        at = a[into[at]] if into[at] >= 0 else -1
                    if at >= 0 and mark[at] == node + 1:
                        found = at
                        break
                if found >= 0:
                    break
        if found < 0:
            return num, den, best
        cycle, total, rounds = [into[found]], ticks[into[found]], height[into[found]]
        at = a[into[found]]
        while at != found:
            cycle.append(into[at])
            total += ticks[into[at]]
            rounds += height[into[at]]
            at = a[into[at]]
        if rounds <= 0:
            return BROKEN, 1, best
        num, den = total, rounds
        best = np.array([a[e] for e in cycle if e < n])


@compiled
def suits(
    order: Ints, later: Ints, low: int, high: int, slot: Ints, units: Ints, limit: int
) -> bool:
    """Whether a device with the rounds order[low:high] keeps its limit.

    slot: (kind, stage) of every node; nodes of F, B and W of one stage and copy follow each other.
    """
    alive = 0
    for i in range(low, high):
        node = order[i]
        if slot[node, 0] == 0:
            s = slot[node, 1]
            alive += units[0, s] * (later[node] - later[node + 2])
            alive += units[1, s] * (later[node + 1] - later[node + 2])
    for i in range(low, high):
        kind, s = slot[order[i], 0], slot[order[i], 1]
        rise = units[0, s] if kind == 0 else max(units[1, s], 0) if kind == 1 else 0
        if alive + rise > limit:
            return False
        if kind == 0:
            alive += units[0, s]
        elif kind == 1:
            alive += units[1, s]
        else:
            alive -= units[0, s] + units[1, s]
    return True


@compiled
def swap(order: Ints, later: Ints, low: int, high: int, i: int) -> None:
    """Exchange the passes at i and behind it; at the end, with the next round's first."""
    if i < high - 1:
        order[i], order[i + 1] = order[i + 1], order[i]
    else:
        a, b = order[i], order[low]
        order[i], order[low] = b, a
        later[b] += 1
        later[a] -= 1


@compiled
def polished(
    order: Ints,
    later: Ints,
    first: Ints,
    length: Ints,
    inputs: Ints,
    slot: Ints,
    units: Ints,
    limit: Ints,
    tries: int,
    heat: float,
    seed: int,
    target: float,
) -> tuple[Ints, Ints, int, int]:
    """The best periodic order of a random walk, and its period as a fraction.

    Each try exchanges one to three neighbouring pairs, mostly on the critical cycle, and is kept if
    the period does not grow by more than a random amount of about `heat` (a share of the period).
    """
    state = np.array([seed * 2654435 + 88172645, 0])
    n, n_devices = length.size, first.size - 1
    device_of = np.empty(n, np.int64)
    for d in range(n_devices):
        for i in range(first[d], first[d + 1]):
            device_of[order[i]] = d
    starts = np.zeros(n, np.int64)
    most = 1
    for d in range(n_devices):
        total = 0
        for i in range(first[d], first[d + 1]):
            total += length[order[i]]
        most = max(most, total)
    ratio = np.array([most, 1])
    num, den, cycle = critical(order, later, first, length, inputs, ratio, starts)
    best_order, best_later, best_num, best_den = order.copy(), later.copy(), num, den
    new_order, new_later = order.copy(), later.copy()
    for _ in range(tries):
        if best_num <= target * best_den:
            break
        new_order[:], new_later[:] = order, later
        fine = True
        for _ in range(1 + next_random(state) % 3):
            if cycle.size and next_random(state) % 8:
                node = cycle[next_random(state) % cycle.size]
            else:
                node = order[next_random(state) % n]
            d = device_of[node]
            low, high = first[d], first[d + 1]
            i = low
            while new_order[i] != node:
                i += 1
            if next_random(state) % 4 == 0:
                i = i - 1 if i > low else high - 1
            if high - low > 1:
                swap(new_order, new_later, low, high, i)
            if not suits(new_order, new_later, low, high, slot, units, limit[d]):
                fine = False
                break
        if not fine:
            continue
        got, of, ring = critical(new_order, new_later, first, length, inputs, ratio, starts)
        if got == BROKEN:
            continue
        pace, now = got / of, num / den
        if pace <= now * (
            1.0 + heat * (next_random(state) % 1024) / 1024.0 * (next_random(state) % 2)
        ):
            order[:], later[:] = new_order, new_later
            num, den, cycle = got, of, ring
            if got * best_den < best_num * of:
                best_order[:], best_later[:] = order, later
                best_num, best_den = got, of
    return best_order, best_later, best_num, best_den
