"""What happened: tidy frames of passes, transfers and memory, simulated or measured alike.

Everything downstream (metrics, pictures, exports, the comparison with reality) eats a `Trace`.
Times are in the unit of the costs (seconds when measured), from the start of the first pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base.numbers import Number, Ticks, checked_type
from ..schedule.ir import Schedule
from .recorder import Record

if TYPE_CHECKING:
    import pandas as pd


class Frame:
    """A field of `Trace`: a frame, or the record of a play, of which it is made on first reading.

    Numbers that need no frame are read off the record: see `record_of`.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, trace: Trace | None, owner: type | None = None) -> pd.DataFrame:
        if trace is None:  # dataclass asks for a default: there is none
            raise AttributeError(self.name)
        if record := record_of(trace, self.name):
            from .frames import made

            vars(trace)[self.name] = made(record, self.name)
        found: pd.DataFrame = vars(trace)[self.name]
        return found

    def __set__(self, trace: Trace, found: pd.DataFrame | Record) -> None:
        vars(trace)[self.name] = found


@dataclass(frozen=True)
class Trace:
    """One play of a schedule.

    ops: a row per pass. `device`, `position` (index in the device's order), `kind`, `stage`,
        `microbatch`, `slice`, `iteration`, `step` (passes of one fused step share it), `start`,
        `end`; and of the input that came last: `written` (when its writer ended), `arrived` (when
        it was on this device) and `source` (the writer, as text; empty where nothing was read).
        What another queue of the device wrote came with its end; a copy was written when it began.
        Measured traces may leave the last three empty (NaN, NaN, ""). Where costs have all-to-alls
        there is one column more, `exposed`: the time in which the step computes nothing.
    transfers: a row per value that crossed devices: `value` (activation or gradient, part_of_scores
        or part_of_gradient where the vocabulary is cut, weight_gradient for a sum at the end), its
        writer's `stage`, `microbatch`, `slice`, `iteration`, the `source` and `destination` device,
        the `link` (names joined by +), `bytes`, `ready` (written), `start` (the wire was granted)
        and `end` (arrived).
    memory: a row per allocation and free: `device` (-1 for the host), `time`, signed `change` in
        bytes, `live` bytes after it, live `activations` after it (in shares of the device's whole
        activation of one microbatch), `reason` (a pass, or "static").
    per_unit: times are whole multiples of 1/per_unit; 0 where they are not (jitter,
        measurements, devices that slow each other down).
    capacity: bytes each device has, None where unlimited.

    The three frames of a simulated trace are made when they are first read.
    """

    schedule: Schedule
    ops: Frame = Frame()
    transfers: Frame = Frame()
    memory: Frame = Frame()
    iterations: int = 1
    per_unit: int = 0
    origin: str = "simulated"
    capacity: tuple[Any, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


def checked_trace(trace: object) -> Trace:
    """`trace` if it is one; ValueError with the way to one if not."""
    return checked_type(trace, Trace, "simulate(schedule, costs) makes one")


def record_of(trace: Trace, name: str) -> Record | None:
    """The record of which the frame of that name would be made; None where there is the frame."""
    found = vars(trace)[name]
    return found if isinstance(found, Record) else None


def in_time(trace: Trace, ticks: Any) -> Number:
    """Ticks as a plain number in the trace's unit of time."""
    return Ticks(trace.per_unit).time(getattr(ticks, "item", lambda: ticks)())
