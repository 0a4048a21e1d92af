"""What it costs that microbatches on their way up meet those on their way down: a bound.

Little's law (`floors.memory_bound`) has every pass start as soon as its input is there. Where
memory is scarce, microbatches are on their way in both directions, and they cannot pass each other
for nothing. The argument is about two neighbouring devices and one period.

**Flights.** A leg is a pass on device after device, up or down. Between two neighbours it is in
flight from the end of its pass on the one to the start of its pass on the other: for a send s,
and as long as it waits there. A leg that goes up and one that goes down **meet** if the one comes
first here and the other there; that is, if their flights have a moment in common.

**In order.** If one flight lies within another of the same direction, let them exchange their ends.
All lengths together, all ends, and the number of meetings stay what they were. So flights of one
direction may be taken to end in the order in which they begin.

**Two that meet nobody else.** Their flights together, 2s and what they wait, are as long as the two
gaps that they leave: from the end of the one to the start of the other, on both devices. Gaps hold
whole passes and idle time. With W's in them that take c together, c <= 2s, at least 2s - c is idle;
with c > 2s, at least c - 2s was waited; with an F or B, of at least d ticks, at least d - 2s. None
of this is counted twice: such gaps of two pairs do not overlap on a device; nor do, if no F or B is
inside, one after a pass upward, of the neighbour before, and one after a pass downward, of the
neighbour behind.

**Others.** If X meets k legs and Y, one of them, meets l, then k + l - 2 passes of at least d ticks
lie in the gaps of X and Y, which wait (k + l - 2) d - 2s together. Take a 1 / max(k, l) of that for
every meeting: no wait is taken more than once, and of every meeting comes (d - 2s) / 2 or more.

So a meeting takes at least `idle` ticks of idle time, or at least `wait` ticks of waiting, and over
all neighbours

    meetings <= idle time of all devices / idle + waits of all legs / wait

Idle time is the interval less the work. Waits make microbatches live longer on device 0, where the
memory says how long they may. And how many meetings there are follows from how long legs take at
least: a leg up that takes u from the first device to the last meets every leg down, of at least v
ticks, that leaves the last device less than v before or u after it leaves the first. Of a period P
of n microbatches, n leave in every stretch of P, and n * floor((u + v) / P) in one of u + v.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from .floors import area_of, least_loop
from .problem import BlockProblem
from .slot_grid import Leg, legs


class Price(NamedTuple):
    """What a meeting takes at least, in ticks: of idle time, or of waiting."""

    idle: int
    wait: Fraction


def meeting_bound(problem: BlockProblem, n: int) -> Fraction:
    """Ticks per microbatch below which no block with n microbatches per period keeps the limit; 0
    where there is no such argument: without a limit, other placements, passes shorter than sends.
    """
    known = legs(problem, 0) if problem.n_devices > 1 else ()
    if problem.limit is None or not known or problem.kept[0] <= 0:
        return Fraction(0)
    if (cost := price(problem)) is None:
        return Fraction(0)
    extra = _longer_sends(problem)
    work = sum(problem.work(device) for device in range(problem.n_devices))
    area = sum(area_of(problem, s, least_loop(problem, s)) for s in problem.stages_of[0])
    # idle / cost.idle + waits / cost.wait = slope * interval - start
    slope = Fraction(problem.n_devices, cost.idle)
    slope += Fraction(problem.limit[0], problem.kept[0]) / cost.wait
    start = Fraction(work, cost.idle) + (Fraction(area, problem.kept[0]) - extra) / cost.wait
    spans = [
        least_time(problem, up) + least_time(problem, down)
        for up in known
        for down in known
        if up.up and not down.up
    ]
    below = Fraction(0)  # there are that many meetings for intervals from here on
    per_period = max(int(span / (start / slope)) // n for span in spans) if start > 0 else 0
    levels = sorted({Fraction(span, n * k) for span in spans for k in range(1, per_period + 2)})
    for upto in (*levels, None):
        # more than `below`, at most `upto`: as many spans hold so many periods
        meetings = n * sum(span // (n * upto) for span in spans) if upto else 0
        least = (meetings + start) / slope
        if upto is None or least <= upto:
            return max(below, least)
        below = upto
    return below


def price(problem: BlockProblem) -> Price | None:
    """What a meeting takes, on two devices or more; None if it may take nothing."""
    send = _least_send(problem)
    shortest = min(*problem.forward, *problem.backward)
    weights = sorted({time for time in problem.weight if time > 0})
    if len(weights) > 1 and weights[0] <= 2 * send:
        return None  # sums of unequal ones may be just as long as the sends
    held = [time * k for time in weights[:1] for k in range(1, 2 * send // weights[0] + 2)]
    idle = min(2 * send - time for time in (0, *held) if time <= 2 * send)
    wait = min(
        [Fraction(shortest - 2 * send, 2), *(Fraction(t - 2 * send) for t in held if t > 2 * send)]
    )
    return Price(idle, wait) if idle > 0 and wait > 0 else None


def least_time(problem: BlockProblem, leg: Leg) -> int:
    """Ticks from the start of a leg's first pass to that of its last, at least."""
    stages = leg.stages if leg.up else leg.stages[::-1]
    duration = problem.backward if leg.kind else problem.forward
    return sum(duration[s] + problem.send[min(s, after)] for s, after in pairwise(stages))


def _least_send(problem: BlockProblem) -> int:
    return min(send for send, here in zip(problem.send, _between(problem), strict=True) if here)


def _longer_sends(problem: BlockProblem) -> int:
    """By how much all sends of a microbatch take longer than if all were the shortest: that counts
    as waiting."""
    least = _least_send(problem)
    return 2 * sum(
        send - least for send, here in zip(problem.send, _between(problem), strict=True) if here
    )


def _between(problem: BlockProblem) -> list[bool]:
    """Whether the next stage is on another device, of every stage but the last."""
    return [a != b for a, b in pairwise(problem.placement)]
