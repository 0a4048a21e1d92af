"""Compiled: where both W of a device of a V can run, so that its memory suffices."""

from __future__ import annotations

from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from ..compiled import compiled

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
