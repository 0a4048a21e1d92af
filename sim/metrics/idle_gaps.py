"""Every idle stretch of every device with its reason: what `idle_account` adds up.

>>> import sim
>>> schedule = sim.FAMILIES["1f1b"](2, 1)
>>> trace = sim.simulate(schedule, sim.Costs.uniform(schedule, send=1))
>>> for gap in idle_gaps(trace):
...     print(*gap)
0 1 5 waiting_for_input
0 5 6 waiting_for_link
1 0 2 warm_up
1 5 8 cool_down
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from ..base.numbers import Number
from ..engine.device_steps import Inputs, Steps, Sums, device_inputs, device_steps, device_sums
from ..engine.trace import Trace, in_time
from .metrics import through, wait_for_sum

Stretch = tuple[Number, Number, str]
"""Start, end, in ticks, and reason."""


class Gap(NamedTuple):
    """A device is idle from start to end; reason: a field of `sim.metrics.metrics.Idle`."""

    device: int
    start: Number
    end: Number
    reason: str


def idle_gaps(trace: Trace) -> Iterator[Gap]:
    """The stretches of each device in time order, in units of time; the rules are those of
    `idle_account`. A gap that ends with a wait for a link is two stretches."""
    rows, inputs, sums = device_steps(trace), device_inputs(trace), device_sums(trace)
    done = through(trace, rows)
    begin = min((steps.start[0] for steps in rows.values()), default=0)
    finish = max(done.values(), default=0)
    for device in range(trace.schedule.n_devices):
        found: list[Stretch] = [(begin, finish, "warm_up")]
        if device in rows:
            steps, summed = rows[device], sums.get(device)
            found = [(begin, steps.start[0], "warm_up")]
            found += _inside(trace, steps, inputs[device], summed)
            gone = _for_sum(found, summed, trace.iterations - 1, steps.end[-1])
            found.append((gone, finish, "cool_down"))
        for start, end, reason in found:
            if end > start:
                yield Gap(device, in_time(trace, start), in_time(trace, end), reason)


def _inside(trace: Trace, steps: Steps, inputs: Inputs, sums: Sums | None) -> list[Stretch]:
    """What lies between the steps of a device, in ticks; some of it of no length."""
    found: list[Stretch] = []
    simulated = trace.origin == "simulated"
    spots = zip(
        pairwise(steps.iteration), steps.end[:-1], steps.start[1:], inputs.written[1:], strict=True
    )
    for (before, now), end, start, written in spots:
        if now != before:
            gone = _for_sum(found, sums, before, end)
            found.append((gone, start, "between_iterations"))
        elif start > end:
            if written is None:  # a simulation knows everything that has to come from elsewhere
                written = end if simulated else start
            turn = min(max(written, end), start)
            found += (end, turn, "waiting_for_input"), (turn, start, "waiting_for_link")
    return found


def _for_sum(found: list[Stretch], sums: Sums | None, iteration: int, end: Number) -> Number:
    """Adds what a device waits for its gradients after an iteration; gives when they have come."""
    if sums is None:
        return end
    waited, gap = wait_for_sum(sums, iteration, end)
    found += (end, end + waited, "waiting_for_input"), (end + waited, end + gap, "waiting_for_link")
    return end + gap
