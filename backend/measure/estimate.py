"""FLOPs and bytes of every pass without a GPU, and without memory: tensors have shapes, no data.

The stages run on fake tensors through the same worker as on real ones. Bytes are exact where the
kernels of the device keep what the fake ones say; FLOPs are those of matrix products, convolutions
and attention, all of it: causal attention counts the full square, and its backward pass counts the
recomputed product, as the kernels of torch do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from sim import Schedule, Trace

from ..live_bytes import static_tensors, storage_bytes
from ..stages.batches import pieces
from ..stages.split_backward import defer, restore
from ..stages.stage import Loss, Stage
from ..stages.transformer import next_token_loss
from ..threads.board import Board
from ..threads.job import Job
from ..threads.lanes import BoundaryTensors, Copied, CpuLane, Lane
from ..threads.mail import Mailbox, checked_delay
from ..threads.measured_trace import measured_trace
from ..threads.records import IterationRecord, Purpose
from ..threads.worker import Worker
from ..torch_private.kernels import CPU_ATTENTION, CPU_ATTENTION_BACKWARD, fake_mode
from .alone import one_microbatch
from .passes import Passes, pass_table

Build = Callable[[], tuple[Sequence[nn.Module], Tensor, Tensor | None]]
"""Makes the stages, one microbatch, and its targets or None; it is called under fake tensors."""


def estimated_passes(
    build: Build,
    *,
    loss_fn: Loss = next_token_loss,
    n_slices: int = 1,
    flops_per_second: float = 1e12,
) -> Passes:
    """`Passes` of F, B, W and BW (deferred split) of one microbatch, from shapes alone.

    The table has a column `flops`; `seconds` is `flops / flops_per_second`, with no allowance for
    anything but products: shares of time, not times. The model can be as large as you like:

        model = backend.Model(layers=(10, 10), width=8192, heads=64, sequence=4096)
        stages = lambda: (backend.transformer_stages(model), *backend.tokens(model, 1))
        backend.estimated_passes(stages).table

    n_slices: of every sequence. Raises ValueError for a speed that is none, and PassFailed when a
    stage raises.
    """
    if not flops_per_second > 0:
        raise ValueError(f"flops_per_second is {flops_per_second!r}: it must be more than 0")
    with fake_mode():
        stages, batch, targets = build()
        records = []
        traces: list[Trace] = []
        for kinds in ("BW", "B W"):
            schedule = one_microbatch(len(stages), n_slices, kinds)
            bytes_, _ = _recorded(schedule, stages, (batch, targets), loss_fn, purpose="memory")
            flops, lane = _recorded(schedule, stages, (batch, targets), loss_fn, purpose="time")
            traces.append(measured_trace(schedule, [flops], [lane], memory=[bytes_]))
            records.append(flops)
        static = tuple(storage_bytes(static_tensors(module)) for module in stages)
    table = pass_table(traces).rename(columns={"seconds": "flops"})
    table.insert(3, "seconds", table["flops"] / flops_per_second)
    crossing = records[0].boundaries
    return Passes(
        table.assign(spread=0.0, mean=table["seconds"], cpu=float("nan")),
        tuple(
            tuple(crossing[stage, part] for part in range(n_slices))
            for stage in range(len(stages) - 1)
        ),
        static,
    )


class FlopLane:
    """A CPU lane whose clock shows the FLOPs so far."""

    def __init__(self) -> None:
        self._counter = FlopCounterMode(display=False, custom_mapping=_LACKING)
        self._cpu: Lane = CpuLane()

    def active(self) -> AbstractContextManager[Any]:
        return self._counter

    def timestamp(self) -> int:
        return self._counter.get_total_flops()

    def copied(self, tensors: BoundaryTensors) -> Copied:
        return self._cpu.copied(tensors)._replace(start=self.timestamp(), end=self.timestamp())

    def accept(self, copied: Copied, delay: float) -> None:
        pass

    def stored(self, data: Tensor, *, host: bool) -> Tensor:
        return self._cpu.stored(data, host=host)

    def loaded(self, data: Tensor) -> Tensor:
        return self._cpu.loaded(data)

    def finish(self) -> None:
        pass

    def seconds(self, origin: int, moment: int) -> float:
        return float(moment - origin)


def _recorded(
    schedule: Schedule,
    stages: Sequence[nn.Module],
    data: tuple[Tensor, Tensor | None],
    loss: Loss,
    *,
    purpose: Purpose,
) -> tuple[IterationRecord, Lane]:
    """One iteration of a schedule for one device, in this thread."""
    lane: Lane = FlopLane() if purpose == "time" else CpuLane()
    origin = [0]
    job = Job(
        schedule,
        pieces(*data, n_microbatches=1, n_slices=schedule.n_slices),
        loss,
        delay=checked_delay(None),
        host_seconds=lambda size: 0.0,
        mailboxes=[Mailbox()],
        board=Board(1),
        purposes=[purpose],
        autocast=nullcontext,
        static=[tensor for tensor in data if tensor is not None],
        barrier=threading.Barrier(1),
        origin=origin,
    )
    deferral = defer(*stages)
    try:
        worker = Worker(
            job,
            0,
            stages={
                number: Stage(
                    module, deferral=deferral, first=number == 0, n_slices=schedule.n_slices
                )
                for number, module in enumerate(stages)
            },
            lane=lane,
        )
        with _one_thread():
            worker.run()
        if job.board.failure:
            raise job.board.failure
    finally:
        restore(deferral)
    return worker.records[0], lane


@contextmanager
def _one_thread() -> Iterator[None]:
    """A worker sets the number of torch threads to one: afterwards it is what it was."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _attention_flops(
    query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any
) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward_flops(
    gradient: Sequence[int], query: Sequence[int], key: Sequence[int], value: Sequence[int],
    *_: Any, **__: Any,
) -> int:  # fmt: skip
    return int(sdpa_backward_flop_count(gradient, query, key, value))  # type: ignore[no-untyped-call]


def _product_flops(
    _: Sequence[int], left: Sequence[int], right: Sequence[int], *__: Any, **___: Any
) -> int:
    return 2 * left[0] * left[1] * right[1]


_LACKING = {
    torch.ops.aten.addmm_: _product_flops,
    CPU_ATTENTION: _attention_flops,
    CPU_ATTENTION_BACKWARD: _attention_backward_flops,
}
"""What torch's counter lacks."""
