"""The results of all processes of a distributed run, put together as one `RunResult`."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

import pandas as pd
import torch.distributed as dist

from sim import Schedule, Trace, makespan

from ..threads.measured_memory import activations_made
from ..threads.measured_trace import MEMORY, OPS, TRANSFERS
from ..threads.result import RunResult
from .run import RankResult


def gathered(schedule: Schedule, mine: RankResult) -> RunResult | None:
    """The whole run on rank 0, None on the others; every process has to call it."""
    rank = dist.get_rank()
    ranks: list[RankResult | None] | None = [None] * dist.get_world_size() if not rank else None
    dist.gather_object(mine, ranks)
    if ranks is None:
        return None
    return _combined(schedule, [one for one in ranks if one is not None])


def receive_buffers(schedule: Schedule, boundary_bytes: Sequence[int]) -> tuple[int, ...]:
    """Bytes of the buffers torch's runtime (through 2.14) holds on each rank, shape `(n_devices,)`.

    One per microbatch for every value that comes from another rank, allocated once: what enters a
    stage from the one before, and the gradient that comes back from the one after.
    """
    found = [0] * schedule.n_devices
    for boundary, size in enumerate(boundary_bytes):
        left, right = schedule.placement[boundary], schedule.placement[boundary + 1]
        if left != right:
            for device in (left, right):
                found[device] += size * schedule.n_microbatches
    return tuple(found)


def _combined(schedule: Schedule, ranks: Sequence[RankResult]) -> RunResult:
    """`RunResult` of a run, from the results of all its ranks.

    Processes of one host share a clock; between hosts the moment after the barrier before a step
    stands for the same instant, so times of different hosts agree to about one barrier.
    """
    one_clock = len({one.host for one in ranks}) == 1
    traces = []
    for step in range(len(ranks[0].steps)):
        zero = [0.0 if one_clock else one.begun[step] for one in ranks]
        traces.append(_trace(schedule, ranks, step, zero))
    return RunResult(
        ranks[0].loss,
        trace=sorted(traces, key=makespan)[len(traces) // 2],
        traces=tuple(traces),
        peak_bytes=tuple(max((p.after for p in one.memory), default=0) for one in ranks),
        most_bytes=tuple(max((p.most for p in one.memory), default=0) for one in ranks),
        transit_bytes=receive_buffers(schedule, ranks[0].boundary_bytes),
        static_bytes=tuple(one.static_bytes for one in ranks),
        boundary_bytes=tuple((size,) for size in ranks[0].boundary_bytes),
    )


def _trace(
    schedule: Schedule, ranks: Sequence[RankResult], step: int, zero: Sequence[float]
) -> Trace:
    begin = min(p.start - zero[one.rank] for one in ranks for p in one.steps[step])
    ops: list[tuple[Any, ...]] = []
    memory: list[tuple[Any, ...]] = []
    for one in ranks:
        offset = zero[one.rank] + begin
        for position, p in enumerate(one.steps[step]):
            kind, stage, microbatch, part = p.op
            ops.append(
                (one.rank, position, kind, stage, microbatch, part, 0, len(ops),
                 p.start - offset, p.end - offset, nan, nan, "", nan)
            )  # fmt: skip
        activations = 0.0
        for p, timed in zip(one.memory, one.steps[step], strict=True):
            activations += activations_made(schedule, p.op) / len(schedule.stages_of[one.rank])
            change = p.after - p.before
            time = (timed.start if change > 0 else timed.end) - offset
            memory.append((one.rank, time, change, p.after, activations, str(p.op), p.most))
    return Trace(
        schedule,
        ops=pd.DataFrame(ops, columns=list(OPS)),
        transfers=pd.DataFrame([], columns=list(TRANSFERS)),
        memory=pd.DataFrame(memory, columns=list(MEMORY)),
        origin="measured",
        notes={"engine": "torch", "hosts": len({one.host for one in ranks})},
    )
