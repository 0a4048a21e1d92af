"""Gradients of weights: zeros to begin with, and W, which adds what B has put aside.

weight.grad += gy^T @ x          of one microbatch, or of several concatenated
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn


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


class Contribution(NamedTuple):
    """One use of one module: what its weight gradient will be computed from."""

    module: nn.Module
    input: Tensor
    gradient: Tensor


@torch.no_grad()
def accumulate(contributions: Iterable[Contribution]) -> None:
    """W: adds the weight gradients to `.grad`, one kernel per module.

    All contributions of a module are concatenated first, whether they come from one microbatch or
    several: 2BP's weight pass over many microbatches is a call with the contributions of them all.
    """
    by_module: dict[int, list[Contribution]] = {}
    for contribution in contributions:
        by_module.setdefault(id(contribution.module), []).append(contribution)
    for group in by_module.values():
        layer = group[0].module
        if isinstance(layer, nn.Embedding):
            _accumulate_embedding(layer, group)
        elif isinstance(layer, nn.Linear):
            _accumulate_linear(layer, group)


def _accumulate_linear(layer: nn.Linear, group: list[Contribution]) -> None:
    x = _joined([entry.input.reshape(-1, entry.input.shape[-1]) for entry in group])
    gradient = _joined([entry.gradient.reshape(-1, entry.gradient.shape[-1]) for entry in group])
    weight, bias = layer.weight, layer.bias
    if weight.grad is not None and weight.grad.dtype == gradient.dtype == x.dtype:
        weight.grad.addmm_(gradient.t(), x)
    else:
        _add(weight, gradient.t() @ x.to(gradient.dtype))
    if bias is not None and bias.requires_grad:
        _add(bias, gradient.sum(0))


def _accumulate_embedding(layer: nn.Embedding, group: list[Contribution]) -> None:
    ids = _joined([entry.input.reshape(-1) for entry in group])
    gradient = _joined([entry.gradient.reshape(-1, layer.embedding_dim) for entry in group])
    padding = -1 if layer.padding_idx is None else layer.padding_idx
    dense = torch.ops.aten.embedding_dense_backward(
        gradient, ids, layer.num_embeddings, padding, False
    )
    _add(layer.weight, dense)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _add(parameter: Tensor, gradient: Tensor) -> None:
    if parameter.grad is None:
        parameter.grad = gradient.to(parameter.dtype)
    else:
        parameter.grad += gradient.to(parameter.grad.dtype)
