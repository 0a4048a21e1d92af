"""What torch's pipeline runtime can run, and the shapes it has to be told before it runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sim import Schedule, mechanisms, validate


def require_runnable(
    schedule: Schedule, stages: Sequence[nn.Module], batch: Tensor, *, n_processes: int
) -> None:
    """ValueError that says why if torch's runtime cannot run `schedule` on so many processes.

    stages: modules of all stages. batch: the whole batch, rows first.
    """
    validate(schedule)
    if beyond := mechanisms(schedule):
        raise ValueError(f"in {schedule.name} {beyond[0]}, which the torch engine cannot do yet")
    if n_processes != schedule.n_devices:
        raise ValueError(
            f"{schedule.name} has {schedule.n_devices} devices, but {n_processes} processes run: "
            f"start torchrun with --nproc-per-node {schedule.n_devices}"
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


def boundary_shapes(stages: Sequence[nn.Module], example: Tensor) -> list[Tensor]:
    """What enters each stage, and leaves the last, as tensors without data: `(n_stages + 1,)`.

    example: one microbatch. Raises ValueError for a stage that returns anything but one tensor.
    """
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
