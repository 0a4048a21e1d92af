"""The reference of every engine: the whole batch through all stages, and one plain backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .batches import Batch, pieces
from .stage import Loss
from .transformer import next_token_loss

Gradients = list[list[Tensor | None]]


class PlainResult(NamedTuple):
    """loss: mean over the batch. gradients: per stage, in the order of its parameters."""

    loss: float
    gradients: Gradients


def plain_backward(
    stages: Sequence[nn.Module],
    batch: Batch,
    *,
    targets: Batch | None = None,
    loss_fn: Loss = next_token_loss,
) -> PlainResult:
    """Loss and gradients in one go: no microbatches, no split, no pipeline.

    stages: in order; each takes what the one before returns. batch, targets: rows first; targets
    may be None where `loss_fn` needs none; lists of them, one entry per microbatch, add up to one
    loss, see `batches.pieces`. loss_fn: (output, targets) -> mean loss.

    The `.grad` of the parameters is the same afterwards as before.
    """
    kept = gradients_of(stages)
    for module in stages:
        module.zero_grad(set_to_none=True)
    try:
        if isinstance(batch, Tensor):
            loss = loss_fn(_output(stages, batch), targets)
        else:
            parts = pieces(batch, targets, n_microbatches=len(batch), n_slices=1).values()
            each = [loss_fn(_output(stages, one.input), one.target) * one.share for one in parts]
            loss = torch.stack(each).sum()
        if loss.requires_grad:  # not where all stages are frozen
            loss.backward()  # type: ignore[no-untyped-call]
        return PlainResult(loss.double().item(), gradients_of(stages))
    finally:
        for module, saved in zip(stages, kept, strict=True):
            for parameter, gradient in zip(module.parameters(), saved, strict=True):
                parameter.grad = gradient


def _output(stages: Sequence[nn.Module], rows: Tensor) -> Tensor:
    found: object = rows
    for module in stages:
        found = module(*found) if isinstance(found, tuple) else module(found)
    output = found[0] if isinstance(found, tuple) else found
    assert isinstance(output, Tensor)
    return output


def gradients_of(stages: Sequence[nn.Module]) -> Gradients:
    """The `.grad` of all parameters, per stage, in their order."""
    return [[parameter.grad for parameter in module.parameters()] for module in stages]


def gradient_error(found: Gradients, expected: Gradients) -> float:
    """The largest deviation of any entry, relative to the largest entry of its own parameter.

    found, expected: per stage, in the order of its parameters; None counts as zeros. Infinity where
    a number is not one, or where zeros were expected.
    """
    worst = 0.0
    for mine, theirs in zip(found, expected, strict=True):
        for one, other in zip(mine, theirs, strict=True):
            if one is None and other is None:
                continue
            some = one if one is not None else other
            assert some is not None
            a = torch.zeros_like(some) if one is None else one
            b = torch.zeros_like(some) if other is None else other
            gap, scale = (a - b).abs().max().item(), b.abs().max().item()
            if gap == gap and gap <= 1e-30:
                continue
            error = gap / scale if scale else float("inf")
            worst = max(worst, error if error == error else float("inf"))
    return worst
