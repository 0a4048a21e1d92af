"""Runs a schedule with torch's own pipeline runtime: one process per pipeline device.

    torchrun --nproc-per-node 4 -m backend run v-half -p 4 -m 8 --engine torch

torch adds the sends and receives itself; we give it our order of passes, static shapes, and stages
whose passes are timed after the wait for their input. On CPU processes talk through gloo, on GPUs
through NCCL. No GPU has confirmed the NCCL path yet.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sim import Schedule

from ..live_bytes import LiveBytes, static_tensors, storage_bytes
from ..stages.split_backward import Split, deferred
from ..stages.weight_gradients import zero_gradients
from ..torch_private.runtime import (
    microbatches_with,
    pipeline_runtime,
    quiet_runtime,
    trust_shapes,
)
from ..torch_private.versions import checked_torch
from .agreement import agreed, claim, host_group
from .checks import boundary_shapes, require_runnable
from .faults import cause, report_briefly
from .observed_stage import ObservedStage
from .recorder import Loss, RankPass, Recorder, finish, seconds_now
from .watch import Watch


class RankResult(NamedTuple):
    """What one process knows after a run.

    host: its machine; clocks of one host agree. begun: when each timed step began here.
    steps: the passes of every timed step, in order. memory: those of the step in which bytes
    were counted. static_bytes: weights, gradients, buffers. boundary_bytes: what one
    microbatch sends over each stage boundary, shape `(n_stages - 1,)`. loss: the mean over
    microbatches, on every rank.
    """

    rank: int
    host: str
    begun: tuple[float, ...]
    steps: tuple[tuple[RankPass, ...], ...]
    memory: tuple[RankPass, ...]
    static_bytes: int
    boundary_bytes: tuple[int, ...]
    loss: float


def run_rank(
    schedule: Schedule,
    stages: Sequence[nn.Module],
    batch: Tensor,
    *,
    targets: Tensor,
    loss_fn: Loss,
    split: Split = "deferred",
    warm_up: int = 1,
    steps: int = 1,
) -> RankResult:
    """This process's part of `schedule`; gradients are left in the `.grad` of its own stages.

    stages: modules of all stages, in order; only those placed on this rank are used, and must be
        on the device it computes on. batch: the whole batch on every rank, rows a multiple of the
        number of microbatches (torch wants one shape for all).
    warm_up, steps: how often it runs before the clocks count, and while they do. Bytes are counted
        in one more step, so that counting slows down no clock.

    Raises Mismatch (a ValueError), the same on every rank, for what torch's runtime cannot run and
    for processes that do not fit together, before anything runs; PipelineFault where one fails.
    """
    checked_torch()
    report_briefly()
    rank, device = dist.get_rank(), batch.device
    watch, shapes = _agreed(schedule, stages, batch, targets, split)
    numbers = schedule.stages_of[rank]
    modules = [stages[number] for number in numbers]
    recorder = Recorder(watch, device)
    losses: list[Tensor] = []
    apart = any(op.kind == "W" for order in schedule.orders for op in order)
    with deferred(*modules) if apart and split == "deferred" else nullcontext() as deferral:
        observed = [
            ObservedStage(
                stages[number], number, schedule.n_stages, device, during=recorder.during,
                deferral=deferral, apart=microbatches_with(schedule.orders, "W", number),
                input_args=_example(shapes[number], device, wanted=number > 0),
                output_args=_example(shapes[number + 1], device),
            )
            for number in numbers
        ]  # fmt: skip
        runtime = pipeline_runtime(
            observed,
            schedule,
            loss=recorder.timed(loss_fn),
        )
        if dist.get_backend() == "fake":  # this rank is alone, and nobody can be asked
            trust_shapes(runtime)

        def step() -> tuple[float, tuple[RankPass, ...]]:
            """Runs one step from gradients of zero: when it began, and its passes."""
            zero_gradients(modules)
            recorder.log.clear()
            losses.clear()
            dist.barrier()
            began = seconds_now(device)
            inputs = (batch,) if 0 in numbers else ()
            with watch.step(), quiet_runtime():
                runtime.step(*inputs, target=targets, losses=losses, return_outputs=False)
                finish(device)
            return began, tuple(recorder.log)

        for _ in range(warm_up):
            step()
        timed = [step() for _ in range(steps)]
        zero_gradients(modules)  # so that they are there, and static
        held = [tensor for module in modules for tensor in static_tensors(module)]
        recorder.live = LiveBytes([*held, batch, targets])
        _, counted = step()
    return RankResult(
        rank,
        socket.gethostname(),
        tuple(began for began, _ in timed),
        tuple(passes for _, passes in timed),
        counted,
        storage_bytes(tensor for module in modules for tensor in static_tensors(module)),
        tuple(shape.nbytes for shape in shapes[1:-1]),
        _mean_everywhere(losses, device, source=schedule.placement[-1]),
    )


def _agreed(
    schedule: Schedule, stages: Sequence[nn.Module], batch: Tensor, targets: Tensor, split: str
) -> tuple[Watch, list[Tensor]]:
    """The watch over this process and the shapes at the boundaries of stages, once all processes
    are about to run the same."""
    objection, shapes = "", []
    try:
        require_runnable(schedule, stages, batch, n_processes=dist.get_world_size())
        shapes = boundary_shapes(stages, batch[: len(batch) // schedule.n_microbatches])
    except ValueError as error:
        objection = " ".join(str(error).split())
    except Exception as error:
        objection = f"no microbatch gets through the stages: {cause(error)}"
    given = f"{batch.dtype} {list(batch.shape)} for {targets.dtype} {list(targets.shape)}"
    mine = claim(schedule, objection, split=split, device=batch.device.type, batch=given)
    ranks = tuple(range(dist.get_world_size()))
    key = agreed(mine, host_group(None), ranks).key
    return Watch(schedule, dist.get_rank(), ranks, key), shapes


def _example(
    shape: Tensor, device: torch.device, *, wanted: bool = True
) -> tuple[torch.Tensor, ...]:
    """What torch's stage is to know of a boundary. wanted: whether its gradient is."""
    grad = wanted and shape.is_floating_point()
    return (torch.empty_like(shape, device=device, requires_grad=grad),)


def _mean_everywhere(losses: Sequence[Tensor], device: torch.device, *, source: int) -> float:
    """The mean of the losses that rank `source` has, on every rank."""
    mean = torch.zeros((), device=device, dtype=torch.float64)
    if losses:
        mean += torch.stack([*losses]).detach().mean()
    dist.broadcast(mean, src=source)
    return float(mean)
