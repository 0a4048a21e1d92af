"""Numbers read off a trace: two clocks, bubbles, peaks, idle time.

There are two clocks, and they answer different questions. The **makespan** runs from the first
start to the last end: what an iteration costs when a barrier ends it. The **longest stage** is the
longest time any one device needs from its first start to its last end: what an iteration costs
when devices go on without waiting for each other. Every function that needs one takes `clock`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from ..base.numbers import Number, checked_type
from ..engine.trace import Trace, checked_trace, device_steps, in_time
from ..schedule.clock import Clock
from ..schedule.ir import Schedule, steps

if TYPE_CHECKING:
    import pandas as pd


def makespan(trace: Trace) -> Number:
    """Last end anywhere minus first start anywhere; 0 if nothing ran."""
    rows = device_steps(trace).values()
    if not rows:
        return 0
    first = min(steps.start[0] for steps in rows)
    return in_time(trace, max(steps.end[-1] for steps in rows) - first)


def longest_stage(trace: Trace) -> Number:
    """The longest time a device needs from its first start to its last end; 0 if nothing ran."""
    rows = device_steps(trace).values()
    return in_time(trace, max((steps.end[-1] - steps.start[0] for steps in rows), default=0))


def clock_time(trace: Trace, clock: Clock = "makespan") -> Number:
    """`makespan` or `longest_stage`, by name; ValueError for any other name."""
    if clock not in get_args(Clock):
        raise ValueError(f"unknown clock {clock!r}: use makespan or longest_stage")
    return makespan(trace) if clock == "makespan" else longest_stage(trace)


def busy(trace: Trace) -> tuple[Number, ...]:
    """Time each device spends in passes, shape `(n_devices,)`."""
    rows = device_steps(trace)
    work = [(rows[d].end - rows[d].start).sum() if d in rows else 0 for d in _devices(trace)]
    return tuple(in_time(trace, ticks) for ticks in work)


def bubble(trace: Trace, clock: Clock = "makespan") -> float:
    """The share of device time on that clock in which no pass runs, 0 to 1.

    1 - (mean busy time of a device) / clock; for equal devices that is the papers'
    1 - m(F+B+W) / clock.
    """
    time = float(clock_time(trace, clock))
    mean = float(sum(busy(trace))) / trace.schedule.n_devices
    # Without a common tick the sum of the passes may come out longer than the clock by a rounding.
    return max(1 - mean / time, 0.0) if time else 0.0


def peak_activations(schedule: Schedule) -> tuple[Number, ...]:
    """The most activations alive at once on each device, shape `(n_devices,)`.

    In shares: one share is a device's whole activation of one microbatch, so one stage of v and one
    slice of k count 1/(v k). It depends on the order alone: an activation lives from the start of
    its F to the end of its W (or BW), and a device runs its steps one after the other.
    """
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    peaks: list[Number] = []
    for device, stages in enumerate(schedule.stages_of):
        live = peak = 0
        for step in steps(schedule, device):
            live += sum(op.kind == "F" for op in step)
            peak = max(peak, live)
            live -= sum(op.kind in ("W", "BW") for op in step)
        share = max(len(stages), 1) * schedule.n_slices
        peaks.append(peak // share if peak % share == 0 else peak / share)
    return tuple(peaks)


def peak_bytes(trace: Trace) -> tuple[Number, ...]:
    """The most bytes alive at once on each device, static ones included, shape `(n_devices,)`."""
    peaks = checked_trace(trace).memory.groupby("device")["live"].max()
    return tuple(peaks[d].item() if d in peaks.index else 0 for d in _devices(trace))


def iteration_times(trace: Trace) -> tuple[Number, ...]:
    """How long each iteration takes, shape `(iterations,)`: from the last end of the one before to
    its own last end; the first counts from the start.

    With a barrier each equals the makespan of one iteration plus the optimizer step. Without one
    the later ones settle at the steady state.
    """
    rows = device_steps(trace).values()
    ends = [
        max(steps.end[steps.iteration == i][-1] for steps in rows) for i in range(trace.iterations)
    ]
    first = min(steps.start[0] for steps in rows)
    return tuple(in_time(trace, step) for step in np.diff(ends, prepend=first))


class Idle(NamedTuple):
    """Where a device's idle time goes; the five add up to makespan - busy exactly."""

    warm_up: Number
    waiting_for_input: Number
    waiting_for_link: Number
    between_iterations: Number
    cool_down: Number


def idle_account(trace: Trace) -> pd.DataFrame:
    """One row per device: `device`, `busy`, the five columns of `Idle`, and `idle`, their sum.

    Before its first pass a device warms up, after its last it cools down. In between, a gap counts
    as waiting for an input until the pass that writes the last input has ended, and as waiting for
    a link from then on. Measured traces may not know what a pass waited for: such a gap counts as
    waiting for an input.
    """
    import pandas as pd

    rows = device_steps(trace)
    begin = min((steps.start[0] for steps in rows.values()), default=0)
    finish = max((steps.end[-1] for steps in rows.values()), default=0)
    account: list[tuple[Number, ...]] = []
    for device, work in enumerate(busy(trace)):
        if device not in rows:
            all_of_it = in_time(trace, finish - begin)
            account.append((device, work, *Idle(all_of_it, 0, 0, 0, 0), all_of_it))
            continue
        line = rows[device]
        gap = line.start[1:] - line.end[:-1]
        new = line.iteration[1:] != line.iteration[:-1]
        waited = np.clip(line.written[1:], line.end[:-1], line.start[1:]) - line.end[:-1]
        if trace.origin == "simulated":  # no input is missing but those that are known to cross
            waited = np.where(line.knows[1:], waited, 0)
        else:
            waited = np.where(line.knows[1:], waited, gap)
        for_input = np.where(new, 0, waited)
        ticks = Idle(
            warm_up=line.start[0] - begin,
            waiting_for_input=for_input.sum(),
            waiting_for_link=(np.where(new, 0, gap) - for_input).sum(),
            between_iterations=np.where(new, gap, 0).sum(),
            cool_down=finish - line.end[-1],
        )
        parts = (in_time(trace, part) for part in ticks)
        account.append((device, work, *parts, in_time(trace, sum(ticks))))
    return pd.DataFrame(account, columns=["device", "busy", *Idle._fields, "idle"])


def _devices(trace: Trace) -> range:
    return range(trace.schedule.n_devices)
