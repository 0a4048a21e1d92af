"""Numbers read off a trace: two clocks, bubbles, peaks, idle time.

There are two clocks, and they answer different questions. The **makespan** runs from the first
start to the last end: what an iteration costs when a barrier ends it. The **longest stage** is the
longest time any one device needs from its first start to its last end: what an iteration costs
when devices go on without waiting for each other. Every function that needs one takes `clock`.

Where stages live on several devices, a device is through when the sum of their gradients has come
from the others: no optimizer step can begin before, with a barrier or without. So both clocks run
until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from operator import sub
from typing import TYPE_CHECKING, NamedTuple, get_args

from ..base.numbers import Number, checked_type, exact, native, plain
from ..engine.columns import HOST
from ..engine.device_steps import Inputs, Steps, Sums, device_inputs, device_steps, device_sums
from ..engine.held import activations, in_shares
from ..engine.trace import Trace, checked_trace, in_time, record_of
from ..schedule.clock import Clock
from ..schedule.dependencies import steps
from ..schedule.ir import Kind, Lever, Schedule

if TYPE_CHECKING:
    import pandas as pd


def makespan(trace: Trace) -> Number:
    """Last end anywhere minus first start anywhere; 0 if nothing ran."""
    rows = device_steps(trace)
    if not rows:
        return 0
    first = min(steps.start[0] for steps in rows.values())
    return in_time(trace, max(through(trace, rows).values()) - first)


def longest_stage(trace: Trace) -> Number:
    """The longest time a device needs from its first start to its last end; 0 if nothing ran."""
    rows = device_steps(trace)
    spans = (end - rows[device].start[0] for device, end in through(trace, rows).items())
    return in_time(trace, max(spans, default=0))


def clock_time(trace: Trace, clock: Clock = "makespan") -> Number:
    """`makespan` or `longest_stage`, by name; ValueError for any other name."""
    if clock not in get_args(Clock):
        raise ValueError(f"unknown clock {clock!r}: use makespan or longest_stage")
    return makespan(trace) if clock == "makespan" else longest_stage(trace)


def busy(trace: Trace) -> tuple[Number, ...]:
    """Time each device spends in passes, shape `(n_devices,)`."""
    return _busy(trace, device_steps(trace))


def exposed(trace: Trace) -> tuple[Number, ...]:
    """The part of its busy time in which each device computes nothing, as it waits for all-to-alls
    that no other pass of the same step hides, shape `(n_devices,)`."""
    record = record_of(checked_trace(trace), "ops")
    if record is not None:
        if not record.exposed:
            return (0,) * trace.schedule.n_devices
        shares = [share * trace.iterations for share in record.exposed]
        return tuple(
            in_time(trace, plain(sum(map(_part, steps.start, steps.end, shares[d]), Fraction(0))))
            for d, steps in device_steps(trace).items()
        )
    if "exposed" not in trace.ops.columns:
        return (0,) * trace.schedule.n_devices
    ops = trace.ops[~trace.ops.duplicated(["device", "step"])]
    found = ops.groupby("device")["exposed"].sum()
    times = (float(found.get(device, 0.0)) for device in _devices(trace))
    return tuple(int(time) if time == int(time) else time for time in times)


def _part(start: Number, end: Number, share: Fraction) -> Fraction:
    return (exact(end) - exact(start)) * share


def bubble(trace: Trace, clock: Clock = "makespan") -> float:
    """The share of device time on that clock in which no pass runs, 0 to 1.

    1 - (mean busy time of a device) / clock; for equal devices that is the papers'
    1 - m(F+B+W) / clock.
    """
    time = float(clock_time(trace, clock))
    mean = float(sum(busy(trace))) / trace.schedule.n_devices
    # Without a common tick the sum of the passes may come out longer than the clock by a rounding.
    return max(1 - mean / time, 0.0) if time else 0.0


def peak_activations(schedule: Schedule, *, keeps: Number = 0) -> tuple[Number, ...]:
    """The most activations alive at once on each device, shape `(n_devices,)`.

    In shares: one share is a device's whole activation of one microbatch, so one stage of v and one
    slice of k count 1/(v k). It depends on the order alone: an activation lives from the start of
    its F to the end of its last backward pass, and a device runs its steps one after the other.
    Where a stage has no backward it keeps none; where it recomputes, an activation lives from the
    start of R, and `keeps` of it from that of F (`Costs.recompute_keeps`).
    """
    checked_type(schedule, Schedule, "FAMILIES[name](p, m) makes one")
    if schedule.copies:
        raise ValueError(
            f"{schedule.name} offloads, so what is alive depends on times: ask "
            "peak_shares(simulate(schedule, costs))"
        )
    peaks: list[Number] = []
    levers = schedule.levers
    known: dict[tuple[Kind, int, Lever | None], int | Fraction] = {}
    for device in range(schedule.n_devices):
        live: int | Fraction = 0
        peak: int | Fraction = 0
        for step in steps(schedule, device):
            freed: int | Fraction = 0
            for op in step:
                key = op.kind, op.stage, levers.get(op[1:]) if levers else None
                if (change := known.get(key)) is None:
                    change = known[key] = activations(schedule, op, keeps)
                live += max(change, 0)
                freed += min(change, 0)
            peak = max(peak, live)
            live += freed
        peaks.append(in_shares(peak, schedule.pieces(device)))
    return tuple(peaks)


def peak_shares(trace: Trace) -> tuple[Number, ...]:
    """The most activations alive at once on each device while it ran, shape `(n_devices,)`: what
    `peak_activations` says, of schedules that offload too."""
    record = record_of(checked_trace(trace), "memory")
    if record is not None:
        each = zip(record.memory, map(trace.schedule.pieces, _devices(trace)), strict=True)
        return tuple(in_shares(max(log.chunks, default=0), share) for log, share in each)
    found = trace.memory.groupby("device")["activations"].max()
    shares = (native(found[d]) if d in found.index else 0 for d in _devices(trace))
    return tuple(int(share) if share == int(share) else share for share in shares)


def host_peak_bytes(trace: Trace) -> Number:
    """The most bytes the host holds of what was offloaded; 0 where nothing was."""
    mine = checked_trace(trace).memory
    live = mine[mine["device"] == HOST]["live"]
    return native(live.max()) if len(live) else 0


def peak_bytes(trace: Trace) -> tuple[Number, ...]:
    """The most bytes alive at once on each device, static ones included, shape `(n_devices,)`."""
    record = record_of(checked_trace(trace), "memory")
    if record is None:
        found = trace.memory.groupby("device")["live"].max()
        return tuple(native(found[d]) if d in found.index else 0 for d in _devices(trace))
    peaks = [max(log.live) for log in record.memory]
    if {type(live) for log in record.memory for live in log.live} <= {int}:
        return tuple(peaks)
    return tuple(map(float, peaks))  # one type for all, as in the frame


def iteration_times(trace: Trace) -> tuple[Number, ...]:
    """How long each iteration takes, shape `(iterations,)`: from the last end of the one before to
    its own last end; the first counts from the start.

    With a barrier each equals the makespan of one iteration plus the optimizer step. Without one
    the later ones settle at the steady state.
    """
    rows = device_steps(trace).values()
    last = [dict(zip(steps.iteration, steps.end, strict=True)) for steps in rows]
    last += [dict(enumerate(sums.arrived)) for sums in device_sums(trace).values()]
    ends = [max(end[iteration] for end in last) for iteration in range(trace.iterations)]
    first = min(steps.start[0] for steps in rows)
    return tuple(in_time(trace, end - before) for before, end in pairwise([first, *ends]))


class Idle(NamedTuple):
    """Where a device's idle time goes; the five add up to makespan - busy exactly."""

    warm_up: Number
    waiting_for_input: Number
    waiting_for_link: Number
    between_iterations: Number
    cool_down: Number


IDLE_COLUMNS = ("device", "busy", *Idle._fields, "idle")


def idle_account(trace: Trace) -> pd.DataFrame:
    """One row per device: `device`, `busy`, the five columns of `Idle`, and `idle`, their sum.

    Before its first pass a device warms up, after its last it cools down. In between, a gap counts
    as waiting for an input until the pass that writes the last input has ended, and as waiting for
    a link from then on; and so does what it waits for a sum of gradients after its last pass.
    Measured traces may not know what a pass waited for: such a gap counts as waiting for an input.
    """
    import pandas as pd

    return pd.DataFrame(idle_rows(trace), columns=list(IDLE_COLUMNS))


def idle_rows(trace: Trace) -> list[tuple[Number, ...]]:
    """The rows of `idle_account`."""
    rows, inputs, sums = device_steps(trace), device_inputs(trace), device_sums(trace)
    done = through(trace, rows)
    begin = min((steps.start[0] for steps in rows.values()), default=0)
    finish = max(done.values(), default=0)
    account: list[tuple[Number, ...]] = []
    for device, work in enumerate(_busy(trace, rows)):
        if device not in rows:
            ticks = Idle(finish - begin, 0, 0, 0, 0)
        else:
            between, for_input, for_link = _gaps(
                trace, rows[device], inputs[device], sums.get(device)
            )
            ticks = Idle(
                warm_up=rows[device].start[0] - begin,
                waiting_for_input=for_input,
                waiting_for_link=for_link,
                between_iterations=between,
                cool_down=finish - done[device],
            )
        parts = (in_time(trace, part) for part in ticks)
        account.append((device, work, *parts, in_time(trace, sum(ticks))))
    return account


def through(trace: Trace, rows: Mapping[int, Steps]) -> dict[int, Number]:
    """When each device is through, in ticks: its last pass has ended, and the last sum of gradients
    has come."""
    sums = device_sums(trace)
    return {
        device: max(steps.end[-1], sums[device].arrived[-1]) if device in sums else steps.end[-1]
        for device, steps in rows.items()
    }


def _gaps(
    trace: Trace, steps: Steps, inputs: Inputs, sums: Sums | None
) -> tuple[Number, Number, Number]:
    """Idle ticks between the steps of a device: between iterations, for an input, for a link."""
    between: list[Number] = []
    for_input: list[Number] = []
    for_link: list[Number] = []
    spots = zip(
        pairwise(steps.iteration), steps.end[:-1], steps.start[1:], inputs.written[1:], strict=True
    )
    for (before, now), end, start, written in spots:
        gap = start - end
        if written is not None:
            waited = min(max(written, end), start) - end
        else:  # in a simulation no input is missing but those that are known to cross
            waited = 0 if trace.origin == "simulated" else gap
        new = now != before
        if new and sums:
            waited, gap_in_all = wait_for_sum(sums, before, end)
            for_input.append(waited)
            for_link.append(gap_in_all - waited)
            gap -= gap_in_all
        between.append(gap if new else 0)
        for_input.append(0 if new else waited)
        for_link.append(0 if new else gap - waited)
    if sums:
        waited, gap = wait_for_sum(sums, trace.iterations - 1, steps.end[-1])
        for_input.append(waited)
        for_link.append(gap - waited)
    return _sum(trace, between), _sum(trace, for_input), _sum(trace, for_link)


def wait_for_sum(sums: Sums, iteration: int, end: Number) -> tuple[Number, Number]:
    """How long a device waits for the last sum of gradients after `end`: until it is complete, and
    in all."""
    gap = max(sums.arrived[iteration] - end, 0)
    return min(max(sums.written[iteration] - end, 0), gap), gap


def _busy(trace: Trace, rows: Mapping[int, Steps]) -> tuple[Number, ...]:
    spans = {d: map(sub, steps.end, steps.start) for d, steps in rows.items()}
    return tuple(in_time(trace, _sum(trace, [*spans.get(d, ())])) for d in _devices(trace))


def _sum(trace: Trace, ticks: list[Number]) -> Number:
    """Whole ticks add up exactly; of others, numpy keeps the roundings small: it adds in pairs."""
    if trace.per_unit or not ticks:
        return sum(ticks)
    import numpy as np

    return float(np.sum(np.array(ticks, dtype=float)))


def _devices(trace: Trace) -> range:
    return range(trace.schedule.n_devices)
