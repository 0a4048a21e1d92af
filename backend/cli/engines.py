"""The engines behind the command `run`: each plays a schedule beside a plain backward."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.cli.command_line import UsageError

if TYPE_CHECKING:
    from sim import Schedule

    from ..stages.transformer import Model
    from ..threads.result import RunResult


class Request(NamedTuple):
    """Everything that was asked for, read and checked."""

    schedule: Schedule
    model: Model
    rows: int
    seed: int
    engine: str
    device: str
    split: str
    steps: int
    warmup: int
    delay: float | None
    partitions: str
    timeout: float


class Found(NamedTuple):
    """What an engine found: the run, and how far it is from a plain backward."""

    result: RunResult
    reference_loss: float
    error: float


def local(request: Request) -> Found:
    """This process, one thread per device."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("the local engine is one process: start it without torchrun")
    from ..stages.reference import gradient_error, gradients_of, plain_backward
    from ..stages.transformer import tokens, transformer_stages
    from ..threads.lanes import device_kind
    from ..threads.run import run

    device_kind(request.device)
    schedule = request.schedule
    stages = [
        stage.to(request.device) for stage in transformer_stages(request.model, seed=request.seed)
    ]
    batch, targets = tokens(
        request.model,
        request.rows * schedule.n_microbatches,
        seed=request.seed,
        device=request.device,
    )
    plain = plain_backward(stages, batch, targets=targets)
    result = run(
        schedule,
        stages,
        batch,
        targets=targets,
        split=request.split,  # type: ignore[arg-type]
        device=request.device,
        steps=request.steps,
        warmup=request.warmup,
        delay=request.delay,
        partitions=_streams(request),
        timeout=request.timeout,
        progress=True,
    )
    return Found(result, plain.loss, gradient_error(gradients_of(stages), plain.gradients))


def _streams(request: Request) -> Any:
    if request.partitions == "streams":
        return None
    if request.device != "cuda":
        raise UsageError("--partitions green divides a GPU: it needs --device cuda")
    from ..threads.sm_groups import sm_groups

    return [group.stream for group in sm_groups(request.schedule.n_devices)]


def distributed(request: Request) -> Found | None:
    """torch's runtime, one process per device; the result on rank 0, None on the others."""
    for flag, wrong in (
        ("--delay", request.delay),
        ("--partitions", request.partitions == "green"),
    ):
        if wrong:
            raise UsageError(
                f"{flag} is of the local engine: torch's runtime has its own transfers"
            )
    import torch
    import torch.distributed as dist

    from ..ranks.gather import gathered
    from ..ranks.process_group import process_group
    from ..ranks.run import run_rank
    from ..stages.reference import gradient_error, gradients_of, plain_backward
    from ..stages.transformer import next_token_loss, tokens, transformer_stages

    if request.device == "cpu":
        torch.set_num_threads(1)
    schedule = request.schedule
    with process_group(request.device, timeout=request.timeout) as where:
        stages = [stage.to(where) for stage in transformer_stages(request.model, seed=request.seed)]
        batch, targets = tokens(
            request.model, request.rows * schedule.n_microbatches, seed=request.seed, device=where
        )
        plain = plain_backward(stages, batch, targets=targets)
        mine = run_rank(
            schedule,
            stages,
            batch,
            targets=targets,
            loss_fn=next_token_loss,
            split=request.split,  # type: ignore[arg-type]
            warm_up=request.warmup,
            steps=request.steps,
        )
        held = schedule.stages_of[dist.get_rank()]
        error = gradient_error(
            gradients_of([stages[s] for s in held]), [plain.gradients[s] for s in held]
        )
        worst = torch.tensor(error, dtype=torch.float64, device=where)
        dist.all_reduce(worst, dist.ReduceOp.MAX)
        result = gathered(schedule, mine)
        return None if result is None else Found(result, plain.loss, worst.item())


ENGINES: dict[str, Callable[[Request], Found | None]] = {"local": local, "torch": distributed}
