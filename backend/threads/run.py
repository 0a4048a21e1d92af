"""The local engine: runs a schedule in one process, one worker thread per pipeline device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from sim import Schedule, validate
from sim.base.progress import bar

from ..stages.batches import Batch, moved, pieces, tensors_of
from ..stages.cut_head import cut
from ..stages.frozen import untrained
from ..stages.random_state import Replay
from ..stages.split_backward import Deferral, Split, defer, restore, unsplit, warn_unsplit
from ..stages.stage import Loss, Stage
from ..stages.transformer import next_token_loss
from ..stages.vocabulary import Part
from .board import Board
from .checks import (
    checked_host,
    require_counts,
    require_cross_entropy,
    require_runnable,
    require_trained,
)
from .interpreter import undisturbed_passes
from .job import Job
from .lanes import Timestamp, device_kind, make_lanes
from .mail import Delay, Mailbox, checked_delay
from .records import Purpose
from .result import RunResult, run_result
from .shared_weights import separated, sum_gradients
from .worker import Worker


def run(
    schedule: Schedule,
    stages: Sequence[nn.Module],
    batch: Batch,
    *,
    targets: Batch | None = None,
    loss_fn: Loss = next_token_loss,
    slices: Sequence[int] | None = None,
    split: Split = "deferred",
    device: str | torch.device = "cpu",
    steps: int = 1,
    warmup: int = 0,
    memory: int = 1,
    delay: Delay | None = None,
    host_bandwidth: float | None = None,
    host_latency: float = 0.0,
    partitions: Sequence[torch.cuda.Stream] | None = None,
    timeout: float = 120.0,
    progress: bool = False,
) -> RunResult:
    """Runs `schedule` on real tensors and says what happened; gradients end up in `.grad`.

    stages: a module per stage; each takes what the one before returns, a tensor or a tuple of
        tensors. Where a stage has several devices, each has a gradient of its own until the end,
        when they are summed up. With slices their forward also takes `cache` (see
        `backend.stages.kv_cache`). On cuda they are moved there. One that trains nothing is frozen
        while it runs; in one that trains adapters, those are the parameters that want a gradient
        (`backend.adapted`).
    batch, targets: rows are spread over the microbatches, columns over the slices. Or lists with
        the rows of each microbatch, which may differ in number and length: each then weighs as much
        as its targets have entries.
    slices: tokens of every slice, shape `(n_slices,)`; as equal as they can be by default.
    loss_fn: `(output, target)` -> mean loss of these rows (and tokens); the result is the mean
        over the whole batch. Where all devices share the vocabulary, the last linear layer of the
        last stage is cut along its rows, and the loss is the cross entropy at `targets`.
    split: "deferred" puts weight gradients of linear and embedding layers aside (see
        `backend.stages.split_backward`); "native" is torch's own split: it keeps more after B,
        leaves the whole backward of the first stage to W, and recomputes a checkpointed block once
        per group of weights.
    steps, warmup, memory: iterations that are timed; that are dropped before them; and, before all
        others, iterations in which bytes are counted (0 or 1: counting would spoil the clocks).
        Every iteration starts from gradients of zero.
    delay: seconds a transfer takes on top of its copy, or a function of (source, destination,
        bytes); a copy to a partner device takes that at least.
    host_bandwidth, host_latency: where something is offloaded to the host, its copies are made no
        faster than so many bytes per second, each way, after so many seconds; on cpu alone.
    partitions: one CUDA stream per pipeline device, see `backend.threads.sm_groups`.
    timeout: seconds without any pass beginning after which the run is given up.
    progress: a line on stderr while it runs, if stderr is a terminal.

    Raises sim.InvalidSchedule before anything runs, PassFailed when a pass raises, Stuck when
    nothing moves, and ValueError for arguments that do not fit each other.
    """
    validate(schedule)
    require_runnable(schedule, stages, split)
    require_trained(schedule, stages)
    require_cross_entropy(schedule, targets, loss_fn)
    require_counts(steps=steps, warmup=warmup, memory=memory, timeout=timeout)
    lanes = make_lanes(device, schedule.n_devices, partitions)
    kind = device_kind(device)
    if kind == "cuda":
        batch, targets = moved(batch, device) or batch, moved(targets, device)
        for module in stages:
            module.to(device)
        torch.cuda.synchronize(device)  # the streams of the run do not wait for this one
        torch.cuda.reset_peak_memory_stats(device)
    given = pieces(
        batch,
        targets,
        n_microbatches=schedule.n_microbatches,
        n_slices=schedule.n_slices,
        lengths=slices,
    )
    frozen = [stages[s] for s, trained in enumerate(schedule.trains) if trained == "nothing"]
    origin: list[Timestamp] = [None]

    def begin() -> None:
        origin[0] = lanes[0].timestamp()

    purposes: list[Purpose] = []
    purposes += ["memory"] * memory
    purposes += ["warm-up"] * warmup
    purposes += ["time"] * steps
    job = Job(
        schedule,
        given,
        loss_fn,
        delay=checked_delay(delay),
        host_seconds=checked_host(host_bandwidth, host_latency, kind),
        mailboxes=[Mailbox() for _ in lanes],
        board=Board(schedule.n_devices),
        purposes=purposes,
        autocast=_autocast(kind),
        static=[*tensors_of(batch), *tensors_of(targets)],
        barrier=threading.Barrier(schedule.n_devices, action=begin),
        origin=origin,
    )
    turn = threading.Lock()

    def replay() -> Replay | None:
        return Replay(turn, device) if "R" in schedule.levers.values() else None

    with ExitStack() as around:
        around.enter_context(untrained(frozen))
        parts: list[Part] = []
        if schedule.vocabulary:
            barriers = schedule.vocabulary if schedule.backward[-1] else 0
            stages, parts = around.enter_context(cut(stages, schedule.n_devices, barriers))
        modules, aliases = separated(stages, (schedule.placement, *schedule.routes))
        deferrals = around.enter_context(_deferrals(schedule, modules, split))
        workers = [
            Worker(
                job,
                number,
                stages=_stages(job, modules, deferrals[number], number, replay=replay),
                lane=lane,
                part=parts[number] if parts else None,
            )
            for number, lane in enumerate(lanes)
        ]
        _play(workers, job, timeout, progress=progress)
        sum_gradients(aliases)
        notes: dict[str, Any] = {"engine": "local", "device": str(device), "split": split}
        if kind == "cuda":  # of the whole GPU: all pipeline devices share one allocator
            notes["allocator_peak_bytes"] = torch.cuda.max_memory_allocated(device)
        return run_result(workers, job, notes)  # while the vocabulary is cut, if it is


def _autocast(kind: str) -> Callable[[], AbstractContextManager[Any]]:
    """The caller's autocast, for forwards in other threads; it is a property of a thread."""
    if not torch.is_autocast_enabled(kind):
        return nullcontext
    dtype = torch.get_autocast_dtype(kind)
    return lambda: torch.autocast(kind, dtype)


@contextmanager
def _deferrals(
    schedule: Schedule, modules: Mapping[tuple[int, int], nn.Module], split: Split
) -> Iterator[list[Deferral | None]]:
    """A deferral per device, with one warning for all that cannot be deferred."""
    held = [[modules[at, stage] for stage in held] for at, held in enumerate(schedule.stages_of)]
    if split == "native":
        yield [None] * schedule.n_devices
        return
    found = [defer(*group) for group in held]
    try:
        yield list(found)
        if any(op.kind == "W" for order in schedule.orders for op in order):
            warn_unsplit(
                name
                for group, deferral in zip(held, found, strict=True)
                for module in group
                for name in unsplit(module, deferral)
            )
    finally:
        for deferral in found:
            restore(deferral)


def _stages(
    job: Job,
    modules: Mapping[tuple[int, int], nn.Module],
    deferral: Deferral | None,
    at: int,
    *,
    replay: Callable[[], Replay | None],
) -> dict[int, Stage]:
    """The stages of device `at`, by number."""
    schedule = job.schedule
    return {
        number: Stage(
            modules[at, number],
            deferral=deferral,
            first=number == 0 or not schedule.backward[number - 1],
            n_slices=schedule.n_slices,
            passes=schedule.backward[number],
            replay=replay(),
            static=job.static,
        )
        for number in schedule.stages_of[at]
    }


def _play(workers: Sequence[Worker], job: Job, timeout: float, *, progress: bool) -> None:
    """Starts the workers and returns when all are through; PassFailed or Stuck if one is not."""
    threads = [
        threading.Thread(target=worker.run, name=f"device {worker.device}", daemon=True)
        for worker in workers
    ]

    def stop() -> None:
        job.barrier.abort()
        for mailbox in job.mailboxes:
            mailbox.stop()

    total = job.schedule.n_ops * len(job.purposes)
    with (
        undisturbed_passes(),
        bar(f"running {job.schedule.name}", total, shown=progress, alone=True) as report,
    ):
        for thread in threads:
            thread.start()
        try:
            job.board.watch(timeout, stop, report)
        except BaseException:
            stop()
            deadline = time.monotonic() + 0.5  # whoever is inside a pass ends after it
            for thread in threads:
                thread.join(max(deadline - time.monotonic(), 0))
            raise
        for thread in threads:
            thread.join()
