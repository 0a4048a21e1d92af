"""The frames of a play, made of its `Record`, and the steps of every device, read off a frame.

A long play leaves a million rows, so everything here goes by whole columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.numbers import Number, Ticks
from ..schedule.ir import Op, steps
from .numbering import Numbering
from .recorder import Record
from .trace import MEMORY, OPS, TRANSFERS

if TYPE_CHECKING:
    import pandas as pd

Column = npt.NDArray[Any]


def made(record: Record, name: str) -> pd.DataFrame:
    """The frame of a play that `Trace` has under that name."""
    import pandas as pd

    columns = {"ops": _ops, "transfers": _transfers, "memory": _memory}[name](record)
    return pd.DataFrame(columns, columns=list(columns))


class _Passes(NamedTuple):
    """A row for every pass number of the first iteration; `name` has one more, for no pass."""

    device: Column
    position: Column
    kind: Column
    stage: Column
    microbatch: Column
    slice: Column
    name: Column


def _passes(numbering: Numbering) -> _Passes:
    static = Op("F", 0, 0)  # in a row that only `name` is asked for
    device, position, passes = zip(*numbering.places(), strict=True)
    kind, stage, microbatch, part = zip(*(op or static for op in passes), strict=True)
    names = ["static" if op is None else str(op) for op in passes]
    return _Passes(
        device=_whole(device),
        position=_whole(position),
        kind=_things(kind),
        stage=_whole(stage),
        microbatch=_whole(microbatch),
        slice=_whole(part),
        name=_things([*names, ""]),
    )


class _Steps(NamedTuple):
    """A row for every step, in the order in which they ended.

    first: the number of its first pass in the first iteration. last: the message it got last.
    """

    first: Column
    size: Column
    iteration: Column
    start: Column
    end: Column
    last: Column


def _steps(record: Record) -> _Steps:
    numbering, logs = record.numbering, record.steps
    schedule = numbering.schedule
    firsts, sizes, iterations = [], [], []
    for log in logs:
        size = np.ones(len(schedule.orders[log.device]), dtype=np.int64)
        if schedule.fused:
            size = _whole([len(step) for step in steps(schedule, log.device)])
        times = len(log.start) // len(size)
        firsts.append(np.tile(numbering.first_pass(log.device, np.cumsum(size) - size), times))
        sizes.append(np.tile(size, times))
        iterations.append(np.repeat(np.arange(times), len(size)))
    place = _places(record.step_order)
    return _Steps(
        first=np.concatenate(firsts)[place],
        size=np.concatenate(sizes)[place],
        iteration=np.concatenate(iterations)[place],
        start=_times([time for log in logs for time in log.start], record.ticks)[place],
        end=_times([time for log in logs for time in log.end], record.ticks)[place],
        last=_whole([message for log in logs for message in log.last])[place],
    )


def _places(order: Sequence[int]) -> Column:
    """Where in logs that lie device after device the entry is that came first, second, ..."""
    place = np.empty(len(order), dtype=np.int64)
    place[np.argsort(_whole(order), kind="stable")] = np.arange(len(order))
    return place


def _ops(record: Record) -> dict[str, Any]:
    numbering, sent = record.numbering, record.transfers
    passes, played = _passes(numbering), _steps(record)
    step = np.repeat(np.arange(len(played.size)), played.size)
    within = np.arange(len(step)) - (np.cumsum(played.size) - played.size)[step]
    op = played.first[step] + within
    # Every message was sent once, so sorting them tells their rows; one row more is for `NONE`.
    row = np.append(np.argsort(_whole(sent.message)), len(sent.message))[played.last][step]
    writer = np.append(numbering.in_first(_whole(sent.writer)), -1)
    columns = (
        passes.device[op],
        passes.position[op],
        passes.kind[op],
        passes.stage[op],
        passes.microbatch[op],
        passes.slice[op],
        played.iteration[step],
        step,
        played.start[step],
        played.end[step],
        np.append(_times(sent.ready, record.ticks).astype(float), np.nan)[row],
        np.append(_times(sent.end, record.ticks).astype(float), np.nan)[row],
        passes.name[writer[row]],
    )
    return dict(zip(OPS, columns, strict=True))


def _transfers(record: Record) -> dict[str, Any]:
    sent, channels = record.transfers, record.channels
    times = [_times(column, record.ticks) for column in (sent.ready, sent.start, sent.end)]
    if not sent.message:
        nothing: list[Any] = [()] * (len(TRANSFERS) - len(times))
        return dict(zip(TRANSFERS, [*nothing, *times], strict=True))
    number, microbatch, iteration = record.numbering.origin(_whole(sent.message))
    columns = (
        _things([channel.value.kind for channel in channels])[number],
        _whole([channel.value.stage for channel in channels])[number],
        microbatch,
        _whole([channel.value.slice for channel in channels])[number],
        iteration,
        _whole([channel.source for channel in channels])[number],
        _whole([channel.destination for channel in channels])[number],
        _things(["+".join(channel.route) for channel in channels])[number],
        _sizes([channel.size for channel in channels], number),
        *times,
    )
    return dict(zip(TRANSFERS, columns, strict=True))


def _memory(record: Record) -> dict[str, Any]:
    numbering, logs = record.numbering, record.memory
    passes, schedule = _passes(numbering), numbering.schedule
    share = [max(len(held), 1) * schedule.n_slices for held in schedule.stages_of]
    place = _places(record.memory_order)
    one = numbering.in_first(_whole([number for log in logs for number in log.number]))[place]
    chunks = _whole([chunks for log in logs for chunks in log.chunks])[place]
    device = passes.device[one]
    columns = (
        device,
        _times([time for log in logs for time in log.time], record.ticks)[place],
        _sizes([change for log in logs for change in log.change], place),
        _sizes([live for log in logs for live in log.live], place),
        chunks / _whole(share)[device],
        passes.name[one],
    )
    return dict(zip(MEMORY, columns, strict=True))


class Line(NamedTuple):
    """The steps of one device in the order of their start; every column has shape `(n_steps,)`.

    row: that of the step's first pass in `Trace.ops`. Times are in ticks, or floating point where
    there are none; `written` and `arrived` are None where the frame does not know them.
    """

    row: list[int]
    iteration: list[int]
    start: list[Any]
    end: list[Any]
    written: list[Any]
    arrived: list[Any]


def lines(ops: pd.DataFrame, per_unit: int) -> dict[int, Line]:
    """The line of every device that ran any step; fused passes count once."""
    ops = ops.reset_index(drop=True)
    ops = ops[~ops.duplicated(["device", "step"])]
    ops = ops.sort_values(["device", "start", "end"], kind="stable")
    columns = [
        ops.index.to_numpy(),
        ops["iteration"].to_numpy(),
        *(_ticks(ops[name], per_unit) for name in ("start", "end")),
        *(_known_ticks(ops[name], per_unit) for name in ("written", "arrived")),
    ]
    # Cut with numpy: a pandas group per device would take seconds on thousands of devices.
    devices, first = np.unique(ops["device"].to_numpy(), return_index=True)
    parts = [np.split(column, first[1:]) for column in columns]
    return {
        int(device): Line(*(part.tolist() for part in cut))
        for device, *cut in zip(devices, *parts, strict=True)
    }


def _ticks(times: pd.Series[Any], per_unit: int) -> Column:
    found: Column = times.to_numpy(dtype=float)
    if per_unit:
        found = np.rint(found * per_unit).astype(np.int64)
    return found


def _known_ticks(times: pd.Series[Any], per_unit: int) -> Column:
    """The same, with None where there is no time."""
    ticks: Column = _ticks(times.fillna(0), per_unit).astype(object)
    ticks[times.isna().to_numpy()] = None
    return ticks


def _times(column: Sequence[Number], ticks: Ticks) -> Column:
    """Ticks as times: whole numbers if all of the column are."""
    whole = {*map(type, column)} <= {int}
    times = _whole(column) if whole else np.array(column, dtype=np.float64)
    if ticks.per_unit > 1:
        times = times / ticks.per_unit
        if len(times) and (times == np.floor(times)).all():
            times = times.astype(np.int64)
    return times


def _sizes(column: Sequence[Number], rows: Column) -> list[int | float]:
    """Those rows of a column of bytes, as numbers that pandas has a type for."""
    plain = [float(size) if isinstance(size, Fraction) else size for size in column]
    return _things(plain)[rows].tolist()  # type: ignore[no-any-return]


def _whole(column: Sequence[Any]) -> Column:
    return np.fromiter(column, dtype=np.int64, count=len(column))


def _things(column: Sequence[Any]) -> Column:
    return np.array(column, dtype=object)
