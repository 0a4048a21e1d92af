"""The frames of a `Trace`, made of the rows that a `Recorder` wrote down.

A long play leaves a million rows, so everything here goes by whole columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..base.numbers import Number, Ticks
from ..schedule.ir import Op, Schedule, steps
from .cluster import Cluster
from .recorder import Recorder
from .trace import MEMORY, OPS, TRANSFERS, Trace

if TYPE_CHECKING:
    import pandas as pd

Column = npt.NDArray[Any]


def recorded(record: Recorder, cluster: Cluster, ticks: Ticks, iterations: int) -> Trace:
    """The `Trace` of everything that `record` holds."""
    passes, sent = _passes(record.schedule), _sent(record, ticks)
    return Trace(
        record.schedule,
        ops=_ops(record, passes, sent, ticks),
        transfers=_transfers(record, sent),
        memory=_memory(record, passes, ticks),
        iterations=iterations,
        per_unit=ticks.per_unit,
        capacity=cluster.memory,
    )


class _Passes(NamedTuple):
    """A row for every number of an iteration (see `record`); `name` has one more, for no pass.

    size: how many passes the step has that begins here.
    """

    device: Column
    position: Column
    kind: Column
    stage: Column
    microbatch: Column
    slice: Column
    size: Column
    name: Column


class _Sent(NamedTuple):
    """A row for every transfer, in the order of the play."""

    message: Column
    writer: Column
    ready: Column
    start: Column
    end: Column


def _passes(schedule: Schedule) -> _Passes:
    lengths = [len(order) + 1 for order in schedule.orders]
    static = Op("F", 0, 0)  # in a row that only `name` is asked for
    ops = [op for order in schedule.orders for op in (static, *order)]
    kind, stage, microbatch, part = zip(*ops, strict=True)
    size = np.ones(len(ops), dtype=np.int64)
    if schedule.fused:
        sizes = [
            length
            for device in range(schedule.n_devices)
            for step in ((static,), *steps(schedule, device))
            for length in (len(step),) * len(step)
        ]
        size = _whole(sizes)
    return _Passes(
        device=np.repeat(np.arange(len(lengths)), lengths),
        position=np.concatenate([np.arange(-1, length - 1) for length in lengths]),
        kind=_things(kind),
        stage=_whole(stage),
        microbatch=_whole(microbatch),
        slice=_whole(part),
        size=size,
        name=_things(
            [name for order in schedule.orders for name in ("static", *map(str, order))] + [""]
        ),
    )


def _sent(record: Recorder, ticks: Ticks) -> _Sent:
    message, writer, *times = zip(*record.transfers, strict=True) if record.transfers else [()] * 5
    return _Sent(_whole(message), _whole(writer), *(_times(column, ticks) for column in times))


def _ops(record: Recorder, passes: _Passes, sent: _Sent, ticks: Ticks) -> pd.DataFrame:
    number, start, end, last = zip(*record.steps, strict=True)
    iteration, first = np.divmod(_whole(number), record.static[-1])
    size = passes.size[first]
    step = np.repeat(np.arange(len(size)), size)
    op = first[step] + np.arange(len(step)) - (np.cumsum(size) - size)[step]
    # Every message was sent once, so sorting them tells their rows; one row more is for `NONE`.
    row = np.append(np.argsort(sent.message), len(sent.message))[_whole(last)][step]
    columns = [
        passes.device[op],
        passes.position[op],
        passes.kind[op],
        passes.stage[op],
        passes.microbatch[op],
        passes.slice[op],
        iteration[step],
        step,
        _times(start, ticks)[step],
        _times(end, ticks)[step],
        np.append(sent.ready.astype(float), np.nan)[row],
        np.append(sent.end.astype(float), np.nan)[row],
        passes.name[np.append(sent.writer % record.static[-1], -1)[row]],
    ]
    return _frame(OPS, columns)


def _transfers(record: Recorder, sent: _Sent) -> pd.DataFrame:
    times = [sent.ready, sent.start, sent.end]
    if not record.transfers:
        return _frame(TRANSFERS, [()] * (len(TRANSFERS) - len(times)) + times)
    channels, values = record.channels, [channel.value for channel in record.channels]
    number, microbatch = np.divmod(sent.message, record.schedule.n_microbatches)
    iteration, number = np.divmod(number, len(channels))
    columns = [
        _things([value.kind for value in values])[number],
        _whole([value.stage for value in values])[number],
        microbatch,
        _whole([value.slice for value in values])[number],
        iteration,
        _whole([channel.pair[0] for channel in channels])[number],
        _whole([channel.pair[1] for channel in channels])[number],
        _things(["+".join(channel.route) for channel in channels])[number],
        _things(_sizes([channel.size for channel in channels]))[number].tolist(),
        *times,
    ]
    return _frame(TRANSFERS, columns)


def _memory(record: Recorder, passes: _Passes, ticks: Ticks) -> pd.DataFrame:
    number, time, change, live, chunks = zip(*record.changes, strict=True)
    share = [max(len(held), 1) * record.schedule.n_slices for held in record.schedule.stages_of]
    one = _whole(number) % record.static[-1]
    device = passes.device[one]
    columns = [
        device,
        _times(time, ticks),
        _sizes(change),
        _sizes(live),
        _whole(chunks) / _whole(share)[device],
        passes.name[one],
    ]
    return _frame(MEMORY, columns)


def _times(column: Sequence[Number], ticks: Ticks) -> Column:
    """Ticks as times: whole numbers if all of the column are."""
    whole = {*map(type, column)} <= {int}
    exact = _whole(column) if whole else np.array(column, dtype=np.float64)
    if ticks.per_unit > 1:
        exact = exact / ticks.per_unit
        if len(exact) and (exact == np.floor(exact)).all():
            exact = exact.astype(np.int64)
    return exact


def _sizes(column: Sequence[Number]) -> Sequence[Number]:
    """Numbers that numpy has a type for."""
    if Fraction not in {*map(type, column)}:
        return column
    return [float(size) if isinstance(size, Fraction) else size for size in column]


def _whole(column: Sequence[Any]) -> Column:
    return np.fromiter(column, dtype=np.int64, count=len(column))


def _things(column: Sequence[Any]) -> Column:
    return np.array(column, dtype=object)


def _frame(names: Sequence[str], columns: Sequence[Any]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(dict(zip(names, columns, strict=True)), columns=list(names))
