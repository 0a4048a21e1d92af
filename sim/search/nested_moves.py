"""Compiled loops of `nested`: the moves of a table from one device to the next, and its filter.

A table has shape `(slack + 1, T, T)`: [i, o, u] is the smallest number of whole periods of an outer
loop of residue o, where b - a is u modulo T and the inner loop is i longer than its least; `NEVER`
if there is none. All three are as in `nested`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._compiled import compiled

NEVER = 255


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
def count(age: int, length: int, T: int) -> int:
    """How many of the ages age, age + T, ... are below `length`."""
    return (length - age + T - 1) // T if length > age else 0


@compiled
def held(
    phase: int, start: int, turn: int, length: int, T: int, kept: int, change: int, tie: int
) -> int:
    """Units a chunk holds at a phase, whose F starts at phase `start`.

    tie: what an F that starts right then means: 1 it counts, being what is asked about; 0 it counts
    as long as it lasts; -1 it comes later, as what is asked about takes no time.
    """
    age = (phase - start) % T
    if age == 0 and tie < 0:
        age = T
    alive = count(age, length, T)
    if age == 0 and tie > 0:
        alive = max(alive, 1)
    return (kept + change) * alive - change * min(count(age, turn, T), alive)


@compiled
def weights(T: int, u: int, outer: int, inner: int, t: Any, units: Any) -> tuple[int, int]:
    """How long W1 and W0 wait after their B such that memory suffices; (-1, -1) if they cannot.

    A W may as well start where its gap between two of the four passes starts, or right after the
    other W there: at most 20 ways, all tried.
    """
    start = np.empty(4, np.int64)
    start[0], start[1], start[2], start[3] = 0, u % T, (u + outer) % T, inner % T
    gap = np.empty(4, np.int64)
    for j in range(4):
        end = start[j] + t[j]
        gap[j] = T - t[j]
        for k in range(4):
            if k != j:
                free = (start[k] - end) % T
                if free == 0 and t[j] == 0 and t[k] == 0 and k < j:
                    free = T
                elif free == 0 and start[k] == start[j] and t[j] > 0:
                    free = T - t[j]
                gap[j] = min(gap[j], free)
    kept0, kept1, change0, change1, limit = units[0], units[1], units[2], units[3], units[4]
    end1, end0 = start[2] + t[2], start[3] + t[3]
    turn0 = inner if change0 >= 0 else inner + t[3]
    turn1 = outer if change1 >= 0 else outer + t[2]
    for j in range(4):
        for k in range(4):
            for first in range(2):
                after1, after0 = 0, 0
                if j != k:
                    if first or t[4] > gap[j] or t[5] > gap[k]:
                        continue
                else:
                    if t[4] + t[5] > gap[j]:
                        continue
                    if first:
                        after0 = t[4]
                    else:
                        after1 = t[5]
                wait1 = (start[j] + t[j] - end1) % T + after1
                wait0 = (start[k] + t[k] - end0) % T + after0
                length1 = outer + t[2] + wait1 + t[4]
                length0 = inner + t[3] + wait0 + t[5]
                most = 0
                for event in range(4):
                    if (event == 2 and change1 <= 0) or (event == 3 and change0 <= 0):
                        continue
                    now = start[event]
                    tie0 = 1 if event == 0 else -1 if t[event] == 0 and t[0] > 0 else 0
                    tie1 = 1 if event == 1 else -1 if t[event] == 0 and t[1] > 0 else 0
                    load = held(now, 0, turn0, length0, T, kept0, change0, tie0)
                    load += held(now, start[1], turn1, length1, T, kept1, change1, tie1)
                    most = max(most, load)
                if most <= limit:
                    return wait1, wait0
    return -1, -1
