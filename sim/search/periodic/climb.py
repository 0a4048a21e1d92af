"""Compiled: a hill climb on periodic orders that swaps neighbours on the critical cycle."""

from __future__ import annotations

import numpy as np

from ..compiled import Ints, compiled

BROKEN = -1
OFTEN = 4
"""A start that has to be put off more often than this is taken for one that never settles."""


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
def holds(
    order: Ints,
    later: Ints,
    place: Ints,
    first: Ints,
    device_of: Ints,
    length: Ints,
    readers: Ints,
    writers: Ints,
    changed: Ints,
    ratio: Ints,
    starts: Ints,
) -> bool:
    """Whether an order can repeat with the period ratio[0] / ratio[1], known from `starts` of one
    that differs around the nodes `changed` only; then `starts` are those of this order.

    place: position of each node. readers, writers: rows of up to two (node, ticks) per node, -1 for
    none. A no may be wrong, a yes is not.
    """
    n, num, den = length.size, ratio[0], ratio[1]
    queue, waits = np.empty(n, np.int64), np.zeros(n, np.bool_)
    raised = np.zeros(n, np.int64)
    head, size = 0, 0
    for node in changed:
        d = device_of[node]
        low, high = first[d], first[d + 1]
        i = place[node]
        before = order[i - 1 if i > low else high - 1]
        for other in (node, before, writers[node, 0], writers[node, 2]):
            if other >= 0 and not waits[other]:
                queue[(head + size) % n] = other
                size += 1
                waits[other] = True
    while size > 0:
        node = queue[head]
        head, size = (head + 1) % n, size - 1
        waits[node] = False
        d = device_of[node]
        i = place[node]
        last = i == first[d + 1] - 1
        for turn in range(3):
            if turn == 0:
                other, at = order[first[d] if last else i + 1], length[node] * den
                at += starts[node] - (num if last else 0)
            else:
                other = readers[node, 2 * turn - 2]
                if other < 0:
                    continue
                at = starts[node] + readers[node, 2 * turn - 1] * den
                at -= (later[node] - later[other]) * num
            if at > starts[other]:
                starts[other] = at
                raised[other] += 1
                if raised[other] > OFTEN:
                    return False
                if not waits[other]:
                    queue[(head + size) % n] = other
                    size += 1
                    waits[other] = True
    return True


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
    device_of, place = np.empty(n, np.int64), np.empty(n, np.int64)
    most = 1
    for d in range(n_devices):
        total = 0
        for i in range(first[d], first[d + 1]):
            device_of[order[i]], place[order[i]] = d, i
            total += length[order[i]]
        most = max(most, total)
    readers, writers = np.full((n, 4), -1), np.full((n, 4), -1)
    for e in range(inputs.shape[0]):
        a, b = inputs[e, 0], inputs[e, 1]
        free = 0 if readers[a, 0] < 0 else 2
        readers[a, free], readers[a, free + 1] = b, inputs[e, 2]
        free = 0 if writers[b, 0] < 0 else 2
        writers[b, free], writers[b, free + 1] = a, inputs[e, 2]
    floor, starts = np.array([most, 1]), np.zeros(n, np.int64)
    num, den, cycle = critical(order, later, first, length, inputs, floor, starts)
    if num == BROKEN:
        return order, later, num, den
    ratio = np.array([num, den])
    best_order, best_later, best_num, best_den = order.copy(), later.copy(), num, den
    new_order, new_later, new_place = order.copy(), later.copy(), place.copy()
    new_starts = starts.copy()
    tight = np.zeros(n, np.bool_)
    tight[cycle] = True
    changed = np.empty(6, np.int64)
    for _ in range(tries):
        if best_num <= target * best_den:
            break
        swaps, fine, touched = 0, True, False
        for _ in range(1 + next_random(state) % 3):
            if cycle.size and next_random(state) % 8:
                node = cycle[next_random(state) % cycle.size]
            else:
                node = order[next_random(state) % n]
            d = device_of[node]
            low, high = first[d], first[d + 1]
            i = new_place[node]
            if next_random(state) % 4 == 0:
                i = i - 1 if i > low else high - 1
            if high - low > 1:
                j = i + 1 if i < high - 1 else low
                swap(new_order, new_later, low, high, i)
                new_place[new_order[i]], new_place[new_order[j]] = i, j
                changed[2 * swaps], changed[2 * swaps + 1] = new_order[i], new_order[j]
                touched = touched or tight[new_order[i]] or tight[new_order[j]]
                swaps += 1
            if not suits(new_order, new_later, low, high, slot, units, limit[d]):
                fine = False
                break
        allowed = heat * (next_random(state) % 1024) / 1024.0 * (next_random(state) % 2)
        got, of, ring = num, den, cycle
        if fine and allowed == 0.0:
            new_starts[:] = starts
            fine = holds(
                new_order, new_later, new_place, first, device_of, length, readers, writers,
                changed[: 2 * swaps], ratio, new_starts,
            )  # fmt: skip
        else:
            touched = True
        if fine and touched:
            got, of, ring = critical(new_order, new_later, first, length, inputs, floor, new_starts)
            fine = got != BROKEN and got / of <= num / den * (1.0 + allowed)
        if not fine:
            for k in range(2 * swaps):  # take it back
                d = device_of[changed[k]]
                low, high = first[d], first[d + 1]
                for i in range(low, high):
                    new_order[i], new_later[order[i]] = order[i], later[order[i]]
                    new_place[order[i]] = i
            continue
        for k in range(2 * swaps):
            d = device_of[changed[k]]
            for i in range(first[d], first[d + 1]):
                order[i], later[new_order[i]] = new_order[i], new_later[new_order[i]]
        starts[:] = new_starts
        if touched:
            num, den, cycle = got, of, ring
            ratio[0], ratio[1] = num, den
            tight[:] = False
            tight[cycle] = True
        if num * best_den < best_num * den:
            best_order[:], best_later[:] = order, later
            best_num, best_den = num, den
    return best_order, best_later, best_num, best_den
