"""What a limit on live activations costs: idle time at both ends, W's on the way, and an area."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..base.numbers import exact
from .chains import Chains
from .memory import DeviceMemory
from .workload import PassType, Time, Workload


def few_live(work: Workload, device: int, chains: Chains, memory: DeviceMemory) -> Time:
    """Idle time because the memory holds only so many microbatches, before B comes and after F.

    Before the first backward pass of a device, which cannot start before `first_b`, it runs only
    forwards, and all of them stay alive: at most the work A that the memory holds. So all work but
    A comes after `first_b`. When its last forward ends, only the backward passes of what is alive
    are left: at most R. So all work but R comes before that, and at least `after_f` follows:

        clock >= first_b + (work - A - R) + after_f

    unless the last forward comes before the first backward, which the memory forbids when it does
    not hold all of them; then only one of the two arguments is used. Neither waits for less than
    nothing: `work - R` takes at least its time from the first pass on, and the work after the last
    forward may take longer than `after_f`.

    V placement with unit passes and room for k chunks: on device p-1 first_b = 3p-1, A = k,
    after_f = 3p, R = 2k, which gives 6m + 6p - 3k - 1 (Qi et al. 2024, arXiv 2405.15362, reach it).
    """
    m, stages = work.n_microbatches, work.stages_of[device]
    forwards, live = [], []
    for s in stages:
        kept, change = memory.at_forward[s], memory.at_backward[s]
        forwards.append(Item(work.forward(s), kept, m))
        live.append(Item(work.backward(s) + work.weight(s), kept, m))
        live.append(Item(work.weight(s), kept + change, m))
    together = sum(memory.at_forward[s] for s in stages) * m
    return at_both_ends(work, device, chains, memory.limit, forwards, live, together)


def at_both_ends(
    work: Workload, device: int, chains: Chains, limit: Time, forwards: Sequence[Item],
    live: Sequence[Item], together: Time,
) -> Time:  # fmt: skip
    """The argument of `few_live`; forwards: what may run before the first backward, live: what may
    be left after the last forward, together: the memory that all forwards take."""
    own = work.own(device)
    first_b = min(head for which, head in chains.head.items() if which in own and _back(which))
    after_f = min(chains.tail[PassType("F", s, 0)] for s in work.stages_of[device])
    idle = [first_b - most_work(forwards, limit)]
    after = [after_f - most_work(live, limit)]
    total = work.work(device)
    if (soonest := _least(chains.head, own)) is not None:
        idle.append(soonest)
    if (latest := _least(chains.tail, own)) is not None:
        after.append(latest)
    if together <= limit:
        return total + max(
            max(idle[1:], default=-total) + max(after), max(idle) + max(after[1:], default=-total)
        )
    return total + max(idle) + max(after)


def late_weights(work: Workload, device: int, chains: Chains, memory: DeviceMemory) -> Time:
    """Time because the memory cannot put off all weight gradients until after the last B.

    When a device's last B ends, what is left to it is the W of what is alive: at most R. All other
    work comes before, after the head of its first pass; and the gradient still has its way to go.
    """
    soonest = _least(chains.head, work.own(device))
    if soonest is None:
        return 0
    left = [
        Item(work.weight(s), memory.at_forward[s] + memory.at_backward[s], work.n_microbatches)
        for s in work.stages_of[device]
    ]
    after_b = min(chains.tail[work.gradient(s)] for s in work.stages_of[device])
    return soonest + work.work(device) - most_work(left, memory.limit) + after_b


def full_memory(work: Workload, device: int, chains: Chains, memory: DeviceMemory) -> Time:
    """The area that all microbatches need in the picture of memory over time, over its height.

    A microbatch occupies its memory at least for the shortest way from F to the end of W. From the
    first F to the last W the memory rises and falls by one pass at a time, so the corners of the
    picture stay empty: what they lack is added to the area, as long as they do not meet.
    """
    if memory.limit <= 0:
        return 0
    area = least_area(work, device, memory) * work.n_microbatches
    rises, falls = [], []
    for s in work.stages_of[device]:
        kept, change = memory.at_forward[s], memory.at_backward[s]
        rises += [(kept, work.forward(s))] + [(change, work.backward(s))] * (change > 0)
        falls += [(kept + change, work.freeing(s))]
        falls += [(-change, work.backward(s))] * (change < 0)
    (up, lacking), (down, missing) = (_corner(side, memory.limit) for side in (rises, falls))
    span = exact(area + lacking + missing) / exact(memory.limit)
    if span < up + down:  # the corners may meet
        span = exact(area) / exact(memory.limit)
    return chains.first + span + chains.last


def least_area(work: Workload, device: int, memory: DeviceMemory) -> Time:
    """Memory times time that one microbatch needs at least.

    Over a long time the areas of all microbatches, one per interval, fit under the limit (Little's
    law): `area <= limit * interval`.
    """
    area: Time = 0
    for s in work.stages_of[device]:
        kept, change = memory.at_forward[s], memory.at_backward[s]
        until = work.life[s] - (work.backward(s) if change > 0 else 0)
        area += kept * until + (kept + change) * (work.life[s] + work.weight(s) - until)
    return area


class Item(NamedTuple):
    """Up to `copies` pieces of work, each `time` long and holding `size` of the memory."""

    time: Time
    size: Time
    copies: int


def most_work(items: Sequence[Item], limit: Time) -> Time:
    """The most time that pieces within `limit` of memory can take, if pieces may be cut: the
    fractional knapsack, filled by time over size (Dantzig 1957)."""
    total: Time = 0
    for item in sorted(items, key=_density, reverse=True):
        if item.size <= 0:
            total += item.time * item.copies
            continue
        fit = min(item.copies, max(limit, 0) // item.size)
        total += fit * item.time
        limit -= fit * item.size
        if fit < item.copies:
            return total + item.time * max(limit, 0) / item.size
    return total


def _density(item: Item) -> Time:
    return item.time / item.size if item.size > 0 else math.inf


def _back(which: PassType) -> bool:
    return which.kind in ("B", "BW")


def _least(chains: Mapping[PassType, Time], own: Sequence[PassType]) -> Time | None:
    """The shortest chain to (or from) a pass of a device; None if there is one without."""
    known = [chains[which] for which in own if which in chains]
    return min(known) if len(known) == len(own) else None


def _corner(side: Sequence[tuple[Time, Time]], limit: Time) -> tuple[Time, Time]:
    """How long the memory needs to fill (or empty) at least, and the area it lacks meanwhile."""
    largest = max(size for size, _ in side)
    apart = min(time for size, time in side if size > 0) if largest > 0 else 0
    if apart <= 0 or largest <= 0:
        return 0, 0
    steps = math.ceil(limit / largest) - 1
    return steps * apart, apart * (steps * limit - largest * (steps * (steps + 1) // 2))
