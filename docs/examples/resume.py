"""Saved under one schedule, resumed under another: weights are called by layer, not by stage.

torchrun --nproc-per-node 2 docs/examples/resume.py v-half 1f1b
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import torch
import torch.distributed as dist
from model import batch, loss_fn, stages
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

import backend
import sim

FLAT = StateDictOptions(flatten_optimizer_state_dict=True)  # by weight, not by number


def setup(family: str) -> tuple[Any, nn.Module, torch.optim.Optimizer]:
    rank, p = dist.get_rank(), dist.get_world_size()
    schedule = sim.FAMILIES[family](p, 2 * p)
    everything = stages(schedule.n_stages)
    mine = {stage: everything[stage] for stage in schedule.stages_of[rank]}
    pipe = backend.torch_schedule(schedule, mine, loss_fn)
    layers = nn.ModuleDict(
        {name: layer for module in mine.values() for name, layer in module.named_children()}
    )
    return pipe, layers, torch.optim.AdamW(layers.parameters(), lr=1e-2)


def trained(pipe: Any, optimizer: torch.optim.Optimizer, steps: range) -> list[float]:
    losses = []
    for step in steps:
        x, y = batch(8, step)
        optimizer.zero_grad()
        losses.append(pipe.step(x, target=y).item())
        pipe.clip_grad_norm_(1.0)
        optimizer.step()
    return losses


def main(first: str = "v-half", then: str = "1f1b") -> tuple[list[float], str]:
    """The losses of two steps under each schedule, and which schedule wrote the checkpoint."""
    folder: list[Any] = [tempfile.mkdtemp()]
    dist.broadcast_object_list(folder)
    pipe, layers, optimizer = setup(first)
    losses = trained(pipe, optimizer, range(2))
    weights, moments = get_state_dict(layers, optimizer, options=FLAT)
    save({"model": weights, "optimizer": moments, **pipe.state()}, checkpoint_id=folder[0])

    pipe, layers, optimizer = setup(then)
    weights, moments = get_state_dict(layers, optimizer, options=FLAT)
    state = {"model": weights, "optimizer": moments, **pipe.state()}
    load(state, checkpoint_id=folder[0])
    set_state_dict(
        layers, optimizer, model_state_dict=weights, optim_state_dict=moments, options=FLAT
    )
    return losses + trained(pipe, optimizer, range(2, 4)), str(state["schedule"])


if __name__ == "__main__":
    dist.init_process_group("gloo")
    print(*main(*sys.argv[1:3]))
    dist.destroy_process_group()
