"""The slot grid: blocks for every number of devices, from times alone, where memory is scarce.

Time is cut into slots, each as long as the longest F or B with its send. The passes of a microbatch
that start at slot s form legs, which go one device further in every slot; of a V:

    F, first stages    slot s + i              device i, up
    F, last stages     slot s + 2p-1 - i       down
    B, last stages     slot s + 2p + gap + i   up
    B, first stages    slot s + 4p-1 + gap - i down

A period of N slots, N even, starts n microbatches, at even slots. Then no two F or B ever share a
slot, on any number of devices: legs that go up and legs that go down stand at slots of different
parity on every device, since 2p-1 is odd; and for two legs of one direction the distance does not
depend on the device, so it is enough to look at their slots on device 0, modulo N. What W's do is
another matter, see `slot_grid_orders`.

A microbatch is alive for about 4p slots on a device, so a device holds about 2 p n / N shares, and
the interval is N / n slots: V-Min is n = 1, N = 6, V-Half about N = 4. With several microbatches in
a period, started at uneven distances, there is a block for every memory in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice, pairwise
from typing import NamedTuple

from ..placement import stages_on
from .floors import area_of, work_bound
from .problem import BlockProblem

MOST = 8
"""Microbatches in a period: more give ratios n / N in between that hardly differ."""
SPREAD = 6
"""Slots per microbatch up to which several share a period; beyond it one alone is as good."""
GAPS = (0, 2)
"""Slots that a microbatch waits at its turn from F to B."""
ALIKE = 5
"""How many ways to start a period's microbatches are tried, the most even ones."""
CROWDED = 2
"""How many of them where some slots have to hold two passes."""
LOOKS = 200
"""How many ways are looked at, of each unevenness."""


class Grid(NamedTuple):
    """slots: of a period. starts: the even slots in which its microbatches start. gap: even slots
    between the legs of F and those of B."""

    slots: int
    starts: tuple[int, ...]
    gap: int

    @property
    def interval(self) -> Fraction:
        """Slots per microbatch."""
        return Fraction(self.slots, len(self.starts))

    def interval_of(self, problem: BlockProblem) -> Fraction:
        """Ticks per microbatch."""
        return ticks_of(problem, self.interval)


class Leg(NamedTuple):
    """A pass on every device, a slot later on the next one (`up`) or on the one before. slot: on
    device 0, of a microbatch that starts in slot 0. stages: by device."""

    kind: int
    up: bool
    slot: int
    stages: tuple[int, ...]

    def on(self, device: int) -> int:
        """The slot on a device."""
        return self.slot + (device if self.up else -device)


@lru_cache(maxsize=16)
def slot_of(problem: BlockProblem) -> int:
    """Ticks of a slot: the longest F or B with the send of its result."""
    sends = [*problem.send, 0], [0, *problem.send]
    return max(
        duration + send
        for durations, after in zip((problem.forward, problem.backward), sends, strict=True)
        for duration, send in zip(durations, after, strict=True)
    )


def ticks_of(problem: BlockProblem, interval: Fraction) -> Fraction:
    """Ticks of an interval in slots: at least the work of the busiest device, for which slots are
    made longer."""
    return max(interval * slot_of(problem), Fraction(work_bound(problem)))


def legs(problem: BlockProblem, gap: int) -> tuple[Leg, ...]:
    """The legs of a straight pipeline or a V; none of another placement."""
    p, last = problem.n_devices, problem.n_stages - 1
    first = tuple(range(p))
    if problem.placement == stages_on(p, "straight"):
        return Leg(0, True, 0, first), Leg(1, False, 2 * p - 1 + gap, first)
    if problem.placement == stages_on(p, "v"):
        back = tuple(last - s for s in first)
        return (
            Leg(0, True, 0, first),
            Leg(0, False, 2 * p - 1, back),
            Leg(1, True, 2 * p + gap, back),
            Leg(1, False, 4 * p - 1 + gap, first),
        )
    return ()


def grids(problem: BlockProblem, most: int) -> Iterator[Grid]:
    """Grids without collisions on which what is alive on average keeps the limit, by interval; of
    those of one size the most even ones."""
    straight = problem.n_stages == problem.n_devices
    sizes = [
        (ticks_of(problem, Fraction(slots, n)), Fraction(slots, n), n, slots)
        for n in range(1, most + 1)
        for slots in range(2 * n, _longest(problem, n) + 1, 2)
    ]
    for interval, _, n, slots in sorted(sizes):
        crowded = not straight and slots < 4 * n
        for gap in GAPS[:1] if crowded else GAPS:
            found = legs(problem, gap)
            if found and _may_fit(problem, found, interval * n / slots, interval):
                free = straight or crowded
                apart = None if free else found[2].slot // 2 % (slots // 2)
                ways = even_starts(slots // 2, n, apart)
                for starts in ways[:CROWDED] if crowded else ways:
                    yield Grid(slots, tuple(2 * s for s in starts), gap)


@lru_cache(maxsize=4096)
def even_starts(pairs: int, n: int, apart: int | None) -> tuple[tuple[int, ...], ...]:
    """The `ALIKE` most even ways to choose n pairs of slots out of a circle of so many.

    apart: no two chosen ones may be so far from each other, on the circle: where one microbatch has
    its first leg of a direction, the other would have its second; None if there is no second. How
    uneven a choice is, is the spread of how early or late each is against n equal distances: the
    less, the fewer microbatches are alive at a peak. Of choices that differ by a turn of the circle
    one is enough.
    """
    found = dict[tuple[int, ...], tuple[int, tuple[int, ...]]]()
    for spread in range(n, n * pairs + 1, n):
        for starts in islice(_choices((0,), pairs, n, apart, spread), LOOKS):
            distances = [b - a for a, b in pairwise((*starts, pairs))]
            turned = min(tuple(distances[k:] + distances[:k]) for k in range(n))
            found.setdefault(turned, (_spread(starts, pairs, n), starts))
        if len(found) >= ALIKE:
            break
    return tuple(starts for _, starts in sorted(found.values())[:ALIKE])


def _choices(
    chosen: tuple[int, ...], pairs: int, n: int, apart: int | None, spread: int
) -> Iterator[tuple[int, ...]]:
    """Choices that begin like this, whose spread is at most that."""
    if apart is not None and any(
        (s - chosen[-1]) % pairs in (apart, -apart % pairs) for s in chosen
    ):
        return
    if len(chosen) == n:
        yield chosen
        return
    for s in range(chosen[-1] + 1, pairs - (n - len(chosen)) + 1):
        if _spread((*chosen, s), pairs, n) <= spread:
            yield from _choices((*chosen, s), pairs, n, apart, spread)


def _spread(starts: tuple[int, ...], pairs: int, n: int) -> int:
    late = [n * s - pairs * j for j, s in enumerate(starts)]
    return max(late) - min(late)


def _longest(problem: BlockProblem, n: int) -> int:
    return SPREAD * n if n > 1 else max(SPREAD, 2 * problem.n_stages + 2)


def _may_fit(
    problem: BlockProblem, found: tuple[Leg, ...], slot: Fraction, interval: Fraction
) -> bool:
    """Whether what is alive on average in slots of so many ticks keeps the limits."""
    limit = problem.limit or ()
    for d, stages in enumerate(problem.stages_of):
        area = 0
        for s in stages:
            forward, backward = (
                next(leg for leg in found if leg.kind == kind and leg.stages[d] == s).on(d)
                for kind in (0, 1)
            )
            area += area_of(problem, s, math.floor((backward - forward) * slot))
        if area > interval * limit[d]:
            return False
    return True
