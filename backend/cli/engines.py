"""The engines behind the command `run`: each runs a schedule beside a plain backward."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sim.cli.command_line import UsageError

from .options import RunOptions
from .setting import fitting, rows_of

if TYPE_CHECKING:
    from sim import Schedule

    from ..stages.transformer import Model
    from ..threads.result import RunResult


class Comparison(NamedTuple):
    """A run, and how far it is from a plain backward.

    gradient_error: the largest deviation of any gradient entry, relative to the largest entry of
    its parameter.
    """

    result: RunResult
    reference_loss: float
    gradient_error: float


def local(schedule: Schedule, model: Model, options: RunOptions) -> Comparison:
    """This process, one thread per device."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("the local engine is one process: start it without torchrun")
    from ..stages.reference import gradient_error, gradients_of, plain_backward
    from ..stages.transformer import tokens, transformer_stages
    from ..threads.lanes import device_kind
    from ..threads.run import run

    device_kind(options.device)
    made = fitting(transformer_stages(model, seed=options.seed), schedule)
    stages = [stage.to(options.device) for stage in made]
    rows = rows_of(schedule, options)
    batch, targets = tokens(model, sum(rows), seed=options.seed, device=options.device)
    reference = plain_backward(stages, batch, targets=targets)
    result = run(
        schedule,
        stages,
        batch.split_with_sizes(rows),
        targets=targets.split_with_sizes(rows),
        split=options.split,  # type: ignore[arg-type]
        device=options.device,
        steps=options.steps,
        warmup=options.warmup,
        delay=options.delay,
        host_bandwidth=None if options.host_bandwidth is None else float(options.host_bandwidth),
        host_latency=options.host_latency or 0.0,
        partitions=_streams(schedule, options),
        timeout=options.timeout,
        progress=True,
    )
    error = gradient_error(gradients_of(stages), reference.gradients)
    return Comparison(result, reference.loss, error)


def distributed(schedule: Schedule, model: Model, options: RunOptions) -> Comparison | None:
    """torch's runtime, one process per device; the comparison on rank 0, None on the others."""
    for flag, given in (
        ("--delay", options.delay),
        ("--partitions", options.partitions == "green"),
        ("--microbatch-scale", options.microbatch_scale),
    ):
        if given:
            raise UsageError(f"{flag} is of the local engine: torch's runtime has its own way")
    import torch
    import torch.distributed as dist

    from ..ranks.gather import gathered
    from ..ranks.process_group import process_group
    from ..ranks.run import run_rank
    from ..stages.reference import gradient_error, gradients_of, plain_backward
    from ..stages.transformer import next_token_loss, tokens, transformer_stages

    if options.device == "cpu":
        torch.set_num_threads(1)
    with process_group(options.device, timeout=options.timeout) as where:
        made = fitting(transformer_stages(model, seed=options.seed), schedule)
        stages = [stage.to(where) for stage in made]
        n_rows = options.rows * schedule.n_microbatches
        batch, targets = tokens(model, n_rows, seed=options.seed, device=where)
        reference = plain_backward(stages, batch, targets=targets)
        mine = run_rank(
            schedule,
            stages,
            batch,
            targets=targets,
            loss_fn=next_token_loss,
            split=options.split,  # type: ignore[arg-type]
            warm_up=options.warmup,
            steps=options.steps,
        )
        held = schedule.stages_of[dist.get_rank()]
        error = gradient_error(
            gradients_of([stages[s] for s in held]), [reference.gradients[s] for s in held]
        )
        worst = torch.tensor(error, dtype=torch.float64, device=where)
        dist.all_reduce(worst, dist.ReduceOp.MAX)
        result = gathered(schedule, mine)
        return None if result is None else Comparison(result, reference.loss, worst.item())


Engine = Callable[["Schedule", "Model", RunOptions], Comparison | None]
ENGINES: dict[str, Engine] = {"local": local, "torch": distributed}


def _streams(schedule: Schedule, options: RunOptions) -> Any:
    """One stream per device on disjoint parts of the GPU, where they were asked for."""
    if options.partitions == "streams":
        return None
    if options.device != "cuda":
        raise UsageError("--partitions green divides a GPU: it needs --device cuda")
    from ..threads.sm_groups import sm_groups

    return [group.stream for group in sm_groups(schedule.n_devices)]
