"""Runs a schedule with torch's own pipeline runtime: one process per pipeline device.

    torchrun --nproc-per-node 4 -m backend run v-half -p 4 -m 8 --engine torch

torch adds the sends and receives itself; we give it our order of passes, static shapes, and stages
whose passes are timed after the wait for their input. On CPU processes talk through gloo, on GPUs
through NCCL. No GPU has confirmed the NCCL path yet.
"""

from __future__ import annotations

import datetime
import functools
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage

from sim import Op, Schedule, validate

from ..live_bytes import Ledger, static_tensors, storage_bytes
from ..stages.split import Deferral, Split, accumulate, defer, restore
from ..torch_private import alone, checked_torch, pipeline_runtime, without_vote

Loss = Callable[[Tensor, Tensor], Tensor]


class Pass(NamedTuple):
    """One pass of one step of the runtime. start, end: seconds on this host's clock.

    before, after, most: counted live bytes around it and the most inside, where they were counted.
    """

    op: Op
    start: float
    end: float
    before: int = 0
    after: int = 0
    most: int = 0


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
    steps: tuple[tuple[Pass, ...], ...]
    memory: tuple[Pass, ...]
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
    replay: bool = False,
) -> RankResult:
    """This process's part of `schedule`; gradients are left in the `.grad` of its own stages.

    stages: modules of all stages, in order; only those placed on this rank are used, and must be
        on the device it computes on. batch: the whole batch on every rank, rows a multiple of the
        number of microbatches (torch wants one shape for all).
    warm_up, steps: how often it runs before the clocks count, and while they do. Bytes are counted
        in one more step, so that counting slows down no clock.
    replay: run this rank by itself, messages going nowhere: times and memory, never gradients.

    Raises ValueError for what torch's runtime cannot run, before anything runs.
    """
    checked_torch()
    orders = runnable(schedule, stages, batch)
    rank, device = dist.get_rank(), batch.device
    mine = schedule.stages_of[rank]
    log: list[Pass] = []
    shapes = boundary_shapes(stages, batch[: len(batch) // schedule.n_microbatches])
    deferral = defer(*(stages[s] for s in mine)) if split == "deferred" else None
    try:
        timed = [
            _TimedStage(
                stages[s], s, schedule.n_stages, device, log,
                deferral=deferral, shapes=(shapes[s], shapes[s + 1]),
            )
            for s in mine
        ]  # fmt: skip
        loss = functools.partial(_timed_loss, loss_fn, log, device)
        runtime = pipeline_runtime(timed, orders, n_microbatches=schedule.n_microbatches, loss=loss)
        if replay:
            without_vote(runtime, timed)
        losses: list[Tensor] = []
        found: list[tuple[Pass, ...]] = []
        begun: list[float] = []
        counted: tuple[Pass, ...] = ()
        for number in range(warm_up + steps + 1):
            counting = number == warm_up + steps
            for s in mine:
                _zero_gradients(stages[s])
            held = [tensor for s in mine for tensor in static_tensors(stages[s])]
            ledger = Ledger([*held, batch, targets]) if counting else None
            for stage in timed:
                stage.ledger = ledger
            log.clear()
            losses.clear()
            if not replay:
                dist.barrier()
            began = _now(device)
            runtime.step(
                *((batch,) if 0 in mine else ()),
                target=targets,
                losses=losses,
                return_outputs=False,
            )
            _finish(device)
            if counting:
                counted = tuple(log)
            elif number >= warm_up:
                found.append(tuple(log))
                begun.append(began)
    finally:
        if deferral:
            restore(deferral)
    mean = torch.zeros((), device=device, dtype=torch.float64)
    if losses:
        mean += torch.stack(losses).detach().mean()
    if not replay:
        dist.broadcast(mean, src=schedule.placement[-1])
    static = storage_bytes(tensor for s in mine for tensor in static_tensors(stages[s]))
    return RankResult(
        rank,
        socket.gethostname(),
        tuple(begun),
        tuple(found),
        counted,
        static,
        tuple(shape.nbytes for shape in shapes[1:-1]),
        float(mean),
    )


def runnable(
    schedule: Schedule, stages: Sequence[nn.Module], batch: Tensor
) -> tuple[tuple[Op, ...], ...]:
    """The orders to hand to torch; ValueError that says why if its runtime cannot run them."""
    validate(schedule)
    world = dist.get_world_size()
    if world != schedule.n_devices:
        raise ValueError(
            f"{schedule.name} has {schedule.n_devices} devices, but {world} processes run: start "
            f"torchrun with --nproc-per-node {schedule.n_devices}"
        )
    if schedule.n_slices > 1:
        raise ValueError(
            f"{schedule.name} has {schedule.n_slices} slices per microbatch: torch's runtime knows "
            "none, use the local engine"
        )
    if len(stages) != schedule.n_stages:
        raise ValueError(
            f"{schedule.name} has {schedule.n_stages} stages, but {len(stages)} modules were given"
        )
    if len(batch) % schedule.n_microbatches:
        raise ValueError(
            f"the batch has {len(batch)} rows for {schedule.n_microbatches} microbatches: torch's "
            "runtime wants all of one size, give it a multiple"
        )
    return schedule.orders


@contextmanager
def process_group(device: str, *, timeout: float = 120.0) -> Iterator[torch.device]:
    """The group of processes that torchrun started, and the device this one computes on.

    timeout: seconds after which a message that nobody serves ends the run.
    """
    if "RANK" not in os.environ:
        raise ValueError("the torch engine needs one process per device: start it with torchrun")
    if device == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("device is 'cuda', but torch sees no GPU here: use cpu")
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"process {local} of this host has no GPU: there are {torch.cuda.device_count()}, "
                "and NCCL wants one per process"
            )
        torch.cuda.set_device(local)
        where = torch.device("cuda", local)
    else:
        where = torch.device(device)
    limit = datetime.timedelta(seconds=timeout)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=limit)
    try:
        yield where
    finally:
        dist.destroy_process_group()


@contextmanager
def lone_rank(rank: int, world_size: int) -> Iterator[None]:
    """A process group in which this process is `rank` and all others are missing, for `replay`."""
    alone(rank, world_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def boundary_shapes(stages: Sequence[nn.Module], example: Tensor) -> list[Tensor]:
    """What enters each stage, and leaves the last, as tensors without data: `(n_stages + 1,)`."""
    found = [example.to("meta")]
    with torch.no_grad():
        for number, stage in enumerate(stages):
            state = {
                name: tensor.to("meta")
                for name, tensor in (*stage.named_parameters(), *stage.named_buffers())
            }
            with torch.device("meta"):
                out = torch.func.functional_call(stage, state, (found[-1],))
            if not isinstance(out, Tensor):
                raise ValueError(
                    f"stage {number} returns {type(out).__name__}: the torch engine moves one "
                    "tensor between stages"
                )
            found.append(out)
    return found


class _TimedStage(PipelineStage):
    """torch's stage, its three passes timed after the receive wait and, on demand, counted."""

    def __init__(
        self,
        module: nn.Module,
        index: int,
        n_stages: int,
        device: torch.device,
        log: list[Pass],
        *,
        deferral: Deferral | None,
        shapes: tuple[Tensor, Tensor],
    ) -> None:
        inside, outside = (
            torch.empty_like(shape, device=device, requires_grad=shape.is_floating_point())
            for shape in shapes
        )
        super().__init__(
            module,
            index,
            n_stages,
            device,
            input_args=(inside.detach() if index == 0 else inside,),
            output_args=(outside,),
            dw_builder=None if deferral is None else _weight_passes(deferral),
        )
        self.log, self.where = log, device
        self.ledger: Ledger | None = None

    def forward_one_chunk(self, fwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        return self._noted("F", fwd_chunk_id, super().forward_one_chunk, *args, **kwargs)

    def backward_one_chunk(
        self,
        bwd_chunk_id: int,
        loss: Any = None,
        full_backward: bool = True,
        last_backward: bool = False,
    ) -> Any:
        kind = "BW" if full_backward else "B"
        run = super().backward_one_chunk
        return self._noted(
            kind,
            bwd_chunk_id,
            run,
            loss=loss,
            full_backward=full_backward,
            last_backward=last_backward,
        )

    def backward_weight_one_chunk(self, bwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        return self._noted("W", bwd_chunk_id, super().backward_weight_one_chunk, *args, **kwargs)

    def _noted(
        self, kind: Any, chunk: int, run: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        ledger, op = self.ledger, Op(kind, self.stage_index, chunk)
        if ledger is None:
            start = _now(self.where)
            found = run(chunk, *args, **kwargs)
            self.log.append(Pass(op, start, _now(self.where)))
            return found
        before = ledger.peak = ledger.live
        with ledger.watching():
            found = run(chunk, *args, **kwargs)
        self.log.append(Pass(op, 0, 0, before, ledger.live, ledger.peak))
        return found


def _weight_passes(deferral: Deferral) -> Callable[[], Callable[..., None]]:
    """What torch calls after every B: the W of what that B has put aside."""
    return lambda: functools.partial(accumulate, deferral.take())


def _timed_loss(loss_fn: Loss, log: list[Pass], device: torch.device, *args: Any) -> Tensor:
    """The loss, its time added to the forward pass just logged: the last stage's F contains it."""
    loss = loss_fn(*args)
    log[-1] = log[-1]._replace(end=_now(device))
    return loss


def _now(device: torch.device) -> float:
    """Seconds on a clock that all processes of a host share, once the device has got so far."""
    _finish(device)
    return time.perf_counter()


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def _zero_gradients(module: nn.Module) -> None:
    for parameter in module.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad.detach_().zero_()
