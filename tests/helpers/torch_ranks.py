"""Ranks that play schedules through torch's runtime and compare gradients.

A case is written FAMILY:HOW. HOW is csv (torch's runtime reads our file), deferred or native (our
engine, either split), or die (the last rank raises in the middle of a pass).
"""

from __future__ import annotations

import importlib
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from forked import Failure, in_processes
from torch.distributed.pipelining import PipelineStage

import backend
import sim
from backend.ranks.checks import boundary_shapes
from backend.ranks.gather import gathered
from backend.ranks.process_group import process_group
from backend.ranks.run import run_rank
from backend.torch_private.versions import checked_torch

ROWS = 2


def found(p: int, *cases: str) -> list[dict[str, Any]]:
    """What each case gave on `p` ranks; AssertionError with what one of them raised."""
    ranks = answers(p, *cases)
    failed = [answer.traceback for answer in ranks if isinstance(answer, Failure)]
    assert not failed, failed
    results: list[dict[str, Any]] = ranks[0]
    return results


def answers(p: int, *cases: str) -> list[Any]:
    """What each of `p` ranks found in all cases, or its Failure."""
    port = _free_port()
    return in_processes(_rank, *((rank, p, port, cases) for rank in range(p)))


def ranks_of(p: int, module: str, name: str, *arguments: Any) -> list[Any]:
    """What function `name` of a helper module returns on each of `p` ranks; AssertionError with
    what one of them raised."""
    ranks = tried(p, module, name, *arguments)
    failed = [answer.traceback for answer in ranks if isinstance(answer, Failure)]
    assert not failed, "\n".join(failed)
    return ranks


def tried(p: int, module: str, name: str, *arguments: Any, timeout: float = 60) -> list[Any]:
    """The same, with the Failure of every rank that raised or ended."""
    port = _free_port()
    calls = ((rank, p, port, timeout, module, name, arguments) for rank in range(p))
    return in_processes(_in_group, *calls)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def _in_group(
    rank: int, p: int, port: int, timeout: float, module: str, name: str, arguments: Any
) -> Any:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(p)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with process_group("cpu", timeout=timeout):
        return getattr(importlib.import_module(module), name)(*arguments)


def _rank(rank: int, p: int, port: int, cases: tuple[str, ...]) -> list[dict[str, Any]]:
    """One process, as torchrun would have started it."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(p)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    checked_torch()
    torch.set_num_threads(1)
    with process_group("cpu", timeout=60):
        return [case(*argument.split(":")) for argument in cases]


def case(name: str, how: str) -> dict[str, Any]:
    """Runs one family one way; the worst gradient error over all ranks."""
    rank, p = dist.get_rank(), dist.get_world_size()
    family = sim.FAMILIES[name]
    m = 2 * p + 2 if name == "dualpipe-v" else 2 * p + 1
    schedule = family(p, m)
    layers = tuple(1 + (stage == 1) for stage in range(schedule.n_stages))  # uneven
    model = backend.Model(layers, width=16, heads=2, vocabulary=19, sequence=6, dtype=torch.float64)
    stages = backend.transformer_stages(model)
    batch, targets = backend.tokens(model, n_rows=ROWS * m)
    mine = schedule.stages_of[rank]
    extra: dict[str, Any] = {}
    if how == "csv":
        loss = from_csv(schedule, stages, batch, targets)
    else:
        if how == "die" and rank == p - 1:
            stages[mine[0]].register_full_backward_pre_hook(_fail)
        result = run_rank(
            schedule, stages, batch, targets=targets, loss_fn=backend.next_token_loss,
            split="native" if how == "native" else "deferred",
        )  # fmt: skip
        loss = result.loss
        whole = gathered(schedule, result)
        if whole is not None:
            extra = {
                "passes": len(whole.trace.ops),
                "order": [
                    str(sim.Op(*row))
                    for row in whole.trace.ops[["kind", "stage", "microbatch", "slice"]].values
                ],
                "makespan": sim.makespan(whole.trace),
                "peak_bytes": whole.peak_bytes,
            }
    plain = backend.plain_backward(backend.transformer_stages(model), batch, targets=targets)
    gradients = [[parameter.grad for parameter in stages[s].parameters()] for s in mine]
    error = torch.tensor(
        backend.gradient_error(gradients, [plain.gradients[s] for s in mine]), dtype=torch.float64
    )
    dist.all_reduce(error, dist.ReduceOp.MAX)
    return {
        "family": name, "how": how, "m": m, "loss": loss, "reference_loss": plain.loss,
        "error": error.item(), **extra,
    }  # fmt: skip


def _fail(*_: Any) -> None:
    raise RuntimeError("this process was told to die")


def from_csv(schedule: sim.Schedule, stages: Any, batch: Any, targets: Any) -> float:
    """What a user of torch does with our file: torch's runtime, torch's split, `_load_csv`."""
    from torch.distributed.pipelining import schedules

    rank = dist.get_rank()
    shapes = boundary_shapes(stages, batch[:ROWS])

    def example(number: int) -> torch.Tensor:
        shape = shapes[number]
        return torch.empty_like(shape, device="cpu", requires_grad=shape.is_floating_point())

    local = [
        PipelineStage(
            stages[s], s, schedule.n_stages, torch.device("cpu"),
            input_args=(example(s),), output_args=(example(s + 1),),
        )
        for s in schedule.stages_of[rank]
    ]  # fmt: skip
    runtime: Any = schedules._PipelineScheduleRuntime
    runtime = runtime(local, schedule.n_microbatches, loss_fn=backend.next_token_loss)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schedule.csv"
        sim.write_torch_csv(schedule, path)
        runtime._load_csv(str(path))
    losses: list[torch.Tensor] = []
    mine = schedule.stages_of[rank]
    runtime.step(*((batch,) if 0 in mine else ()), target=targets, losses=losses)
    mean = torch.stack(losses).mean().detach() if losses else torch.zeros((), dtype=torch.float64)
    dist.broadcast(mean, src=schedule.placement[-1])
    return mean.item()
