"""The gradients of a module's parameters: which want one, and zeros to add to."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of `module` that want a gradient."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def zero_gradients(modules: Iterable[nn.Module]) -> None:
    """Gradients of zero, in memory that stays: passes only ever add to them."""
    for module in modules:
        for parameter in trainable(module):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            else:
                parameter.grad.detach_().zero_()
