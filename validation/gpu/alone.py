"""A rank of a pipeline alone on a device: all it does, in its order, and no message arrives.

torch's process group "fake" takes every message and brings none, so one GPU can visit each rank of
a pipeline of many in turn. What is computed is nonsense; how long it takes and how much it needs is
not, as long as no pass depends on what it is given.
"""

from __future__ import annotations

import time
from typing import Any

import torch

import backend
from backend.ranks.run import run_rank
from backend.torch_private.process_group import fake_group
from backend.torch_private.runtime import trust_shapes

from .processes import reason
from .setting import Place, Setting
from .torch_classes import compared, torchs_own


def classes_alone(setting: Setting, place: Place) -> list[dict[str, Any]]:
    """A row per class and rank, as `torch_classes.classes_together`: one process plays all ranks of
    `setting.n_devices` in turn."""
    if setting.device == "cpu":
        torch.set_num_threads(1)
    rows = []
    for name in setting.classes:
        for rank in range(setting.n_devices):
            row: dict[str, Any] = {"class": name, "ranks": setting.n_devices, "rank": rank}
            with fake_group(rank, setting.n_devices):
                try:
                    row |= _compared(name, setting)
                except Exception as error:
                    row["error"] = reason(error)
            rows.append(row)
    return rows


def _compared(name: str, setting: Setting) -> dict[str, float]:
    work, rounds = setting.workload, setting.class_rounds
    theirs, batch, targets = torchs_own(name, work, setting.n_microbatches)
    trust_shapes(theirs.runtime)
    stages = work.stages(theirs.schedule.n_stages)
    ours = run_rank(
        theirs.schedule, stages, batch, targets=targets, loss_fn=backend.next_token_loss,
        warm_up=2, steps=rounds,
    )  # fmt: skip
    seconds = []
    for _ in range(rounds + 2):
        begin = time.perf_counter()
        theirs.step()
        if batch.is_cuda:
            torch.cuda.synchronize(batch.device)
        seconds.append(time.perf_counter() - begin)
    mine = [steps[-1].end - begun for steps, begun in zip(ours.steps, ours.begun, strict=True)]
    return compared(list(zip(seconds[2:], mine, strict=True)))
