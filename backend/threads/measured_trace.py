"""What the workers wrote down, as a measured `Trace`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sim import Kind, Op, Schedule, Trace, Value

from .lanes import Lane, Timestamp
from .measured_memory import memory_rows
from .records import IterationRecord, PassRecord, TransferRecord

OPS = ("device", "position", "kind", "stage", "microbatch", "slice", "iteration", "step",
       "start", "end", "written", "arrived", "source", "cpu")  # fmt: skip
TRANSFERS = ("value", "stage", "microbatch", "slice", "iteration", "source", "destination",
             "link", "bytes", "ready", "start", "end")  # fmt: skip
MEMORY = ("device", "time", "change", "live", "activations", "reason", "most")
Spans = Mapping[Op, tuple[float, float]]
Came = tuple[float, float, str]
"""Of an input: when its writer had written it, when it had arrived, and the writer."""


def measured_trace(
    schedule: Schedule,
    records: Sequence[IterationRecord],
    lanes: Sequence[Lane],
    *,
    memory: Sequence[IterationRecord] = (),
    notes: dict[str, Any] | None = None,
) -> Trace:
    """One iteration as a `Trace` of origin "measured"; times in seconds from the first pass on.

    records: what each device wrote down in that iteration. memory: likewise, in the iteration in
    which bytes were counted; they are put on the clock of `records`: a rise at the start of its
    pass, a fall at the end.
    There are two columns more than simulated: in ops `cpu`, the seconds a pass kept its CPU busy
    (a fused step as a whole), less than end - start where others used the machine; in memory
    `most`, the most live bytes inside the pass.
    """
    import pandas as pd

    def seconds(device: int, moment: Timestamp) -> float:
        return lanes[device].seconds(records[device].origin, moment)

    begin = min(
        (seconds(record.device, record.start) for one in records for record in one.passes),
        default=0.0,
    )

    def when(device: int, moment: Timestamp) -> float:
        return seconds(device, moment) - begin

    def arrival(transfer: TransferRecord) -> float:
        return when(transfer.source, transfer.end) + transfer.delay

    passes = [r for one in records for r in sorted(one.passes, key=lambda r: r.position)]
    spans = {r.op: (when(r.device, r.start), when(r.device, r.end)) for r in passes}
    backward = {op[1:]: op.kind for order in schedule.orders for op in order if "B" in op.kind}

    def came(record: PassRecord) -> Came:
        found = [
            (when(t.source, t.written), arrival(t), _writer(schedule, t.value, backward))
            for t in record.received
        ]
        found += _from_other_queues(schedule, record, spans)
        return max(found, key=lambda came: came[1], default=(float("nan"), float("nan"), ""))

    ops = []
    numbers: dict[tuple[int, int], int] = {}
    for record in passes:
        number = numbers.setdefault((record.device, record.step), len(numbers))
        kind, stage, microbatch, part = record.op
        ops.append(
            (record.device, record.position, kind, stage, microbatch, part, 0, number,
             *spans[record.op], *came(record), record.cpu)
        )  # fmt: skip
    transfers = [
        (t.value.kind, t.value.stage, t.value.microbatch, t.value.slice, 0, t.source,
         t.destination, "", t.bytes, when(t.source, t.written), when(t.source, t.start), arrival(t))
        for one in records
        for t in one.transfers
    ]  # fmt: skip
    return Trace(
        schedule,
        ops=pd.DataFrame(ops, columns=list(OPS)),
        transfers=pd.DataFrame(transfers, columns=list(TRANSFERS)),
        memory=pd.DataFrame(memory_rows(schedule, memory, spans), columns=list(MEMORY)),
        origin="measured",
        notes=notes or {},
    )


def _from_other_queues(schedule: Schedule, record: PassRecord, spans: Spans) -> Iterator[Came]:
    """What a pass waited for that another queue of its device did, as in a simulated trace: a copy
    was written when it began, what computes with its end."""
    op = record.op
    copied = schedule.levers.get(op[1:]) == "O"
    if copied and op.kind in ("B", "BW", "L"):
        copy = op._replace(kind="O" if op.kind == "L" else "L")
        yield (*spans[copy], str(copy))
    if op.kind in ("O", "L"):
        before = schedule.orders[record.device][: record.position]
        last = next((one for one in reversed(before) if one.kind not in ("O", "L")), None)
        if last:
            yield spans[last][1], spans[last][1], str(last)


def _writer(schedule: Schedule, value: Value, backward: dict[tuple[int, int, int], Kind]) -> str:
    """The pass that wrote `value`, as text."""
    of_gradient: Kind = "S" if schedule.vocabulary == 1 else "T"
    known: dict[str, Kind] = {
        "activation": "F", "part_of_scores": "S", "part_of_gradient": of_gradient,
    }  # fmt: skip
    return str(Op(known.get(value.kind) or backward[value[1:]], *value[1:]))
