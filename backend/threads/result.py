"""What a run gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sim import Trace, makespan

from ..live_bytes import static_tensors, storage_bytes
from ..stages.stage import Unit
from ..stages.vocabulary import Part, loss_of
from .job import Job
from .measured_memory import peaks
from .measured_trace import measured_trace
from .records import HOST, IterationRecord
from .worker import Worker


@dataclass(frozen=True)
class RunResult:
    """What a run gave; the gradients are in the `.grad` of the parameters.

    loss: the mean over the batch.
    trace: the timed iteration of median makespan, with the memory of the memory iteration.
    traces: all timed iterations, in order.
    peak_bytes: most counted bytes at the end of any pass, shape `(n_devices,)`. Counted is what
        passes keep (activations with their inputs, and what W waits for); not counted are weights
        and their gradients, the batch, and values in transit.
    most_bytes: the same, inside passes too.
    transit_bytes: most bytes of boundary values that waited at a device for their pass (receive
        buffers) in a timed iteration.
    static_bytes: weights, gradients and buffers.
    boundary_bytes: what crosses each stage boundary forward, shape `(n_stages - 1, n_slices)`, of
        the largest microbatch.
    host_peak_bytes: the most that the host held of what was offloaded.
    peak_bytes and most_bytes are empty without a memory iteration. Where copies run beside passes,
    the peaks are those of `trace`: what every pass takes and gives back was counted in an iteration
    in which copies took no time, and is added up as the passes of a timed one overlapped.
    """

    loss: float
    trace: Trace
    traces: tuple[Trace, ...]
    peak_bytes: tuple[int, ...]
    most_bytes: tuple[int, ...]
    transit_bytes: tuple[int, ...]
    static_bytes: tuple[int, ...]
    boundary_bytes: tuple[tuple[int, ...], ...]
    host_peak_bytes: int = 0


def run_result(workers: Sequence[Worker], job: Job, notes: dict[str, Any]) -> RunResult:
    """What all workers of the local engine wrote down, put together."""
    by_iteration = list(zip(*(worker.records for worker in workers), strict=True))
    counted = [records for records in by_iteration if records[0].purpose == "memory"]
    timed = [records for records in by_iteration if records[0].purpose == "time"]
    memory: Sequence[IterationRecord] = counted[0] if counted else ()
    lanes = [worker.lane for worker in workers]
    crossing: dict[tuple[int, int], int] = {}
    for one in timed[0]:
        for key, size in one.boundaries.items():
            crossing[key] = max(size, crossing.get(key, 0))
    traces = tuple(
        measured_trace(job.schedule, records, lanes, memory=memory, notes=notes)
        for records in timed
    )
    loss = sum(
        value.double().item() * job.pieces[unit].share
        for unit, value in sorted(_losses(workers, job).items())
    )
    trace = sorted(traces, key=makespan)[len(traces) // 2]
    peak_bytes = tuple(max((r.after for r in one.memory), default=0) for one in memory)
    most_bytes = tuple(max((r.most for r in one.memory), default=0) for one in memory)
    host = 0
    if memory and job.schedule.copies:
        *devices, host = peaks(trace.memory, (*range(len(workers)), HOST))
        peak_bytes = tuple(devices)
        most_bytes = peaks(trace.memory, range(len(workers)), "most")
    return RunResult(
        loss,
        trace=trace,
        traces=traces,
        peak_bytes=peak_bytes,
        most_bytes=most_bytes,
        transit_bytes=tuple(
            max(records[device].most_waiting for records in timed) for device in range(len(workers))
        ),
        static_bytes=tuple(
            storage_bytes(
                held for stage in worker.stages.values() for held in static_tensors(stage.module)
            )
            + _bytes_of_part(worker.part)
            for worker in workers
        ),
        boundary_bytes=tuple(
            tuple(crossing[stage, part] for part in range(job.schedule.n_slices))
            for stage in range(job.schedule.n_stages - 1)
        ),
        host_peak_bytes=host,
    )


def _losses(workers: Sequence[Worker], job: Job) -> dict[Unit, Tensor]:
    """The loss of every unit in the last iteration."""
    last = [worker.records[-1] for worker in workers]
    if not job.schedule.vocabulary:
        return {unit: loss for one in last for unit, loss in one.losses.items()}
    return {
        unit: loss_of([one.scores[unit] for one in last], job.pieces[unit])
        for unit in last[0].scores
    }


def _bytes_of_part(part: Part | None) -> int:
    """Of its own rows; the memory behind them is that of the whole layer."""
    return sum(held.nbytes for held in static_tensors(part)) if part else 0
