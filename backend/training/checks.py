"""What cannot be trained with a schedule, said before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

from sim import InvalidSchedule, Schedule, mechanisms, validate

from ..stages.split_backward import SPLITS
from ..torch_private.modules import is_compiled
from ..torch_private.runtime import stages_with
from ..torch_private.sharding import reshards
from .recompute import apart_from_backward, rebuilt_units, without_rebuilding


def objection(
    schedule: Schedule, modules: Mapping[int, nn.Module], *, rank: int, n_ranks: int, split: str
) -> str:
    """Why this rank cannot play its part, in one sentence; "" if it can."""
    try:
        validate(schedule)
    except InvalidSchedule as error:
        return " ".join(str(error).split())
    if n_ranks != schedule.n_devices:
        return (
            f"{schedule.name} has {schedule.n_devices} devices, and the group has {n_ranks} "
            "ranks: start as many, or make a schedule for them"
        )
    if schedule.n_slices > 1:
        return (
            f"{schedule.name} has {schedule.n_slices} slices per microbatch, and torch's runtime "
            "knows none: take a family without, or backend.run"
        )
    if lone := apart_from_backward(schedule):
        return (
            f"in {schedule.name} {lone} stands apart from its backward, and torch rebuilds in the "
            "backward alone: recompute with place='late'"
        )
    if beyond := mechanisms(replace(without_rebuilding(schedule), trains=())):
        return f"in {schedule.name} {beyond[0]}, which torch's runtime is not told to do yet"
    if schedule.trains and {*schedule.trains} == {"nothing"}:
        return (
            f"in {schedule.name} no stage trains anything: give the schedule it was made from, "
            "and call eval()"
        )
    if split not in SPLITS:
        return f"split is {split!r}: it must be one of {', '.join(SPLITS)}"
    return _modules_objection(schedule, modules, rank=rank, split=split)


def _modules_objection(
    schedule: Schedule, modules: Mapping[int, nn.Module], *, rank: int, split: str
) -> str:
    if not isinstance(modules, Mapping):
        return f"modules is a {type(modules).__name__}: it must map stages to modules"
    mine = schedule.stages_of[rank]
    if sorted(modules) != sorted(mine):
        return (
            f"modules has stages {sorted(modules)}, and {schedule.name} puts {list(mine)} here: "
            "give exactly those, schedule.stages_of[rank]"
        )
    apart = stages_with(schedule.orders, "W")
    again = {stage for stage, _ in rebuilt_units(schedule)}
    for stage, module in sorted(modules.items()):
        if not isinstance(module, nn.Module):
            return f"stage {stage} is {type(module).__name__}: it must be an nn.Module"
        parallel = _parallel_objection(module)
        if parallel:
            return f"stage {stage} {parallel}"
        if schedule.trains and schedule.trains[stage] == "nothing":
            free = sum(parameter.requires_grad for parameter in module.parameters())
            if free:
                return (
                    f"stage {stage} trains nothing in {schedule.name}, and {free} parameters of "
                    "its module want a gradient: call requires_grad_(False) on it"
                )
        if stage in again and isinstance(module, (DistributedDataParallel, FSDPModule)):
            return (
                f"stage {stage} recomputes in {schedule.name} and is wrapped for data parallelism, "
                "whose hooks a second forward would run again: checkpoint the module inside, and "
                "give the schedule without recompute"
            )
        if stage in again & apart and split == "native":
            return (
                f"stage {stage} recomputes in {schedule.name}, and torch's own split would rebuild "
                "in B and again in W: use split='deferred', or a family without W"
            )
        if stage in apart and isinstance(module, DistributedDataParallel):
            return (
                f"stage {stage} is wrapped in DDP, and {schedule.name} gives it W passes, which "
                "DDP never sees: its gradients would be wrong; use fully_shard, or a family "
                "without W such as 1f1b"
            )
        if stage in apart and split == "native" and reshards(module):
            return (
                f"stage {stage} is sharded again after its forward, and torch's own split finds no "
                "weights then: their gradients would be missing; use split='deferred', or "
                "fully_shard(..., reshard_after_forward=False)"
            )
        if stage in apart and split == "native" and _compiled(module):
            return (
                f"stage {stage} is compiled, and torch's own split would run its whole backward in "
                "B and again in W: use split='deferred', or a family without W"
            )
    return ""


def _parallel_objection(module: nn.Module) -> str:
    inside: list[Any] = [m for m in module.modules() if m is not module]
    if any(isinstance(m, DistributedDataParallel) for m in inside):
        return "has DDP inside: wrap the whole stage"
    if any(type(m).__name__ == "FullyShardedDataParallel" for m in (module, *inside)):
        return (
            "uses FullyShardedDataParallel, which torch's runtime does not drive: use fully_shard"
        )
    if not isinstance(module, FSDPModule) and any(isinstance(m, FSDPModule) for m in inside):
        return (
            "has fully_shard inside and not around it, so torch's runtime would not drive it: "
            "call fully_shard on the stage, too"
        )
    return ""


def _compiled(module: nn.Module) -> bool:
    return any(is_compiled(m) for m in module.modules())
