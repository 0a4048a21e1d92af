"""How good any order could be: times that no schedule of the same passes can beat.

Every bound speaks about all orders of the passes of a schedule on its placement, under its costs:
how a device's own passes follow each other is free, and so is when it starts. Each is a small
function with its proof; `lower_bound` is the best of those that apply.

    >>> from sim import FAMILIES, Costs
    >>> schedule = FAMILIES["1f1b"](4, 8)
    >>> lower_bound(schedule, Costs.uniform(schedule), clock="makespan")
    33
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..base.numbers import Number, exact, plain
from ..engine.costs import Costs, fits
from ..schedule.clock import Clock
from ..schedule.ir import Schedule
from .chains import Passes, Path, Time, passes
from .first_backward import first_backwards
from .least_memory import check_room
from .memory import Ledger, ledgers


class Item(NamedTuple):
    """Up to `copies` pieces of work, each `time` long and holding `size` of the memory."""

    time: Time
    size: Time
    copies: int


def lower_bound(
    schedule: Schedule,
    costs: Costs,
    *,
    clock: Clock = "makespan",
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> Number:
    """The best proven lower bound on `clock` for any order of the passes of `schedule`.

    memory_limit: live activations a device may hold, in shares; memory_bytes: bytes it may hold,
    static ones included (one number, or one per device). None is unlimited; ValueError for a limit
    into which nothing fits.
    """
    fits(costs, schedule)
    check_room(schedule, costs, memory_limit, memory_bytes)
    if clock not in ("makespan", "longest_stage"):
        raise ValueError(f"clock is {clock!r}: it must be 'makespan' or 'longest_stage'")
    found = passes(schedule, costs)
    best: Time = 0
    first = found.relative(schedule.placement[0])
    for device in range(schedule.n_devices):
        path = found.absolute(device) if clock == "makespan" else found.relative(device)
        best = max(best, bottleneck(found, device, path))
        if clock == "longest_stage":  # the first device waits for all the others
            best = max(best, bottleneck(found, device, first))
        for ledger in ledgers(schedule, costs, device, memory_limit, memory_bytes):
            if found.simple:
                best = max(best, few_live(found, device, path, ledger))
                best = max(best, full_memory(found, device, path, ledger))
                best = max(best, late_weights(found, device, path, ledger))
                if clock == "longest_stage":
                    best = max(best, few_live(found, device, first, ledger))
                    best = max(best, late_weights(found, device, first, ledger))
    straight = found.placement == (*range(schedule.n_devices),)
    if clock == "longest_stage" and found.simple and straight:
        room: list[Time] = [found.n_microbatches] * schedule.n_devices
        for device in range(schedule.n_devices):
            for ledger in ledgers(schedule, costs, device, memory_limit, memory_bytes):
                room[device] = min(room[device], ledger.holds(device))
        best = max(best, first_backwards(found, room))
    return found.time(best)


def steady_interval(
    schedule: Schedule,
    costs: Costs,
    *,
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> Number:
    """A lower bound on the time per microbatch of any endless repetition on this placement.

    A device needs the time of its passes; and a microbatch occupies its memory for at least the
    shortest way from F to the end of W, so that `sum of (life * size) <= limit * interval`.
    ValueError for a limit into which nothing fits.
    """
    fits(costs, schedule)
    check_room(schedule, costs, memory_limit, memory_bytes)
    found = passes(schedule, costs)
    best: Time = 0
    for device in range(schedule.n_devices):
        best = max(best, exact(found.work(device)) / schedule.n_microbatches)
        for ledger in ledgers(schedule, costs, device, memory_limit, memory_bytes):
            if found.simple and ledger.limit > 0:
                best = max(best, exact(_area(found, device, ledger)) / exact(ledger.limit))
    per_unit = found.ticks.per_unit
    interval = plain(exact(best) / per_unit) if per_unit else best
    return float(interval) if isinstance(interval, Fraction) else interval


def bottleneck(found: Passes, device: int, path: Path) -> Time:
    """Work of one device, between the way to its passes and the way from them to the end.

    A pass cannot start before its **head**, the longest chain of passes and sends before it, and
    at least its **tail** follows it. With heads and tails fixed, the best that one machine can do
    even if it may interrupt its passes is to run the available one with the longest tail (Jackson
    1955; Carlier and Pinson 1989); what that takes bounds every schedule. Microbatches have equal
    heads and tails, so all passes of one shape are one long job. On the `longest_stage` clock
    heads count from one device's first pass and tails to its last one (of this device, or of the
    first one, which waits for all others); jobs without such chains are left out.
    """
    jobs = sorted(
        (max(path.head[shape] for shape in job), time, max(path.tail[shape] for shape in job))
        for job, time in found.total[device].items()
        if all(shape in path.head and shape in path.tail for shape in job)
    )
    best: Time = 0
    now: Time = 0
    ready: list[list[Time]] = []
    position = 0
    while position < len(jobs) or ready:
        if not ready:
            now = max(now, jobs[position][0])
        while position < len(jobs) and jobs[position][0] <= now:
            ready.append([jobs[position][2], jobs[position][1]])
            position += 1
        job = max(ready)
        until = jobs[position][0] if position < len(jobs) else math.inf
        step = min(job[1], until - now)
        now += step
        job[1] -= step
        if job[1] <= 0:
            best = max(best, now + job[0])
            ready.remove(job)
    return best


def few_live(found: Passes, device: int, path: Path, ledger: Ledger) -> Time:
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
    m, stages = found.n_microbatches, found.stages_of[device]
    forwards, live = [], []
    for s in stages:
        kept, change = ledger.at_forward[s], ledger.at_backward[s]
        forwards.append(Item(found.forward(s), kept, m))
        live.append(Item(found.backward(s) + found.weight(s), kept, m))
        live.append(Item(found.weight(s), kept + change, m))
    first_b = min(
        path.head[shape] for shape in path.head if shape[0] in ("B", "BW") and shape[1] in stages
    )
    after_f = min(path.tail["F", s, 0] for s in stages)
    work, before, rest = (
        found.work(device),
        most_work(forwards, ledger.limit),
        most_work(live, ledger.limit),
    )
    mine = [shape for job in found.total[device] for shape in job]
    idle = [first_b - before]
    if all(shape in path.head for shape in mine):
        idle.append(min(path.head[shape] for shape in mine))
    more = [after_f - rest]
    if all(shape in path.tail for shape in mine):
        more.append(min(path.tail[shape] for shape in mine))
    if sum(item.size for item in forwards) * m <= ledger.limit:
        return work + max(
            max(idle[1:], default=-work) + max(more), max(idle) + max(more[1:], default=-work)
        )
    return work + max(idle) + max(more)


def late_weights(found: Passes, device: int, path: Path, ledger: Ledger) -> Time:
    """Time because the memory cannot put off all weight gradients until after the last B.

    When a device's last B ends, what is left to it is the W of what is alive: at most R. All other
    work comes before, after the head of its first pass; and the gradient still has its way to go.
    """
    mine = [shape for job in found.total[device] for shape in job]
    if not all(shape in path.head for shape in mine):
        return 0
    stages = found.stages_of[device]
    rest = most_work(
        [
            Item(
                found.weight(s),
                ledger.at_forward[s] + ledger.at_backward[s],
                found.n_microbatches,
            )
            for s in stages
        ],
        ledger.limit,
    )
    after_b = min(path.tail["B" if ("B", s, 0) in path.tail else "BW", s, 0] for s in stages)
    return min(path.head[shape] for shape in mine) + found.work(device) - rest + after_b


def full_memory(found: Passes, device: int, path: Path, ledger: Ledger) -> Time:
    """The area that all microbatches need in the picture of memory over time, over its height.

    A microbatch occupies its memory at least for the shortest way from F to the end of W. From the
    first F to the last W the memory rises and falls by one pass at a time, so the corners of the
    picture stay empty: what they lack is added to the area, as long as they do not meet.
    """
    if ledger.limit <= 0:
        return 0
    area = _area(found, device, ledger) * found.n_microbatches
    stages = found.stages_of[device]
    rises, falls = [], []
    for s in stages:
        kept, change = ledger.at_forward[s], ledger.at_backward[s]
        rises += [(kept, found.forward(s))] + [(change, found.backward(s))] * (change > 0)
        falls += [(kept + change, found.freeing(s))]
        falls += [(-change, found.backward(s))] * (change < 0)
    (up, lacking), (down, missing) = (_corner(side, ledger.limit) for side in (rises, falls))
    span = exact(area + lacking + missing) / exact(ledger.limit)
    if span < up + down:  # the corners may meet
        span = exact(area) / exact(ledger.limit)
    return path.first + span + path.last


def most_work(items: Sequence[Item], limit: Time) -> Time:
    """The most time that pieces within `limit` of memory can take, if pieces may be cut."""
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


def _area(found: Passes, device: int, ledger: Ledger) -> Time:
    """Memory times time that one microbatch needs at least."""
    area: Time = 0
    for s in found.stages_of[device]:
        kept, change = ledger.at_forward[s], ledger.at_backward[s]
        until = found.life[s] - (found.backward(s) if change > 0 else 0)
        area += kept * until + (kept + change) * (found.life[s] + found.weight(s) - until)
    return area


def _corner(side: Sequence[tuple[Time, Time]], limit: Time) -> tuple[Time, Time]:
    """How long the memory needs to fill (or empty) at least, and the area it lacks meanwhile."""
    largest = max(size for size, _ in side)
    apart = min(time for size, time in side if size > 0) if largest > 0 else 0
    if apart <= 0 or largest <= 0:
        return 0, 0
    steps = math.ceil(limit / largest) - 1
    return steps * apart, apart * (steps * limit - largest * (steps * (steps + 1) // 2))
