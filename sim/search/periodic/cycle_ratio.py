"""The period of a periodic order: the largest length / height over the cycles of a graph, exact.

Edge a -> b of length w and height h says: b of period i starts at least w after a of period i - h.
All of them can be kept with period T exactly when no cycle has length > T height.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ..compiled import Ints, compiled

Edge = tuple[int, int, int, int]
"""From, to, length in ticks, height in periods."""


def cycle_ratio(n_nodes: int, edges: Sequence[Edge]) -> tuple[Fraction, Ints] | None:
    """The largest length / height of a cycle, and the earliest starts under that period.

    Starts are in ticks x denominator of the ratio, and at least 0. None if a cycle of positive
    length has no height: then nothing can run. Newton's method: raise the period to the ratio of
    any cycle that breaks it, until none does.
    """
    table = np.array(edges, np.int64).reshape(-1, 4)
    ratio = Fraction(0)
    while True:
        size = int(abs(table[:, 2]).sum()) * ratio.denominator
        size += int(abs(table[:, 3]).sum()) * abs(ratio.numerator)
        if size >= 1 << 62:
            raise OverflowError("times have too many digits for whole-number arithmetic")
        starts, cycle = _longest(n_nodes, table, ratio.numerator, ratio.denominator)
        if not cycle.size:
            return ratio, starts
        length, height = int(table[cycle, 2].sum()), int(table[cycle, 3].sum())
        if height <= 0:
            return None
        ratio = Fraction(length, height)


@compiled
def _longest(n: int, table: Ints, num: int, den: int) -> tuple[Ints, Ints]:
    """Longest paths under period num/den, or the edges of a cycle that is too long for it."""
    starts = np.zeros(n, np.int64)
    into = np.full(n, -1, np.int64)
    mark = np.zeros(n, np.int64)
    while True:
        changed = False
        for e in range(table.shape[0]):
            a, b = table[e, 0], table[e, 1]
            at = starts[a] + table[e, 2] * den - table[e, 3] * num
            if at > starts[b]:
                starts[b] = at
                into[b] = e
                changed = True
        if not changed:
            return starts, np.zeros(0, np.int64)
        mark[:] = 0
        for first in range(n):  # a cycle of last improvements is too long
            node = first
            while node >= 0 and mark[node] == 0:
                mark[node] = first + 1
                node = table[into[node], 0] if into[node] >= 0 else -1
            if node >= 0 and mark[node] == first + 1:
                cycle = [into[node]]
                at = table[into[node], 0]
                while at != node:
                    cycle.append(into[at])
                    at = table[into[at], 0]
                return starts, np.array(cycle)
