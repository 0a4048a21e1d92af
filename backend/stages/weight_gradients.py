"""Gradients of weights: zeros to begin with, and W, which adds what B has put aside.

weight.grad += gy^T @ x          of one microbatch, or of several concatenated
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from .split_rules import LINEAR, PRODUCT, Rule


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


class Weight(NamedTuple):
    """Where a weight gradient goes: a parameter, or a view or another type of one.

    parameter: as it was in the forward pass, which with FSDP is the gathered one. edge: of the
    graph from there, where the operation took something made of it; None where it took itself.
    shape: of what the operation took.
    """

    parameter: Tensor
    edge: GradientEdge | None
    shape: torch.Size


class Contribution(NamedTuple):
    """One use of one weight: what its gradient will be computed from."""

    rule: Rule
    weight: Weight
    bias: Tensor | None
    input: Tensor
    gradient: Tensor
    rest: tuple[Any, ...] = ()


@torch.no_grad()
def accumulate(contributions: Iterable[Contribution]) -> None:
    """W: adds the weight gradients to `.grad`, one kernel per weight where its rule allows.

    All contributions of a weight are concatenated first, whether they come from one microbatch or
    several: 2BP's weight pass over many microbatches is a call with the contributions of them all.
    """
    grouped: dict[Any, list[Contribution]] = {}
    for number, entry in enumerate(contributions):
        joined = entry.rule.joins and entry.weight.edge is None
        key = (entry.rule.name, id(entry.weight.parameter), entry.rest) if joined else number
        grouped.setdefault(key, []).append(entry)
    for group in grouped.values():
        _accumulate(group)


def _accumulate(group: list[Contribution]) -> None:
    rule, weight, bias, x, gradient, rest = group[0]
    if len(group) > 1:
        width = () if rule.name == "embedding" else (x.shape[-1],)
        x = torch.cat([entry.input.reshape(-1, *width) for entry in group])
        gradient = torch.cat([entry.gradient.reshape(-1, gradient.shape[-1]) for entry in group])
    if bias is not None and bias.requires_grad:
        _add(bias, gradient.reshape(-1, gradient.shape[-1]).sum(0))
    if weight.edge is not None:
        found = rule.weight_gradient(gradient, x, weight.shape, *rest)
        torch.autograd.backward([weight.edge], [found])
        return
    kept = weight.parameter.grad
    plain = kept is not None and kept.dtype == gradient.dtype == x.dtype
    if plain and kept is not None and rule in (LINEAR, PRODUCT):
        rows, wide = (t.reshape(-1, t.shape[-1]) for t in (gradient, x))
        kept.addmm_(*((rows.t(), wide) if rule is LINEAR else (wide.t(), rows)))
    else:
        _add(weight.parameter, rule.weight_gradient(gradient, x, weight.shape, *rest))


def _add(parameter: Tensor, gradient: Tensor) -> None:
    if parameter.grad is None:
        parameter.grad = gradient.to(parameter.dtype)
    else:
        parameter.grad += gradient.to(parameter.grad.dtype)
