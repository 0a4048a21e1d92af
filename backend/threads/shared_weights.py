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
    """A parameter, and the one with the same memory that another device uses in its place."""

    original: nn.Parameter
    alias: nn.Parameter


def separated(
    stages: Sequence[nn.Module], placement: Sequence[int]
) -> tuple[list[nn.Module], list[Alias]]:
    """The stages such that no two devices share a parameter object, and the aliases in them.

    Stages that share nothing come back as they are; the others as copies whose parameters and
    buffers use the same memory. A copy's forward hooks are copies too.
    """
    owner: dict[int, int] = {}
    for module, device in zip(stages, placement, strict=True):
        for parameter in module.parameters():
            owner.setdefault(id(parameter), device)
    found: list[nn.Module] = []
    aliases: dict[tuple[int, int], Alias] = {}
    for module, device in zip(stages, placement, strict=True):
        shared = [p for p in module.parameters() if owner[id(p)] != device]
        for parameter in shared:
            key = device, id(parameter)
            if key not in aliases:
                alias = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
                aliases[key] = Alias(parameter, alias)
        if not shared:
            found.append(module)
            continue
        memo: dict[int, Any] = {id(tensor): tensor for tensor in module.buffers()}
        for parameter in module.parameters():
            memo[id(parameter)] = (
                parameter
                if owner[id(parameter)] == device
                else aliases[device, id(parameter)].alias
            )
        found.append(copy.deepcopy(module, memo))
    return found, list(aliases.values())


@torch.no_grad()
def sum_gradients(aliases: Sequence[Alias]) -> None:
    """Adds the gradients of the aliases to those of the originals."""
    for original, alias in aliases:
        if alias.grad is not None:
            if original.grad is None:
                original.grad = torch.zeros_like(original)
            original.grad += alias.grad
