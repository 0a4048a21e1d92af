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
SWEEPS_PER_LOOK = 3
"""A look for a cycle costs about as much as a sweep over the edges."""


def cycle_ratio(n_nodes: int, edges: Sequence[Edge]) -> tuple[Fraction, Ints] | None:
    """The largest length / height of a cycle, and the earliest starts under that period.

    Starts are in ticks x denominator of the ratio, and at least 0. None if a cycle of positive
    length has no height: then nothing can run. Newton's method: raise the period to the ratio of
    any cycle that breaks it, until none does.
    """
    table = np.array(edges, np.int64).reshape(-1, 4).T.copy()
    _, _, lengths, heights = table
    starts = np.zeros(n_nodes, np.int64)
    ratio = Fraction(0)
    while True:
        size = int(abs(lengths).sum()) * ratio.denominator
        size += int(abs(heights).sum()) * abs(ratio.numerator)
        if size >= 1 << 62:
            raise OverflowError("times have too many digits for whole-number arithmetic")
        cycle = too_long(table, ratio.numerator, ratio.denominator, starts)
        if not cycle.size:
            return ratio, starts
        length, height = int(lengths[cycle].sum()), int(heights[cycle].sum())
        if height <= 0:
            return None
        ratio = Fraction(length, height)


@compiled
def too_long(table: Ints, num: int, den: int, starts: Ints) -> Ints:
    """The edges of a cycle that is too long for the period num / den; none, and then `starts` are
    the longest paths from time 0 on, in ticks x den.

    table: a column for each edge, shape `(4, any)`. Bellman-Ford: every sweep over the edges makes
    paths right that are one edge longer. Each node knows the edge that improved it last; where
    these run in a circle, that cycle improves for ever.
    """
    source, target, length, height = table
    n = starts.size
    into = np.full(n, -1, np.int64)
    seen_from = np.empty(n, np.int64)
    starts[:] = 0
    sweep = 0
    while True:
        changed = False
        for e in range(source.size):
            at = starts[source[e]] + length[e] * den - height[e] * num
            if at > starts[target[e]]:
                starts[target[e]] = at
                into[target[e]] = e
                changed = True
        if not changed:
            return np.zeros(0, np.int64)
        sweep += 1
        if sweep % SWEEPS_PER_LOOK:
            continue
        seen_from[:] = -1
        for first in range(n):  # walk back from every node that no other walk has met
            node = first
            while node >= 0 and seen_from[node] < 0:
                seen_from[node] = first
                node = source[into[node]] if into[node] >= 0 else -1
            if node >= 0 and seen_from[node] == first:
                cycle = [into[node]]
                while source[cycle[-1]] != node:
                    cycle.append(into[source[cycle[-1]]])
                return np.array(cycle)
