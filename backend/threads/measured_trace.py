"""What the workers wrote down, as a measured `Trace`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim import Kind, Op, Schedule, Trace, Value

from .lanes import Lane, Timestamp
from .records import IterationRecord, TransferRecord

OPS = ("device", "position", "kind", "stage", "microbatch", "slice", "iteration", "step",
       "start", "end", "written", "arrived", "source", "cpu")  # fmt: skip
TRANSFERS = ("value", "stage", "microbatch", "slice", "iteration", "source", "destination",
             "link", "bytes", "ready", "start", "end")  # fmt: skip
MEMORY = ("device", "time", "change", "live", "activations", "reason", "most")


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

    ops, spans = [], {}
    backward = {op[1:]: op.kind for order in schedule.orders for op in order if "B" in op.kind}
    numbers: dict[tuple[int, int], int] = {}
    for one in records:
        for record in one.passes:
            number = numbers.setdefault((record.device, record.step), len(numbers))
            start, end = when(record.device, record.start), when(record.device, record.end)
            spans[record.op] = start, end
            last = max(record.received, key=arrival, default=None)
            awaited = (
                (when(last.source, last.written), arrival(last), _writer(last.value, backward))
                if last
                else (float("nan"), float("nan"), "")
            )
            kind, stage, microbatch, part = record.op
            ops.append(
                (record.device, record.position, kind, stage, microbatch, part, 0, number,
                 start, end, *awaited, record.cpu)
            )  # fmt: skip
    transfers = [
        (t.value.kind, t.value.stage, t.value.microbatch, t.value.slice, 0, t.source,
         t.destination, "", t.bytes, when(t.source, t.written), when(t.source, t.start), arrival(t))
        for one in records
        for t in one.transfers
    ]  # fmt: skip
    changes = []
    for one in memory:
        chunks = 0
        for device, op, before, after, most in one.memory:
            parts = schedule.pieces(device)
            chunks += activations_made(schedule, op)
            time = spans[op][0 if after > before else 1]
            changes.append((device, time, after - before, after, chunks / parts, str(op), most))
    return Trace(
        schedule,
        ops=pd.DataFrame(ops, columns=list(OPS)),
        transfers=pd.DataFrame(transfers, columns=list(TRANSFERS)),
        memory=pd.DataFrame(changes, columns=list(MEMORY)),
        origin="measured",
        notes=notes or {},
    )


def activations_made(schedule: Schedule, op: Op) -> int:
    """How many activations of its stage are alive more after `op`: -1 after its last pass."""
    passes, lever = schedule.backward[op.stage], schedule.levers.get(op[1:])
    if op.kind == "F":  # what is kept for an R is counted in bytes alone
        return 1 if passes and lever != "R" else 0
    if op.kind == "R":
        return 1
    return 0 if op.kind == "B" and passes != "B" else -1


def _writer(value: Value, backward: dict[tuple[int, int, int], Kind]) -> str:
    """The pass that wrote `value`, as text."""
    kind = "F" if value.kind == "activation" else backward[value[1:]]
    return str(Op(kind, *value[1:]))
