"""A trace as Chrome JSON, to open in ui.perfetto.dev or chrome://tracing.

Every device is a process with the threads compute (0), send (1) and receive (2). Arrows lead from
the pass that wrote a value to the pass on another device that reads it; counters show the memory.
Copies to the host and back are on two threads of their own, "out" and "in", where there are any.
Transfers that overlap on a device lie on further send and receive threads (3, 4, 5, ...), because
the slices of one thread must not cross.

Format: the "Trace Event Format" document of the Chromium project.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..base.files import write_text_atomically
from ..base.numbers import Number, checked
from ..engine.columns import HOST
from ..engine.trace import Trace, checked_trace
from ..schedule.ir import Op, Queue, Schedule, Value, queue_of
from ..schedule.lanes import lanes as queues_of

if TYPE_CHECKING:
    import pandas as pd

Event = dict[str, Any]
COPY_THREADS: dict[Queue, int] = {"out": 1_000_001, "in": 1_000_002}
"""Beyond the threads of transfers, of which there may be many."""


def perfetto(trace: Trace, *, microseconds: Number = 1_000_000) -> dict[str, Any]:
    """The trace as one JSON-ready object with a list `traceEvents`.

    microseconds: how many of them one unit of the trace's times is: 1,000,000 for seconds (the
        default), 1000 for milliseconds. Times are rounded to whole nanoseconds.

    Events are slices (`ph` X), names (M), arrows (s and f, one pair per transfer) and counters (C).
    """
    checked_trace(trace)
    scale = checked(microseconds, "microseconds")
    if not scale:
        raise ValueError("microseconds is 0: one unit of time must last some")
    slices, spots = _compute(trace, scale)
    transfers, lanes = _transfers(trace, scale)
    return {
        "traceEvents": [
            *_names(trace, lanes),
            *slices,
            *transfers,
            *_arrows(trace, spots),
            *_counters(trace, scale),
        ],
        "displayTimeUnit": "ms",
        "otherData": {"schedule": trace.schedule.name, "origin": trace.origin},
    }


def write_perfetto(
    trace: Trace, path: str | os.PathLike[str], *, microseconds: Number = 1_000_000
) -> None:
    """Write `perfetto(trace)` to `path`: the whole file, or none."""
    found = perfetto(trace, microseconds=microseconds)
    write_text_atomically(path, json.dumps(found, allow_nan=False, separators=(",", ":")))


class _Span(NamedTuple):
    """Where a slice lies: device, and nanoseconds from the start of the trace."""

    device: int
    start: int
    end: int

    def inside(self, at_end: bool) -> int:
        """A moment strictly inside, next to one end: an arrow binds to the slice around it."""
        nudge = min(1000, (self.end - self.start) // 2)
        return max(self.end - max(nudge, 1), self.start) if at_end else self.start + nudge

    def event(self, name: str, thread: int, **rest: Any) -> Event:
        times = {"ts": _micro(self.start), "dur": _micro(self.end - self.start)}
        return {"ph": "X", "pid": self.device, "tid": thread, "name": name, **times, **rest}


Spots = dict[tuple[str, int, int, int, int], _Span]
"""(F, B, S or T, stage or part, microbatch, slice, iteration) -> where that pass is."""


def _compute(trace: Trace, scale: Number) -> tuple[list[Event], Spots]:
    """A slice per step; the passes of a fused step are one slice."""
    spots: Spots = {}
    steps: dict[tuple[Any, ...], list[Any]] = {}
    for row in _rows(trace.ops):
        span = _span(row.device, row.start, row.end, scale)
        steps.setdefault((row.iteration, row.step, span), []).append(row)
        if row.kind in ("F", "B", "BW", "S", "T"):
            spots[row.kind[0], row.stage, row.microbatch, row.slice, row.iteration] = span
    events = []
    for (iteration, _, span), rows in steps.items():
        passes = [Op(row.kind, row.stage, row.microbatch, row.slice) for row in rows]
        name = "&".join(map(str, passes))
        args = {"stage": [op.stage for op in passes], "iteration": iteration}
        if source := next((row.source for row in rows if isinstance(row.source, str)), ""):
            args["waited for"] = source
        kinds = "&".join(dict.fromkeys(op.kind for op in passes))
        thread = COPY_THREADS.get(queue_of(passes[0].kind), 0)
        events.append(span.event(name, thread, cat=kinds, args=args))
    return events, spots


def _transfers(trace: Trace, scale: Number) -> tuple[list[Event], dict[tuple[int, int], str]]:
    """Two slices per transfer that takes time, and the names of the threads they need."""
    events = []
    busy: dict[tuple[int, int], int] = {}
    for row in sorted(_rows(trace.transfers), key=lambda row: (row.start, row.end)):
        name = str(Value(row.value, row.stage, row.microbatch, row.slice))
        args = {"bytes": _plain(row.bytes), "link": row.link or "", "iteration": row.iteration}
        for device, first in ((row.source, 1), (row.destination, 2)):
            span = _span(device, row.start, row.end, scale)
            if span.end == span.start:
                continue
            thread = first
            while busy.get((device, thread), span.start) > span.start:
                thread += 2
            busy[device, thread] = span.end
            events.append(span.event(name, thread, cat="transfer", args=args))
    return events, {spot: "send" if spot[1] % 2 else "receive" for spot in busy}


def _arrows(trace: Trace, spots: Spots) -> Iterator[Event]:
    for number, row in enumerate(_rows(trace.transfers)):
        unit = row.microbatch, row.slice, row.iteration
        wrote, read = _ends(trace.schedule, row)
        writer, reader = spots.get((*wrote, *unit)), spots.get((*read, *unit))
        if writer and reader:
            common = {"id": number, "cat": "transfer", "name": row.value, "tid": 0}
            yield {"ph": "s", "pid": writer.device, "ts": _micro(writer.inside(True)), **common}
            ends = {"ph": "f", "bp": "e", "pid": reader.device}
            yield {**ends, "ts": _micro(reader.inside(False)), **common}


def _ends(schedule: Schedule, row: Any) -> tuple[tuple[str, int], tuple[str, int]]:
    """Kind (F, B, S or T) and stage, or part, of the pass that wrote a value and of the one that
    reads it; of no pass where none does."""
    last = schedule.n_stages - 1
    if row.value == "activation" and row.stage == last:
        return ("F", last), ("S", row.destination)
    if row.value == "part_of_scores":
        return ("S", row.stage), ("T", row.destination)
    if row.value == "part_of_gradient":
        return ("S" if schedule.vocabulary == 1 else "T", row.stage), ("B", last)
    if row.value == "weight_gradient":
        return ("", -1), ("", -1)
    kind, onward = ("F", 1) if row.value == "activation" else ("B", -1)
    return (kind, row.stage), (kind, row.stage + onward)


def _counters(trace: Trace, scale: Number) -> Iterator[Event]:
    """What is live after each moment; bytes only where the costs have any."""
    with_bytes = bool((trace.memory["live"] != 0).any())
    last: dict[tuple[int, int], Any] = {}
    for row in _rows(trace.memory[trace.memory["device"] != HOST]):
        last[row.device, _nano(row.time, scale)] = row
    for (device, time), row in last.items():
        common = {"ph": "C", "pid": device, "tid": 0, "ts": _micro(time)}
        if with_bytes:
            yield {**common, "name": "memory", "args": {"bytes": _plain(row.live)}}
        yield {**common, "name": "activations", "args": {"shares": _plain(row.activations)}}


def _names(trace: Trace, lanes: dict[tuple[int, int], str]) -> Iterator[Event]:
    devices = range(trace.schedule.n_devices)
    threads = {(device, 0): "compute" for device in devices}
    threads |= {(device, 1): "send" for device in devices}
    threads |= {(device, 2): "receive" for device in devices} | lanes
    for lane in queues_of(trace.schedule):
        if lane.queue in COPY_THREADS:
            threads[lane.device, COPY_THREADS[lane.queue]] = lane.queue
    for device in devices:
        common = {"ph": "M", "pid": device, "tid": 0}
        yield {**common, "name": "process_name", "args": {"name": f"device {device}"}}
        yield {**common, "name": "process_sort_index", "args": {"sort_index": device}}
    for (device, thread), name in sorted(threads.items()):
        common = {"ph": "M", "pid": device, "tid": thread}
        yield {**common, "name": "thread_name", "args": {"name": name}}
        yield {**common, "name": "thread_sort_index", "args": {"sort_index": thread}}


def _rows(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples of plain Python numbers."""
    return frame.astype(object).itertuples(index=False, name="Row")


def _span(device: int, start: Any, end: Any, scale: Number) -> _Span:
    return _Span(device, _nano(start, scale), _nano(end, scale))


def _nano(time: Number, scale: Number) -> int:
    if not math.isfinite(time):
        raise ValueError(f"the trace has a time of {time}: only finite times can be drawn")
    return round(time * scale * 1000)


def _micro(nanoseconds: int) -> int | float:
    whole, rest = divmod(nanoseconds, 1000)
    return whole if not rest else nanoseconds / 1000


def _plain(number: Any) -> int | float | None:
    """An int or float as JSON has them; None for what was not measured."""
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) else float(number)
