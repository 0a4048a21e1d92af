"""How much of the work on weight gradients cannot be split off, in FLOPs of torch's counter.

Two backward passes of one microbatch are counted: with the matrices that stay in B, and with them
frozen. What the second saves is theirs; what was put aside is counted by computing it. Nothing is
added to any gradient.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..torch_private.graph import tree_leaves
from .split_backward import Deferral, unsplit_matrices
from .weight_gradients import trainable


def unsplit_share(
    module: nn.Module, deferral: Deferral, inputs: Sequence[Tensor], keywords: dict[str, Any]
) -> float | None:
    """The share of the FLOPs of weight gradients that B computes, 0 to 1; None if the counter does
    not know them.

    inputs, keywords: what the stage is called with for one microbatch.
    """
    held = unsplit_matrices(module, deferral)
    whole, aside = _counted(module, deferral, inputs, keywords)
    with _frozen(held):
        rest, _ = _counted(module, deferral, inputs, keywords)
    own = whole - rest
    return own / (own + aside) if own > 0 else None


def _counted(
    module: nn.Module, deferral: Deferral, inputs: Sequence[Tensor], keywords: dict[str, Any]
) -> tuple[int, int]:
    """FLOPs of a backward pass, and of what it puts aside."""
    leaves = [x.detach().requires_grad_(x.is_floating_point()) for x in inputs]
    found = tree_leaves(module(*leaves, **keywords))
    outputs = [out for out in found if isinstance(out, Tensor) and out.requires_grad]
    wanted = [*trainable(module), *(leaf for leaf in leaves if leaf.requires_grad)]
    if not outputs or not wanted:
        return 0, 0
    ones = [torch.ones_like(out) for out in outputs]
    with (
        torch.autograd.set_multithreading_enabled(False),
        FlopCounterMode(display=False) as backward,
    ):
        torch.autograd.grad(outputs, wanted, ones, allow_unused=True)
    with torch.no_grad(), FlopCounterMode(display=False) as later:
        for entry in deferral.take():
            entry.rule.weight_gradient(entry.gradient, entry.input, entry.weight.shape, *entry.rest)
    return int(backward.get_total_flops()), int(later.get_total_flops())


@contextlib.contextmanager
def _frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
