"""A training loop under any schedule, one process per pipeline device.

torchrun --nproc-per-node 4 docs/examples/train.py v-half
"""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from model import batch, loss_fn, stages

import backend
import sim


def main(family: str = "v-half", steps: int = 3) -> list[float]:
    """The loss of every step, the same on every rank."""
    rank, p = dist.get_rank(), dist.get_world_size()
    schedule = sim.FAMILIES[family](p, 2 * p)
    everything = stages(schedule.n_stages)  # of a large model, build only those of this rank
    mine = {stage: everything[stage] for stage in schedule.stages_of[rank]}
    pipe = backend.torch_schedule(schedule, mine, loss_fn)
    weights = [weight for module in mine.values() for weight in module.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1e-2)
    losses = []
    for step in range(steps):
        x, y = batch(4 * p, step)
        optimizer.zero_grad()
        loss = pipe.step(x, target=y)  # adds to .grad: call it again to accumulate
        pipe.clip_grad_norm_(1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    dist.init_process_group("gloo")
    print(*main(sys.argv[1] if len(sys.argv) > 1 else "v-half"))
    dist.destroy_process_group()
