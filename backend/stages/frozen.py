"""Stages that train nothing, and stages that train adapters beside frozen weights.

y = W x                frozen: W has no gradient, x may have one
y = W x + U (D x)      adapted: D and U, of a low rank, are trained instead of W
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .weight_gradients import trainable


@contextmanager
def untrained(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, no parameter of `modules` wants a gradient; afterwards those do that did before."""
    held = [parameter for module in modules for parameter in trainable(module)]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


def adapted(module: nn.Module, *, rank: int = 2, seed: int = 0) -> nn.Module:
    """`module` with its weights frozen and a low-rank pair beside every linear layer, in place.

    rank: of the pairs, at least 1. Both matrices of a pair are drawn from `seed`, so that all
    gradients say something; LoRA (Hu et al. 2021, arXiv 2106.09685) starts from an upper one of
    zeros instead. A module without linear layers is only frozen. ValueError for a rank below 1.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}: it must be at least 1")
    module.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear and not isinstance(parent, Adapted):
                setattr(parent, name, Adapted(child, rank, generator))
    return module


class Adapted(nn.Module):
    """A frozen linear layer, and a low-rank pair that is trained in its place."""

    def __init__(self, layer: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        for part in (self.down, self.up):
            drawn = torch.randn(part.weight.shape, generator=generator) / part.in_features**0.5
            part.weight = nn.Parameter(drawn.to(layer.weight))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x) + self.up(self.down(x))
        return y


def wholly_trained(modules: Sequence[nn.Module]) -> list[int]:
    """The places of the modules with parameters that all want a gradient."""
    return [
        place
        for place, module in enumerate(modules)
        if (held := list(module.parameters())) and all(p.requires_grad for p in held)
    ]
