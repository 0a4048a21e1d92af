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

from collections.abc import Generator, Iterator
from typing import NamedTuple

from ..base.numbers import Number
from ..engine.device_steps import Sums, device_inputs, device_steps, device_sums
from ..engine.trace import Trace, in_time
from .metrics import through, wait_for_sum


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
        if device not in rows:
            yield from _stretch(trace, device, begin, finish, "warm_up")
            continue
        steps, written = rows[device], inputs[device].written
        yield from _stretch(trace, device, begin, steps.start[0], "warm_up")
        for i in range(1, len(steps.start)):
            end, start = steps.end[i - 1], steps.start[i]
            if steps.iteration[i] != steps.iteration[i - 1]:
                gone = yield from _for_sum(
                    trace, device, sums.get(device), steps.iteration[i - 1], end
                )
                yield from _stretch(trace, device, gone, start, "between_iterations")
                continue
            known = written[i]
            if known is None:  # a simulation knows everything that has to come from elsewhere
                known = end if trace.origin == "simulated" else start
            turn = min(max(known, end), start)
            yield from _stretch(trace, device, end, turn, "waiting_for_input")
            yield from _stretch(trace, device, turn, start, "waiting_for_link")
        last = trace.iterations - 1
        gone = yield from _for_sum(trace, device, sums.get(device), last, steps.end[-1])
        yield from _stretch(trace, device, gone, finish, "cool_down")


def _for_sum(
    trace: Trace, device: int, sums: Sums | None, iteration: int, end: Number
) -> Generator[Gap, None, Number]:
    """What a device waits for its gradients after an iteration; gives when they have come."""
    if sums is None:
        return end
    waited, gap = wait_for_sum(sums, iteration, end)
    yield from _stretch(trace, device, end, end + waited, "waiting_for_input")
    yield from _stretch(trace, device, end + waited, end + gap, "waiting_for_link")
    return end + gap


def _stretch(trace: Trace, device: int, start: Number, end: Number, reason: str) -> Iterator[Gap]:
    if end > start:
        yield Gap(device, in_time(trace, start), in_time(trace, end), reason)
