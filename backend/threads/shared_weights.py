"""Weights that stages on different devices share: each device gets a gradient of its own.

Two workers must not add to one `.grad` at a time. As on real machines, every device after the
first works on its own copy of the weight (here: another name for the same memory), and the
gradients are added up at the end.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn


class Alias(NamedTuple):
    """A parameter and the stand-in that another device uses for it."""

    original: nn.Parameter
    stand_in: nn.Parameter


def separated(
    stages: Sequence[nn.Module], placement: Sequence[int]
) -> tuple[list[nn.Module], list[Alias]]:
    """The stages such that no two devices share a parameter object, and the stand-ins in them.

    Stages that share nothing come back as they are; the others as copies whose parameters and
    buffers use the same memory. A copy's forward hooks are copies too.
    """
    owner: dict[int, int] = {}
    for module, device in zip(stages, placement, strict=True):
        for parameter in module.parameters():
            owner.setdefault(id(parameter), device)
    found: list[nn.Module] = []
    stand_ins: dict[tuple[int, int], Alias] = {}
    for module, device in zip(stages, placement, strict=True):
        shared = [p for p in module.parameters() if owner[id(p)] != device]
        for parameter in shared:
            key = device, id(parameter)
            if key not in stand_ins:
                twin = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
                stand_ins[key] = Alias(parameter, twin)
        if not shared:
            found.append(module)
            continue
        memo: dict[int, Any] = {id(tensor): tensor for tensor in module.buffers()}
        for parameter in module.parameters():
            memo[id(parameter)] = (
                parameter
                if owner[id(parameter)] == device
                else stand_ins[device, id(parameter)].stand_in
            )
        found.append(copy.deepcopy(module, memo))
    return found, list(stand_ins.values())


@torch.no_grad()
def add_up(aliases: Sequence[Alias]) -> None:
    """Adds the gradients of the stand-ins to those of the originals."""
    for original, stand_in in aliases:
        if stand_in.grad is not None:
            if original.grad is None:
                original.grad = torch.zeros_like(original)
            original.grad += stand_in.grad
