"""Compiled loops of `decide_v`: the moves of a table from one device to the next, and its filter.

A table has shape `(slack + 1, T, T)`: [i, o, u] is the smallest number of whole periods of an outer
loop of residue o, where b - a is u modulo T and the inner loop is i longer than its least; `NEVER`
if there is none. All three, and a, b, c, e, are as in `decide_v`.

A move puts one of the four passes off by x >= 0 more than its least step. A state is reached if one
that is x back is there: going on by one from each state to the next is a running minimum over x.
Residues run in a circle, so it goes round twice where what is carried is a loop.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from ..compiled import compiled

NEVER = 255
ORDERS = np.array(list(permutations(range(4))), np.int64)
F0, F1, B1, B0 = range(4)
"""Positions of a, b, c, e in `DeviceTimes`."""


class DeviceTimes(NamedTuple):
    """Ticks of the passes of a device; chunk 0 is its lower stage."""

    f0: int
    f1: int
    b1: int
    b0: int
    w1: int
    w0: int


class DeviceMemory(NamedTuple):
    """Units that F keeps and signed changes at B, by chunk; and how much the device may hold.

    forwards_tied: whether F0 and F1 may be of one microbatch if they fall on one instant, so that
    F0 goes first there; backwards_tied: the same for B1 and B0.
    """

    kept0: int
    kept1: int
    change0: int
    change1: int
    limit: int
    forwards_tied: int
    backwards_tied: int

    def without_ties(self) -> DeviceMemory:
        """Any order in an instant."""
        return self._replace(forwards_tied=0, backwards_tied=0)


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
        table[i] = new


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
        table[i] = new


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


@compiled
def on_its_way(place: Any, phase: Any, outer: int, memory: DeviceMemory) -> bool:
    """Whether at one instant a microbatch goes its way: of two passes that may be of the same one
    the earlier comes first."""
    if outer == 0 and place[F1] > place[B1]:
        return False
    if memory.forwards_tied and phase[F0] == phase[F1] and place[F0] > place[F1]:
        return False
    return not (memory.backwards_tied and phase[B1] == phase[B0] and place[B1] > place[B0])


@compiled
def weights(
    T: int, u: int, outer: int, inner: int, times: DeviceTimes, memory: DeviceMemory
) -> tuple[int, int]:
    """How long W1 and W0 wait after their B such that memory suffices; (-1, -1) if they cannot.

    A W may as well start where its gap between two of the four passes starts, or right after the
    other W there; one without length right after its B. All ways are tried, in every order of the
    passes: there are several where some have no length and share an instant.
    """
    phase, length = np.empty(4, np.int64), np.empty(4, np.int64)
    phase[F0], phase[F1], phase[B1], phase[B0] = 0, u, (u + outer) % T, inner % T
    length[F0], length[F1], length[B1], length[B0] = times.f0, times.f1, times.b1, times.b0
    periods1, periods0 = (u + outer) // T, inner // T  # of B1 and B0
    place, gap = np.empty(4, np.int64), np.empty(4, np.int64)
    for way in range(24):
        # an order of the four passes in one period; behind each is a gap
        order = ORDERS[way]
        gap[3] = T + phase[order[0]] - phase[order[3]] - length[order[3]]
        for i in range(3):
            gap[i] = phase[order[i + 1]] - phase[order[i]] - length[order[i]]
            if gap[i] < 0:
                break
        if gap[i] < 0:
            continue
        for i in range(4):
            place[order[i]] = i
        if not on_its_way(place, phase, outer, memory):
            continue
        # W1 in gap j, W0 in gap k: in the period of its B if that comes before, else in the next
        for j in range(4):
            if times.w1 > gap[j] or (times.w1 == 0 and j != place[B1]):
                continue
            for k in range(4):
                room = gap[k] - (times.w1 if j == k else 0)
                if times.w0 > room or (times.w0 == 0 and k != place[B0]):
                    continue
                end1, end0 = periods1 + (j < place[B1]), periods0 + (k < place[B0])
                if (
                    most_alive(place, (j, k), (periods1, periods0), (end1, end0), memory)
                    <= memory.limit
                ):
                    wait1 = (end1 - periods1) * T + phase[order[j]] + length[order[j]]
                    wait0 = (end0 - periods0) * T + phase[order[k]] + length[order[k]]
                    wait0 += times.w1 if j == k else 0
                    return wait1 - phase[B1] - times.b1, wait0 - phase[B0] - times.b0
    return -1, -1


@compiled
def most_alive(
    place: Any,
    gaps: tuple[int, int],
    turns: tuple[int, int],
    ends: tuple[int, int],
    memory: DeviceMemory,
) -> int:
    """The most units alive at the start of a pass of the device.

    place: of F0 F1 B1 B0 in the period. Of W1 and W0, the gaps they are in; turns and ends: periods
    of B and W of both chunks, from that of F on. As in `decide_any`, with K the period of a pass:

        alive of a chunk = K(W) - K(F) + [F not after] - [W before]
        of these past their B = K(W) - K(B) + [B not after] - [W before]
    """
    most = 0
    for event in range(4):
        if (event == B1 and memory.change1 <= 0) or (event == B0 and memory.change0 <= 0):
            continue  # nothing rises
        now = place[event]
        ended1, ended0 = ends[0] - (gaps[0] < now), ends[1] - (gaps[1] < now)
        alive = memory.kept1 * (ended1 + (place[F1] <= now))
        alive += memory.kept0 * (ended0 + (place[F0] <= now))
        alive += memory.change1 * (ended1 - turns[0] + (place[B1] <= now))
        alive += memory.change0 * (ended0 - turns[1] + (place[B0] <= now))
        most = max(most, alive)
    return most
