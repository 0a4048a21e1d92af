"""The steps of every device in time order, and what they waited for, read off a trace.

Of a play nobody has read the frames of, they come from its record, which needs neither pandas nor
numpy. Times are in ticks; in units of time, as floating point, where a trace has no common tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..base.numbers import Number
from .copies import came_from
from .recorder import Record
from .trace import Trace, checked_trace, record_of


class Steps(NamedTuple):
    """The steps of one device in time order, shape `(n_steps,)`; fused passes count once."""

    iteration: Sequence[int]
    start: Sequence[Number]
    end: Sequence[Number]


class Inputs(NamedTuple):
    """Of the input that came last to each step of a device: when its writer had ended, and when it
    had arrived, shape `(n_steps,)`; None where nothing came from elsewhere, or nobody knows."""

    written: Sequence[Number | None]
    arrived: Sequence[Number | None]


class Sums(NamedTuple):
    """Of the sum of gradients that came last to a device in each iteration: when it was complete
    where it came from, and when it had arrived, shape `(iterations,)`."""

    written: list[Number]
    arrived: list[Number]


def device_steps(trace: Trace) -> dict[int, Steps]:
    """The steps of every device that ran any."""
    record = record_of(checked_trace(trace), "ops")
    if record is None:
        from .lines import computing, in_lines

        found = in_lines(computing(trace.ops), trace.per_unit, Steps._fields)
        return {device: Steps(*columns) for device, columns in found.items()}
    n = trace.iterations
    return {
        log.device: Steps(
            [iteration for iteration in range(n) for _ in range(len(log.start) // n)],
            _ticks(log.start, record),
            _ticks(log.end, record),
        )
        for log in record.steps
    }


def device_inputs(trace: Trace) -> dict[int, Inputs]:
    """The inputs of the same steps."""
    record = record_of(checked_trace(trace), "ops")
    if record is None:
        from .lines import computing, in_lines

        found = in_lines(computing(trace.ops), trace.per_unit, Inputs._fields)
        return {device: Inputs(*columns) for device, columns in found.items()}
    sent = record.transfers
    ready, end = (_ticks(column, record) for column in (sent.ready, sent.end))
    written = dict(zip(sent.message, ready, strict=True))
    arrived = dict(zip(sent.message, end, strict=True))
    for lane, log in zip(record.lanes, record.copies, strict=True):
        shift, n = record.numbering.pass_shift(1), len(lane.copies)
        starts, ends = _ticks(log.start, record), _ticks(log.end, record)
        for place, (start, ended) in enumerate(zip(starts, ends, strict=True)):
            number = came_from(lane.copies[place % n].number + place // n * shift)
            written[number], arrived[number] = start, ended
    return {
        log.device: Inputs([*map(written.get, log.last)], [*map(arrived.get, log.last)])
        for log in record.steps
    }


def device_sums(trace: Trace) -> dict[int, Sums]:
    """The last sum of every device that holds stages which others hold too, see `gradient_sums`; of
    no device where no such sum crossed."""
    found: dict[int, Sums] = {}
    for device, iteration, written, arrived in _sums(trace):
        zeros: list[Number] = [0] * trace.iterations
        mine = found.setdefault(device, Sums(zeros, [*zeros]))
        if arrived >= mine.arrived[iteration]:
            mine.written[iteration], mine.arrived[iteration] = written, arrived
    return found


def _sums(trace: Trace) -> list[tuple[int, int, Number, Number]]:
    """Device that gets it, iteration, and both times of every sum."""
    record = record_of(checked_trace(trace), "transfers")
    if record is None:
        from .lines import summed

        return summed(trace.transfers, trace.per_unit)
    channels = [channel.value.kind == "weight_gradient" for channel in record.channels]
    if not any(channels):
        return []
    sent = record.transfers
    ready, end = (_ticks(column, record) for column in (sent.ready, sent.end))
    origins = map(record.numbering.origin, sent.message)
    return [
        (record.channels[channel].destination, iteration, written, arrived)
        for (channel, _, iteration), written, arrived in zip(origins, ready, end, strict=True)
        if channels[channel]
    ]


def _ticks(column: Sequence[Number], record: Record) -> Sequence[Number]:
    """Whole ticks as they are; other times in units of time, in floating point."""
    if record.whole:
        return column
    per_unit = record.ticks.per_unit or 1
    return [time / per_unit for time in column]
