"""The same with sharded weights (FSDP2), activation checkpointing and accumulation: 2 x 2 ranks.

torchrun --nproc-per-node 4 docs/examples/train_sharded.py v-half
"""

from __future__ import annotations

import functools
import sys

import torch
import torch.distributed as dist
from model import Block, batch, loss_fn, stages
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils.checkpoint import checkpoint

import backend
import sim

PIPELINES, BATCHES = 2, 2


def main(family: str = "v-half", steps: int = 3) -> list[float]:
    """The loss of every batch, the mean over both pipelines."""
    p = dist.get_world_size() // PIPELINES
    mesh = init_device_mesh("cpu", (p, PIPELINES), mesh_dim_names=("pipeline", "data"))
    rank, replica = mesh["pipeline"].get_local_rank(), mesh["data"].get_local_rank()
    schedule = sim.FAMILIES[family](p, 2 * p)
    everything = stages(schedule.n_stages)
    mine = {stage: everything[stage] for stage in schedule.stages_of[rank]}
    for module in mine.values():
        for block in module.children():
            if isinstance(block, Block):
                run = functools.partial(checkpoint, block.forward, use_reentrant=False)
                block.forward = run  # type: ignore[method-assign]
                fully_shard(block, mesh=mesh["data"])
        fully_shard(module, mesh=mesh["data"])  # the stage itself, too: the runtime drives it
    pipe = backend.torch_schedule(schedule, mine, loss_fn, group=mesh["pipeline"].get_group())
    weights = [weight for module in mine.values() for weight in module.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        for part in range(BATCHES):
            x, y = batch(8 * p, step * BATCHES + part)
            rows = slice(replica, None, PIPELINES)
            loss = pipe.step(x[rows], target=y[rows])
            dist.all_reduce(loss, group=mesh["data"].get_group())
            losses.append(loss.item() / PIPELINES)
        pipe.clip_grad_norm_(1.0)
        optimizer.step()
    return losses


if __name__ == "__main__":
    dist.init_process_group("gloo")
    print(*main(sys.argv[1] if len(sys.argv) > 1 else "v-half"))
    dist.destroy_process_group()
