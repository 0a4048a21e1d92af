"""A training step of ours against one of torch's own class with the same order of passes, in pairs.

    torch's class   split natively, gradients divided after the step, the loss on the last rank
    ours            shapes agreed on, weight gradients put aside, the loss on every rank

Step by step, one right after the other in the same processes, so that whatever the machine does
meanwhile happens to both. Order and modules are those of torch's class: only the engines differ. (A
second copy of the modules, elsewhere in memory, was found to be up to 3 % faster or slower.)
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from statistics import quantiles
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, schedules

import backend
from backend.ranks.checks import boundary_shapes
from backend.ranks.process_group import process_group
from sim import FAMILIES, Schedule
from sim.schedule.torch_csv import from_torch_csv

from ..workload import Workload
from .processes import reason
from .ready_gaps import Timed, timed_passes
from .setting import CLASSES, V_SHAPED, Place, Setting

UNSAID = {"ScheduleGPipe": "gpipe", "Schedule1F1B": "1f1b"}
"""Classes that do not say their order of passes, and the family that has it."""


class Seconds(NamedTuple):
    """What one step took on this rank: of the clock, and of processor time in all threads."""

    wall: float
    cpu: float


class Round(NamedTuple):
    """One step of torch's class and one of ours, one right after the other."""

    theirs: Seconds
    ours: Seconds


class Found(NamedTuple):
    """What one rank saw. passes: of torch's class and of ours, step by step, where asked for."""

    schedule: Schedule
    rounds: list[Round]
    passes: tuple[list[list[Timed]], list[list[Timed]]] = ([], [])


class Theirs(NamedTuple):
    """torch's class on this rank: a step of it, its runtime and stages, and its order."""

    step: Callable[[], None]
    runtime: Any
    stages: Sequence[Any]
    schedule: Schedule


def classes_together(setting: Setting, place: Place) -> list[dict[str, Any]]:
    """A row per class: `ratio`, torch's seconds over ours, with quartiles `low` and `high`, and
    `ours`, the median seconds of a step of ours; or an `error`.

    One process per GPU, or per rank of a CPU. On one GPU this is a pipeline of one rank: what the
    engines themselves take, without messages.
    """
    p = setting.ranks
    os.environ |= {"RANK": str(place.rank), "WORLD_SIZE": str(p), "LOCAL_RANK": str(place.rank)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(place.port)}
    if setting.device == "cpu":
        torch.set_num_threads(1)
    rows = []
    with process_group(setting.device, timeout=place.seconds / 3):
        for name in setting.classes:
            row: dict[str, Any] = {"class": name, "ranks": p, "rank": None}
            try:
                found = paired(name, setting.workload, setting.n_microbatches,
                               rounds=setting.class_rounds)  # fmt: skip
                row |= compared([(each.theirs.wall, each.ours.wall) for each in found.rounds])
            except Exception as error:
                row["error"] = reason(error)
            rows.append(row)
    return rows


def compared(found: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Quartiles of pairs of (torch's seconds, ours)."""
    low, middle, high = quantiles([theirs / ours for theirs, ours in found], n=4)
    ours = quantiles([ours for _, ours in found], n=4)[1]
    return {"ratio": middle, "low": low, "high": high, "ours": ours}


def paired(
    name: str,
    workload: Workload,
    n_microbatches: int,
    *,
    rounds: int,
    seconds: float = math.inf,
    traced: int = 0,
) -> Found:
    """Steps of torch's class and of ours, round by round, on this rank of a group.

    rounds: how many count, fewer (but five) where they take more `seconds` than that. traced: in
    how many more every pass is timed.
    """
    theirs, batch, targets = torchs_own(name, workload, n_microbatches)
    mine = {stage.stage_index: stage.submod for stage in theirs.stages}
    pipe = backend.torch_schedule(theirs.schedule, mine, backend.next_token_loss)

    def ours() -> None:
        pipe.step(batch, target=targets)

    calls: list[Callable[[], None]] = [theirs.step, ours]
    found: list[Round] = []
    for number in range(-2, rounds):
        if number == 0:
            found.clear()
            began = time.perf_counter()
        if number > 4 and _any(time.perf_counter() - began > seconds, batch):
            break
        order = calls if number % 2 else calls[::-1]
        took = {call: _seconds(call, batch) for call in order}
        found.append(Round(took[theirs.step], took[ours]))
    passes: tuple[list[list[Timed]], list[list[Timed]]] = ([], [])
    for _ in range(traced):
        for call, stages_of_it, log in zip(
            calls, (theirs.stages, pipe._stages), passes, strict=True
        ):
            with timed_passes(stages_of_it) as step:
                _meet(batch)
                call()
            log.append(step)
    return Found(theirs.schedule, found, passes)


def torchs_own(name: str, workload: Workload, n_microbatches: int) -> tuple[Theirs, Tensor, Tensor]:
    """One of torch's classes on this rank, and a batch with its targets."""
    rank, p = dist.get_rank(), dist.get_world_size()
    each = CLASSES[name]
    n = p * each
    numbers = [rank + chunk * p for chunk in range(each)]
    if name in V_SHAPED:
        numbers = [rank, n - 1 - rank]
    modules = workload.stages(n)
    batch, targets = workload.batch(n_microbatches, n)
    shapes = boundary_shapes(modules, batch[: workload.rows])
    held = [_stage(modules[number], number, shapes, batch.device) for number in numbers]
    made = getattr(schedules, name)(
        held[0] if each == 1 else held, n_microbatches=n_microbatches,
        loss_fn=backend.next_token_loss,
    )  # fmt: skip
    if name in UNSAID:
        schedule = FAMILIES[UNSAID[name]](p, n_microbatches)
    else:
        rows = [[str(action or "") for action in made.pipeline_order[r]] for r in range(p)]
        schedule = from_torch_csv("\n".join(map(",".join, rows)), name=name)
    first, last = 0 in numbers, n - 1 in numbers

    def step() -> None:
        losses: list[Tensor] | None = [] if last else None
        made.step(
            *((batch,) if first else ()), target=targets if last else None, losses=losses,
            return_outputs=False,
        )  # fmt: skip

    return Theirs(step, made, held, schedule), batch, targets


def _stage(
    module: nn.Module, number: int, shapes: Sequence[Tensor], device: torch.device
) -> PipelineStage:
    inside, outside = (
        torch.empty_like(shape, device=device, requires_grad=shape.is_floating_point())
        for shape in shapes[number : number + 2]
    )
    return PipelineStage(
        module, number, len(shapes) - 1, device,
        input_args=(inside.detach() if number == 0 else inside,), output_args=(outside,),
    )  # fmt: skip


def _seconds(call: Callable[[], None], on: Tensor) -> Seconds:
    _meet(on)
    start, cpu = time.perf_counter(), time.process_time()
    call()
    busy = time.process_time() - cpu
    _meet(on)
    return Seconds(time.perf_counter() - start, busy)


def _any(here: bool, on: Tensor) -> bool:
    """Whether it is so on any rank."""
    found = torch.tensor([int(here)], device=on.device)
    dist.all_reduce(found)
    return bool(found)


def _meet(on: Tensor) -> None:
    if on.is_cuda:
        torch.cuda.synchronize(on.device)
    dist.barrier()
