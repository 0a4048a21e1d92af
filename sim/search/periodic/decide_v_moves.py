"""Compiled loops of `decide_v`: the moves of a table from one device to the next, and its filter.

A table has shape `(slack + 1, T, T)`: [i, o, u] is the smallest number of whole periods of an outer
loop of residue o, where b - a is u modulo T and the inner loop is i longer than its least; `NEVER`
if there is none. All three, and a, b, c, e, are as in `decide_v`.

A move puts one of the four passes off by x >= 0 more than its least step. A state is reached if one
that is x back is there: going on by one from each state to the next is a running minimum over x.
Residues run in a circle, so it goes round twice where what is carried is a loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiled import compiled, overwrite
from .decide_v_weights import DeviceMemory, DeviceTimes, weights

NEVER = 255


@compiled
def first(table: Any, T: int, f1: int) -> None:
    """Device 0: every b - a and inner loop, and the least outer loop of every residue, >= F1."""
    for o in range(T):
        whole = (f1 + (o - f1) % T) // T
        table[:, o, :] = min(whole, NEVER)


@compiled
def closing(table: Any, T: int, least: int, times: DeviceTimes) -> tuple[int, int, int]:
    """A state of the last device whose loops close: F0 before F1 and B1 before B0; -1s if none.

    From F0 to F1 and from B1 to B0 it takes so long at least, given their phases; the rest of the
    inner loop must be the outer one, or more.
    """
    for i in range(table.shape[0]):
        inner = least + i
        for o in range(T):
            for u in range(T):
                if table[i, o, u] == NEVER:
                    continue
                outer = int(table[i, o, u]) * T + o
                before = times.f0 + (u - times.f0) % T
                after = times.b1 + (inner - u - o - times.b1) % T
                if before + after <= inner - outer:
                    return i, o, u
    return -1, -1, -1


@compiled
def plus(value: int, carry: int) -> int:
    """So many periods more; `NEVER` stays so."""
    return int(value) + carry if int(value) + carry < NEVER else NEVER


@compiled
def move_b(table: Any, T: int, y: int) -> None:
    """b goes y + x earlier: outer grows and b - a shrinks by as much."""
    new = np.empty((T, T), np.uint8)
    for i in range(table.shape[0]):
        for o in range(T):  # by y
            row, carry = (o + y) % T, (o + y) // T
            for u in range(T):
                new[row, u] = plus(table[i, o, (u + y) % T], carry)
        # by one more, along the diagonals (o + 1, u - 1); one more period from T - 1 to 0
        for lap in range(2):
            if lap:
                for u in range(T):
                    later = u + 1 if u + 1 < T else 0
                    new[0, u] = min(new[0, u], plus(new[T - 1, later], 1))
            for o in range(1, T):
                for u in range(T - 1):
                    new[o, u] = min(new[o, u], new[o - 1, u + 1])
                new[o, T - 1] = min(new[o, T - 1], new[o - 1, 0])
        overwrite(table[i], new)


@compiled
def move_c(table: Any, T: int, y: int) -> None:
    """c goes y + x later: outer grows by as much."""
    new = np.empty((T, T), np.uint8)
    for i in range(table.shape[0]):
        for o in range(T):  # by y
            row, carry = (o + y) % T, (o + y) // T
            for u in range(T):
                new[row, u] = plus(table[i, o, u], carry)
        # by one more, from o to o + 1; one more period from T - 1 to 0
        for lap in range(2):
            if lap:
                for u in range(T):
                    new[0, u] = min(new[0, u], plus(new[T - 1, u], 1))
            for o in range(1, T):
                for u in range(T):
                    new[o, u] = min(new[o, u], new[o - 1, u])
        overwrite(table[i], new)


@compiled
def move_e(table: Any, T: int, y: int) -> None:
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
        for o in range(T):  # by y; the least inner loop shrinks by as much
            row = table[i, o].copy()
            for u in range(T - y):
                table[i, o, u] = row[u + y]
            for u in range(T - y, T):
                table[i, o, u] = row[u + y - T]
    # by one more: both one less
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
def struck(
    table: Any, T: int, least: int, slack: int, times: DeviceTimes, memory: DeviceMemory
) -> int:
    """Strike out what the device cannot do; how many states are left."""
    ab, ac, ae = (
        apart(T, times.f0, times.f1), apart(T, times.f0, times.b1), apart(T, times.f0, times.b0)
    )  # fmt: skip
    bc, be, ce = (
        apart(T, times.f1, times.b1), apart(T, times.f1, times.b0), apart(T, times.b1, times.b0)
    )  # fmt: skip
    left = 0
    for i in range(table.shape[0]):
        if i > slack:
            table[i] = NEVER
            continue
        e = (least + i) % T  # phases of the other passes, where that of F0 is 0
        for o in range(T):
            for u in range(T):
                if table[i, o, u] == NEVER:
                    continue
                c = u + o if u + o < T else u + o - T
                fits = (
                    bc[o] and ab[u] and ac[c] and ae[e]
                    and be[e - u if e >= u else e - u + T] and ce[e - c if e >= c else e - c + T]
                )  # fmt: skip
                if fits:
                    outer = int(table[i, o, u]) * T + o
                    fits = weights(T, u, outer, least + i, times, memory)[0] >= 0
                if fits:
                    left += 1
                else:
                    table[i, o, u] = NEVER
    return left
