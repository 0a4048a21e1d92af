"""The chain of passes and transfers that decides when the last pass ends: shorten it or nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..base.numbers import Number
from ..engine.trace import Trace, checked_trace, in_time
from ..schedule.ir import QUEUES, Op
from ..schedule.text import parse_op


class Leg(NamedTuple):
    """One piece of the critical path.

    what: "pass" (a copy to or from the host is one too), "transfer" (a sum of gradients at the end
    is one too), or "wait" for anything a trace does not explain (a barrier, the optimizer, a
    blocked send). op: the pass, or the pass whose value is moved. device: where it runs, or where
    the value goes. start, end: each leg starts where the one before it ends.
    """

    what: str
    op: Op | None
    device: int
    start: Number
    end: Number


def critical_path(trace: Trace) -> list[Leg]:
    """The longest chain, in time order, from the start of the play to its last end, without a gap.

    Walked backwards from the pass that ends last, or from the sum of gradients that comes last: a
    step that starts when the step before it on its device ends was held up by that step, otherwise
    by the input that came last.
    """
    from ..engine.lines import in_lines, summed

    ops = checked_trace(trace).ops.reset_index(drop=True)
    p = trace.schedule.n_devices
    queue = ops["kind"].map({kind: n for n, kind in enumerate(QUEUES, 1)}).fillna(0).astype(int)
    found = in_lines(ops.assign(device=ops["device"] + p * queue), trace.per_unit, _Line._fields)
    lines = {device: _Line(*columns) for device, columns in found.items()}
    if not lines:
        return []
    names = ("kind", "stage", "microbatch", "slice")
    passes = list(zip(*(ops[name].tolist() for name in names), strict=True))
    numbers = ops["step"].tolist()
    steps_at = {
        (Op(*passes[member]), iteration): (device, index)
        for device, line in lines.items()
        for index, (row, iteration) in enumerate(zip(line.row, line.iteration, strict=True))
        for member in _members(numbers, row)
    }
    begin = min(line.start[0] for line in lines.values())
    device = max(lines, key=lambda d: (lines[d].end[-1], -d))
    index = len(lines[device].row) - 1
    path: list[Leg] = []
    last = lines[device].end[-1]

    def add(what: str, op: Op | None, start: int, end: int) -> None:
        if start < end or what == "pass":
            path.append(Leg(what, op, device % p, in_time(trace, start), in_time(trace, end)))

    sums = trace.transfers[trace.transfers["value"] == "weight_gradient"]
    if len(sums):
        one = sums.loc[[sums["end"].idxmax()]]
        [(to, iteration, written, until)] = summed(one, trace.per_unit)
        if until > last:
            unit = one[[*names[1:]]].to_numpy()[0].tolist()
            op = Op("W", *unit)
            if (op, iteration) not in steps_at:
                op = op._replace(kind="BW")
            device = to
            add("transfer", op, written, until)
            device, index = steps_at[op, iteration]

    while True:
        line = lines[device]
        start, row = line.start[index], line.row[index]
        add("pass", Op(*passes[row]), start, line.end[index])
        before = line.end[index - 1] if index else begin
        if index and before == start:
            index -= 1
            continue
        source = str(ops["source"].iat[row])
        if line.arrived[index] == start and source:
            op, iteration = parse_op(source), line.iteration[index]
            if op.kind not in QUEUES:
                add("transfer", op, line.written[index], start)
            device, index = steps_at[op, iteration]
            continue
        if start == begin:
            return path[::-1]
        if not index:
            add("wait", None, begin, start)
            return path[::-1]
        add("wait", None, before, start)
        index -= 1


class _Line(NamedTuple):
    """The steps of one queue in the order of their start, shape `(n_steps,)`: see `in_lines`."""

    row: list[int]
    iteration: list[int]
    start: list[Any]
    end: list[Any]
    written: list[Any]
    arrived: list[Any]


def _members(numbers: list[int], row: int) -> range:
    """The rows of the fused step whose first pass is in `row`; rows of a step are neighbours."""
    end = row + 1
    while end < len(numbers) and numbers[end] == numbers[row]:
        end += 1
    return range(row, end)
