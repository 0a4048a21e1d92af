"""Shorten a schedule by taking periods out of its steady state, and put them back, or more of them.

Cut the time line at moments between which every stage of every device begins each of its passes
equally often. What lies between two such cuts can be left out or repeated: every activation that
it opens it also closes (or inherits and passes on), so no more is ever alive, and shifting what
comes later keeps every input before its reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..compiled import Ints
from .problem import Fence, Order, OrderProblem
from .replay import replayed


@dataclass(frozen=True, eq=False)
class Shortened:
    """An order without its middle.

    problem: with as many microbatches as are left. fence: what must stay as it is, so that the
        middle fits in again at `cut`, shape `(p,)`.
    middle: what was taken out, shape `(p, any)`.
    """

    problem: OrderProblem
    order: Order
    fence: Fence
    cut: Ints
    middle: Order


def without_middle(problem: OrderProblem, order: Order, keep: int) -> Shortened | None:
    """The order with about `keep` microbatches before and after; None if it is not periodic."""
    begun, _ = _begun(problem, order)
    m = problem.n_microbatches
    inner = np.flatnonzero((begun.max(axis=1) >= keep) & (m - begun.min(axis=1) >= keep))
    groups = [inner[cuts] for cuts in _alike(begun[inner]).values() if len(cuts) >= 4]
    if not groups:
        return None
    cuts = max(groups, key=lambda cuts: begun[cuts[-2], 0] - begun[cuts[1], 0])
    a, b, c, d = cuts[0], cuts[1], cuts[-2], cuts[-1]
    gone = int(begun[c, 0] - begun[b, 0])
    if gone <= 0 or a >= b or c >= d:
        return None
    at = [_positions(problem, begun[cut]) for cut in (a, b, c, d)]
    rows = [
        (np.concatenate([row[:y], row[z:]]), row[y:z])
        for row, y, z in zip(order, at[1], at[2], strict=True)
    ]
    return Shortened(
        problem.with_microbatches(m - gone),
        np.array([short for short, _ in rows], np.int32),
        Fence(at[0], at[1] + at[3] - at[2]),
        cut=at[1],
        middle=np.array([middle for _, middle in rows], np.int32),
    )


def with_middle(short: Shortened, order: Order) -> Order:
    """The order with the middle back in; it may have changed elsewhere."""
    rows = [
        np.concatenate([row[:x], middle, row[x:]])
        for row, x, middle in zip(order, short.cut, short.middle, strict=True)
    ]
    return np.array(rows, np.int32)


class Stretch(NamedTuple):
    """`n` microbatches that take `time`, between two cuts."""

    n: int
    time: int
    first: int
    last: int


def longer(problem: OrderProblem, order: Order, n_microbatches: int) -> Order | None:
    """The order for more microbatches, by the cheapest stretches of `order`; None if none fit."""
    begun, moments = _begun(problem, order)
    missing = n_microbatches - problem.n_microbatches
    chosen = _cheapest(_stretches(begun, moments), missing)
    if chosen is None:
        return None
    rows: list[list[Order]] = [[] for _ in order]
    done = np.zeros(problem.n_devices, np.int64)
    for stretch in sorted(chosen, key=lambda stretch: stretch.last):
        first, last = (
            _positions(problem, begun[stretch.first]),
            _positions(problem, begun[stretch.last]),
        )
        for device, row in enumerate(order):
            rows[device].append(row[done[device] : last[device]])
            rows[device].append(row[first[device] : last[device]])
        done = last
    for device, row in enumerate(order):
        rows[device].append(row[done[device] :])
    return np.array([np.concatenate(pieces) for pieces in rows], np.int32)


def _begun(problem: OrderProblem, order: Order) -> tuple[Ints, Ints]:
    """How often each pass code has begun before each moment at which a pass begins; the moments."""
    start = replayed(problem, order).end - problem.tables.duration
    moments = np.unique(start)
    return np.stack([np.searchsorted(row, moments) for row in start], axis=1), moments


def _positions(problem: OrderProblem, begun: Ints) -> Ints:
    """How many passes each device has begun."""
    per_stage = begun.reshape(-1, 3).sum(axis=1)
    return np.array([per_stage[stages].sum() for stages in problem.tables.stages_of], np.int64)


def _alike(begun: Ints) -> dict[bytes, list[int]]:
    """Cuts that differ by whole microbatches only, in order of time."""
    groups: dict[bytes, list[int]] = {}
    for cut, row in enumerate(begun):
        groups.setdefault((row - row[0]).astype(np.int32).tobytes(), []).append(cut)
    return groups


def _stretches(begun: Ints, moments: Ints) -> dict[int, Stretch]:
    """The shortest stretch for each number of microbatches."""
    found: dict[int, Stretch] = {}
    for cuts in _alike(begun).values():
        for position, first in enumerate(cuts):
            for last in cuts[position + 1 : position + 40]:
                n = int(begun[last, 0] - begun[first, 0])
                time = int(moments[last] - moments[first])
                if n > 0 and (n not in found or time < found[n].time):
                    found[n] = Stretch(n, time, first, last)
    return found


def _cheapest(found: dict[int, Stretch], missing: int) -> list[Stretch] | None:
    """Stretches whose microbatches add up to `missing` in the least time."""
    best: list[tuple[int, int]] = [(0, 0)]  # (time, the last n used)
    for total in range(1, missing + 1):
        ways = [
            (best[total - n][0] + stretch.time, n)
            for n, stretch in found.items()
            if n <= total and (total == n or best[total - n][1])
        ]
        best.append(min(ways, default=(0, 0)))
    chosen = []
    while missing:
        n = best[missing][1]
        if not n:
            return None
        chosen.append(found[n])
        missing -= n
    return chosen
