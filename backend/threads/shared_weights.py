"""Weights that several devices have: each device gets a gradient of its own.

They are shared between stages, or a stage has copies on several devices, as in two directions. Two
workers must not add to one `.grad` at a time. As on real machines, every device after the first
works on its own copy of the weight (here: another name for the same memory), and the
gradients are added up at the end.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn


class Alias(NamedTuple):
    """A parameter, and the one with the same memory that another device uses in its place."""

    original: nn.Parameter
    alias: nn.Parameter


def separated(
    stages: Sequence[nn.Module], placements: Sequence[Sequence[int]]
) -> tuple[dict[tuple[int, int], nn.Module], list[Alias]]:
    """The stages by (device, number), such that no two devices share a parameter object, and the
    aliases in them.

    placements: devices of the stages, shape `(n_placements, n_stages)`. Stages that share nothing
    come back as they are; the others as copies whose parameters and buffers use the same memory. A
    copy's forward hooks are copies too.
    """
    homes = [(device, stage) for places in placements for stage, device in enumerate(places)]
    owner: dict[int, int] = {}
    for device, stage in homes:
        for parameter in stages[stage].parameters():
            owner.setdefault(id(parameter), device)
    found: dict[tuple[int, int], nn.Module] = {}
    aliases: dict[tuple[int, int], Alias] = {}
    for device, stage in dict.fromkeys(homes):
        module = stages[stage]
        shared = [p for p in module.parameters() if owner[id(p)] != device]
        for parameter in shared:
            key = device, id(parameter)
            if key not in aliases:
                alias = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
                aliases[key] = Alias(parameter, alias)
        if not shared:
            found[device, stage] = module
            continue
        memo: dict[int, Any] = {id(tensor): tensor for tensor in module.buffers()}
        for parameter in module.parameters():
            memo[id(parameter)] = (
                parameter
                if owner[id(parameter)] == device
                else aliases[device, id(parameter)].alias
            )
        found[device, stage] = copy.deepcopy(module, memo)
    return found, list(aliases.values())


@torch.no_grad()
def sum_gradients(aliases: Sequence[Alias]) -> None:
    """Adds the gradients of the aliases to those of the originals."""
    for original, alias in aliases:
        if alias.grad is not None:
            if original.grad is None:
                original.grad = torch.zeros_like(original)
            original.grad += alias.grad
