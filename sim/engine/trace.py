"""What happened: tidy frames of passes, transfers and memory, simulated or measured alike.

Everything downstream (metrics, pictures, exports, the comparison with reality) eats a `Trace`.
Times are in the unit of the costs (seconds when measured), from the start of the first pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.numbers import Number, Ticks, checked_type
from ..schedule.ir import Schedule

if TYPE_CHECKING:
    import pandas as pd

OPS = ("device", "position", "kind", "stage", "microbatch", "slice", "iteration", "step",
       "start", "end", "written", "arrived", "source")  # fmt: skip
TRANSFERS = ("value", "stage", "microbatch", "slice", "iteration", "source", "destination",
             "link", "bytes", "ready", "start", "end")  # fmt: skip
MEMORY = ("device", "time", "change", "live", "activations", "reason")


@dataclass(frozen=True)
class Trace:
    """One play of a schedule.

    ops: a row per pass. `device`, `position` (index in the device's order), `kind`, `stage`,
        `microbatch`, `slice`, `iteration`, `step` (passes of one fused step share it), `start`,
        `end`; and of the input that came last: `written` (when its writer ended), `arrived` (when
        it was on this device) and `source` (the writer, as text; empty where nothing was read).
        Measured traces may leave the last three empty (NaN, NaN, "").
    transfers: a row per value that crossed devices: `value` (activation or gradient), its writer's
        `stage`, `microbatch`, `slice`, `iteration`, the `source` and `destination` device, the
        `link` (names joined by +), `bytes`, `ready` (written), `start` (the wire was granted) and
        `end` (arrived).
    memory: a row per allocation and free: `device`, `time`, signed `change` in bytes, `live` bytes
        after it, live `activations` after it (in shares of the device's whole activation of one
        microbatch), `reason` (a pass, or "static").
    per_unit: times are whole multiples of 1/per_unit; 0 where they are not (jitter, measurements).
    capacity: bytes each device has, None where unlimited.
    """

    schedule: Schedule
    ops: pd.DataFrame
    transfers: pd.DataFrame
    memory: pd.DataFrame
    iterations: int = 1
    per_unit: int = 0
    origin: str = "simulated"
    capacity: tuple[Any, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


class Steps(NamedTuple):
    """The steps of one device in time order, times in ticks; every array has shape `(n_steps,)`.

    written: when the writer of the input that came last had ended, where `knows` is true.
    row: the row of the step's first pass in `Trace.ops`.
    """

    row: npt.NDArray[np.int64]
    iteration: npt.NDArray[np.int64]
    start: npt.NDArray[Any]
    end: npt.NDArray[Any]
    written: npt.NDArray[Any]
    arrived: npt.NDArray[Any]
    knows: npt.NDArray[np.bool_]


def checked_trace(trace: object) -> Trace:
    """`trace` if it is one; ValueError with the way to one if not."""
    return checked_type(trace, Trace, "simulate(schedule, costs) makes one")


def device_steps(trace: Trace) -> dict[int, Steps]:
    """The steps of every device that ran any: fused passes count once."""
    checked_trace(trace)
    ops = trace.ops.reset_index(drop=True)
    ops = ops[~ops.duplicated(["device", "step"])]
    ops = ops.sort_values(["device", "start", "end"], kind="stable")
    columns = Steps(
        ops.index.to_numpy(),
        ops["iteration"].to_numpy(),
        _ticks(trace, ops["start"]),
        _ticks(trace, ops["end"]),
        _ticks(trace, ops["written"].fillna(0)),
        _ticks(trace, ops["arrived"].fillna(0)),
        ops["written"].notna().to_numpy(),
    )
    # Cut with numpy: a pandas group per device would take seconds on thousands of devices.
    devices, first = np.unique(ops["device"].to_numpy(), return_index=True)
    parts = [np.split(column, first[1:]) for column in columns]
    return {int(device): Steps(*cut) for device, *cut in zip(devices, *parts, strict=True)}


def in_time(trace: Trace, ticks: Any) -> Number:
    """Ticks as a plain number in the trace's unit of time."""
    return Ticks(trace.per_unit).time(getattr(ticks, "item", lambda: ticks)())


def _ticks(trace: Trace, times: pd.Series[Any]) -> npt.NDArray[Any]:
    if not trace.per_unit:
        return times.to_numpy(dtype=float)
    ticks: npt.NDArray[Any] = np.rint(times.to_numpy(dtype=float) * trace.per_unit)
    return ticks.astype(np.int64)
