"""The frames of a play, made of its `Record`.

A long play leaves a million rows, so everything here goes by whole columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.numbers import LARGEST, Number
from ..schedule.lanes import lanes
from .columns import HOST, MEMORY, OPS, TRANSFERS
from .copies import pass_that_wrote
from .numbering import NONE
from .pass_table import Column, things, whole
from .recorder import Record

if TYPE_CHECKING:
    import pandas as pd


def made(record: Record, name: str) -> pd.DataFrame:
    """The frame of a play that `Trace` has under that name."""
    import pandas as pd

    return pd.DataFrame({"ops": _ops, "transfers": _transfers, "memory": _memory}[name](record))


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
    numbering, logs = record.numbering, [*record.steps, *record.copies]
    firsts, sizes, iterations = [], [], []
    for lane, log in zip(lanes(numbering.schedule), logs, strict=True):
        if numbering.schedule.fused or record.lanes:
            placed = [(position, len(step)) for position, step in lane.steps]
            positions, size = np.array(placed, dtype=np.int64).reshape(-1, 2).T
        else:
            positions = np.arange(len(numbering.schedule.orders[lane.device]))
            size = np.ones(len(positions), dtype=np.int64)
        times = len(log.start) // max(len(size), 1)
        firsts.append(np.tile(numbering.first_pass(lane.device, positions), times))
        sizes.append(np.tile(size, times))
        iterations.append(np.repeat(np.arange(times), len(size)))
    place = _places(record.step_order)
    return _Steps(
        first=np.concatenate(firsts)[place],
        size=np.concatenate(sizes)[place],
        iteration=np.concatenate(iterations)[place],
        start=_times([log.start for log in logs], record)[place],
        end=_times([log.end for log in logs], record)[place],
        last=np.concatenate([whole(log.last) for log in logs])[place],
    )


def _places(order: Sequence[int]) -> Column:
    """Where in logs that lie device after device the entry is that came first, second, ..."""
    place = np.empty(len(order), dtype=np.int64)
    place[np.argsort(whole(order), kind="stable")] = np.arange(len(order))
    return place


def _ops(record: Record) -> dict[str, Any]:
    numbering, sent = record.numbering, record.transfers
    passes, played = record.passes, _steps(record)
    step = np.repeat(np.arange(len(played.size)), played.size)
    within = np.arange(len(step)) - (np.cumsum(played.size) - played.size)[step]
    op = played.first[step] + within
    # Every message was sent once, so its place among them tells its row; one more is for `NONE`.
    messages = whole(sent.message)
    rows = np.append(np.argsort(messages), len(messages))
    row = rows[np.where(played.last < 0, -1, np.searchsorted(np.sort(messages), played.last))]
    written = np.append(_times([sent.ready], record).astype(float), np.nan)[row]
    arrived = np.append(_times([sent.end], record).astype(float), np.nan)[row]
    writer = np.append(numbering.in_first(whole(sent.writer)), -1)[row]
    if record.lanes:  # of what came from another queue of the device, the pass is known
        came = played.last < NONE
        ends = numbering.pass_shift(played.iteration) + played.first + played.size - 1
        of = np.argsort(ends)[np.searchsorted(np.sort(ends), pass_that_wrote(played.last[came]))]
        copied = np.isin(passes.kind[played.first[of]], ["O", "L"])
        written[came] = np.where(copied, played.start[of], played.end[of])
        arrived[came] = played.end[of]
        writer[came] = played.first[of] + played.size[of] - 1
    written, arrived, writer = written[step], arrived[step], writer[step]
    found: dict[str, Any] = {}
    if record.exposed:
        found["exposed"] = _exposed(record, played)[step]
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
        written,
        arrived,
        passes.name[writer],
    )
    return dict(zip(OPS, columns, strict=True)) | found


def _exposed(record: Record, played: _Steps) -> Column:
    """The time of every step in which it computes nothing."""
    logs = [*record.exposed, *([Fraction(0)] * len(lane.copies) for lane in record.lanes)]
    times = int(played.iteration.max(initial=0)) + 1
    shares = [share for log in logs for share in log * times]
    place = _places(record.step_order)
    above = whole([share.numerator for share in shares])[place]
    below = whole([share.denominator for share in shares])[place]
    column: Column = (played.end - played.start) * above / below
    return column


def _transfers(record: Record) -> dict[str, Any]:
    sent, channels = record.transfers, record.channels
    times = [_times([column], record) for column in (sent.ready, sent.start, sent.end)]
    if not sent.message:
        nothing: list[Any] = [()] * (len(TRANSFERS) - len(times))
        return dict(zip(TRANSFERS, [*nothing, *times], strict=True))
    number, microbatch, iteration = record.numbering.origin(whole(sent.message))
    columns = (
        things([channel.value.kind for channel in channels])[number],
        whole([channel.value.stage for channel in channels])[number],
        microbatch,
        whole([channel.value.slice for channel in channels])[number],
        iteration,
        whole([channel.source for channel in channels])[number],
        whole([channel.destination for channel in channels])[number],
        things(["+".join(channel.route) for channel in channels])[number],
        _sizes([channel.size for channel in channels], number),
        *times,
    )
    return dict(zip(TRANSFERS, columns, strict=True))


def _memory(record: Record) -> dict[str, Any]:
    passes, schedule = record.passes, record.numbering.schedule
    logs = [*record.memory, record.host]
    share = [schedule.pieces(device) for device in range(schedule.n_devices)]
    share.append(max(share))  # the host: in the largest share there is
    place = _places(record.memory_order)
    number = np.concatenate([whole(log.number) for log in logs])[place]
    chunks = np.fromiter(chain.from_iterable(log.chunks for log in logs), dtype=float)[place]
    one = record.numbering.in_first(number)
    lengths = [len(log.number) for log in logs]
    device = np.repeat(np.arange(len(logs)), lengths)[place]
    columns = (
        np.where(device == len(record.memory), HOST, device),
        _times([log.time for log in logs], record)[place],
        _sizes([*chain.from_iterable(log.change for log in logs)], place),
        _sizes([*chain.from_iterable(log.live for log in logs)], place),
        chunks / whole(share)[device],
        passes.name[one],
    )
    return dict(zip(MEMORY, columns, strict=True))


def _times(logs: Sequence[Sequence[Number]], record: Record) -> Column:
    """One column of several logs, one after the other, as times: whole numbers if all of it are."""
    if record.whole or {kind for log in logs for kind in map(type, log)} <= {int}:
        times = np.concatenate([whole(log) for log in logs])
    else:
        times = np.concatenate([np.array(log, dtype=np.float64) for log in logs])
    if record.ticks.per_unit > 1:
        times = times / record.ticks.per_unit
        if len(times) and (times == np.floor(times)).all():
            times = times.astype(np.int64)
    return times


def _sizes(column: Sequence[Number], rows: Column) -> Column | list[Any]:
    """Those rows of a column of bytes, as numbers that pandas has a type for."""
    kinds = {*map(type, column)}
    if kinds == {int} and min(column) >= -LARGEST and max(column) <= LARGEST:
        return whole(column)[rows]
    if Fraction in kinds:
        column = [float(size) if isinstance(size, Fraction) else size for size in column]
    return list(things(column)[rows])
