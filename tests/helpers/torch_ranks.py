"""Some processes that play schedules through torch's runtime and compare gradients.

A case is written FAMILY:HOW. HOW is csv (torch's runtime reads our file), deferred or native (our
engine, either split), or die (the last process raises in the middle of a pass).

`found` runs cases in processes forked from one that has imported torch already. Under torchrun,

    torchrun --nproc-per-node 2 tests/helpers/torch_ranks.py FAMILY:HOW ...

prints one JSON object per case.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
import tempfile
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.pipelining import PipelineStage

import backend
import sim
from backend.ranks.checks import boundary_shapes
from backend.ranks.gather import gathered
from backend.ranks.process_group import process_group
from backend.ranks.run import run_rank
from backend.torch_private import checked_torch

ROWS = 2
PRELOADED = ["pandas", "torch", "torch.distributed.pipelining"]


def found(p: int, *cases: str) -> list[dict[str, Any]]:
    """What each case gave on `p` processes; AssertionError with the traceback of a failed one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    ends, ranks = [], []
    for rank in range(p):
        end, theirs = context.Pipe(duplex=False)
        ends.append(end)
        arguments = rank, p, port, cases, theirs
        ranks.append(context.Process(target=_rank, args=arguments, daemon=True))
        ranks[-1].start()
        theirs.close()
    told = [end.recv() for end in ends]
    for process in ranks:
        process.join()
    assert not any(isinstance(one, str) for one in told), told
    results: list[dict[str, Any]] = told[0]
    return results


def _rank(rank: int, p: int, port: int, cases: tuple[str, ...], end: Connection) -> None:
    """One process, as torchrun would have started it."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(p)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    try:
        end.send(_played(cases))
    except BaseException:
        end.send(traceback.format_exc())


def _played(cases: tuple[str, ...]) -> list[dict[str, Any]]:
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
            stages[mine[0]].register_forward_hook(_fail)
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


if __name__ == "__main__":
    results = _played(tuple(sys.argv[1:]))
    if os.environ["RANK"] == "0":
        print(*map(json.dumps, results), sep="\n", flush=True)
