"""The work of one device, and what must come before and after it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .chains import Chains
from .workload import Job, Time


def bottleneck(total: Mapping[Job, Time], chains: Chains) -> Time:
    """Work of one device, or of a copy queue, between the way to its passes and the way from them
    to the end.

    A pass cannot start before its **head**, the longest chain of passes and sends before it, and
    at least its **tail** follows it. With heads and tails fixed, the best that one machine can do
    even if it may interrupt its passes is to run the available one with the longest tail (Jackson
    1955; Carlier and Pinson 1989); what that takes bounds every schedule. Microbatches have equal
    heads and tails, so all passes of one shape are one long job. On the `longest_stage` clock
    heads count from one device's first pass and tails to its last one (of this device, or of the
    first one, which waits for all others); jobs without such chains are left out.
    """
    jobs = sorted(
        (max(chains.head[shape] for shape in ends), time, max(chains.tail[shape] for shape in ends))
        for job, time in total.items()
        # What follows an R is a backward: one in the same step is no way from it.
        if (ends := [shape for shape in job if shape.kind != "R"] or job)
        and all(shape in chains.head and shape in chains.tail for shape in ends)
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
