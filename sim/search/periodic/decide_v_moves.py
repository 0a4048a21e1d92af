"""Compiled loops of `nested`: the moves of a table from one device to the next, and its filter.

A table has shape `(slack + 1, T, T)`: [i, o, u] is the smallest number of whole periods of an outer
loop of residue o, where b - a is u modulo T and the inner loop is i longer than its least; `NEVER`
if there is none. All three are as in `nested`.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from ..compiled import compiled

NEVER = 255
ORDERS = np.array(list(permutations(range(4))), np.int64)


@compiled
def first(table: Any, T: int, f1: int) -> None:
    """Device 0: every b - a and inner loop, and the least outer loop of every residue, >= F1."""
    for o in range(T):
        whole = (f1 + (o - f1) % T) // T
        table[:, o, :] = min(whole, NEVER)


@compiled
def closing(table: Any, T: int, least: int, t: Any) -> tuple[int, int, int]:
    """A state of the last device whose loops close: F0 before F1 and B1 before B0; -1s if none."""
    for i in range(table.shape[0]):
        inner = least + i
        for o in range(T):
            for u in range(T):
                if table[i, o, u] == NEVER:
                    continue
                outer = int(table[i, o, u]) * T + o
                before = t[0] + (u - t[0]) % T
                after = t[2] + (inner - u - o - t[2]) % T
                if before + after <= inner - outer:
                    return i, o, u
    return -1, -1, -1


@compiled
def plus(value: int, carry: int) -> int:
    return int(value) + carry if int(value) + carry < NEVER else NEVER


@compiled
def move_b(table: Any, T: int, y: int) -> None:
    """b goes y + x earlier: outer grows and b - a shrinks by as much."""
    new = np.empty((T, T), np.uint8)
    for i in range(table.shape[0]):
        for o in range(T):
            row, carry = (o + y) % T, (o + y) // T
            for u in range(T):
                new[row, u] = plus(table[i, o, (u + y) % T], carry)
        for lap in range(2):
            if lap:
                for u in range(T):
                    later = u + 1 if u + 1 < T else 0
                    new[0, u] = min(new[0, u], plus(new[T - 1, later], 1))
            for o in range(1, T):
                for u in range(T - 1):
                    new[o, u] = min(new[o, u], new[o - 1, u + 1])
                new[o, T - 1] = min(new[o, T - 1], new[o - 1, 0])
        table[i] = new


@compiled
def move_c(table: Any, T: int, y: int) -> None:
    """c goes y + x later: outer grows by as much."""
    new = np.empty((T, T), np.uint8)
    for i in range(table.shape[0]):
        for o in range(T):
            row, carry = (o + y) % T, (o + y) // T
            for u in range(T):
                new[row, u] = plus(table[i, o, u], carry)
        for lap in range(2):
            if lap:
                for u in range(T):
                    new[0, u] = min(new[0, u], plus(new[T - 1, u], 1))
            for o in range(1, T):
                for u in range(T):
                    new[o, u] = min(new[o, u], new[o - 1, u])
        table[i] = new


@compiled
def move_e(table: Any, T: int) -> None:
    """e goes y + x earlier: inner shrinks; i counts from its least, which shrinks by y itself."""
    for i in range(table.shape[0] - 2, -1, -1):
        for o in range(T):
            for u in range(T):
                table[i, o, u] = min(table[i, o, u], table[i + 1, o, u])


@compiled
def move_a(table: Any, T: int, y: int) -> None:
    """a goes y + x later: b - a and inner shrink."""
    y = y % T
    for i in range(table.shape[0]):
        for o in range(T):
            row = table[i, o].copy()
            for u in range(T - y):
                table[i, o, u] = row[u + y]
            for u in range(T - y, T):
                table[i, o, u] = row[u + y - T]
    for i in range(table.shape[0] - 2, -1, -1):
        for o in range(T):
            for u in range(T - 1):
                table[i, o, u] = min(table[i, o, u], table[i + 1, o, u + 1])
            table[i, o, T - 1] = min(table[i, o, T - 1], table[i + 1, o, 0])


@compiled
def apart(T: int, first: int, second: int) -> Any:
    """Table over the phase difference: may passes of these lengths start so far apart?"""
    found = np.zeros(T, np.bool_)
    for x in range(T):
        found[x] = first <= x and second <= T - x
    found[0] = first == 0 or second == 0
    return found


@compiled
def struck(table: Any, T: int, least: int, slack: int, t: Any, units: Any) -> int:
    """Strike out what the device cannot do; how many states are left."""
    ab, ac, ae = apart(T, t[0], t[1]), apart(T, t[0], t[2]), apart(T, t[0], t[3])
    bc, be, ce = apart(T, t[1], t[2]), apart(T, t[1], t[3]), apart(T, t[2], t[3])
    alive = 0
    for i in range(table.shape[0]):
        if i > slack:
            table[i] = NEVER
            continue
        e = (least + i) % T
        for o in range(T):
            for u in range(T):
                if table[i, o, u] == NEVER:
                    continue
                c = u + o if u + o < T else u + o - T
                fine = (
                    bc[o] and ab[u] and ac[c] and ae[e]
                    and be[e - u if e >= u else e - u + T] and ce[e - c if e >= c else e - c + T]
                )  # fmt: skip
                if fine:
                    w1, _ = weights(T, u, int(table[i, o, u]) * T + o, least + i, t, units)
                    fine = w1 >= 0
                if fine:
                    alive += 1
                else:
                    table[i, o, u] = NEVER
    return alive


@compiled
def on_its_way(place: Any, phase: Any, outer: int, units: Any) -> bool:
    """Whether at one instant a microbatch goes its way: of two passes that may be of the same one
    the earlier comes first."""
    if outer == 0 and place[1] > place[2]:
        return False
    if units[5] and phase[0] == phase[1] and place[0] > place[1]:
        return False
    return not (units[6] and phase[2] == phase[3] and place[2] > place[3])


@compiled
def weights(T: int, u: int, outer: int, inner: int, t: Any, units: Any) -> tuple[int, int]:
    """How long W1 and W0 wait after their B such that memory suffices; (-1, -1) if they cannot.

    A W may as well start where its gap between two of the four passes starts, or right after the
    other W there; one without length right after its B. All ways are tried, in every order of the
    passes: there are several where some have no length and share an instant. As in
    `constraint_model`, with K the period of a pass, at the start of a pass are

        alive of a chunk = K(W) - K(F) + [F not after] - [W before]
        of these past their B = K(W) - K(B) + [B not after] - [W before]
    """
    phase = np.empty(4, np.int64)
    phase[0], phase[1], phase[2], phase[3] = 0, u, (u + outer) % T, inner % T
    turn1, turn0 = (u + outer) // T, inner // T
    kept0, kept1, change0, change1, limit = units[0], units[1], units[2], units[3], units[4]
    place, gap = np.empty(4, np.int64), np.empty(4, np.int64)
    for way in range(24):
        order = ORDERS[way]
        gap[3] = T + phase[order[0]] - phase[order[3]] - t[order[3]]
        for i in range(3):
            gap[i] = phase[order[i + 1]] - phase[order[i]] - t[order[i]]
            if gap[i] < 0:
                break
        if gap[i] < 0:
            continue
        for i in range(4):
            place[order[i]] = i
        if not on_its_way(place, phase, outer, units):
            continue
        for j in range(4):
            if t[4] > gap[j] or (t[4] == 0 and j != place[2]):
                continue
            for k in range(4):
                if t[5] + (t[4] if j == k else 0) > gap[k] or (t[5] == 0 and k != place[3]):
                    continue
                end1, end0 = turn1 + (j < place[2]), turn0 + (k < place[3])
                most = 0
                for event in range(4):
                    if (event == 2 and change1 <= 0) or (event == 3 and change0 <= 0):
                        continue
                    now = place[event]
                    past1, past0 = end1 - (j < now), end0 - (k < now)
                    load = kept1 * (past1 + (place[1] <= now)) + kept0 * (past0 + (place[0] <= now))
                    load += change1 * (past1 - turn1 + (place[2] <= now))
                    load += change0 * (past0 - turn0 + (place[3] <= now))
                    most = max(most, load)
                if most <= limit:
                    wait1 = (end1 - turn1) * T + phase[order[j]] + t[order[j]] - phase[2] - t[2]
                    wait0 = (end0 - turn0) * T + phase[order[k]] + t[order[k]] - phase[3] - t[3]
                    return wait1, wait0 + (t[4] if j == k else 0)
    return -1, -1
