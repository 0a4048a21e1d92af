"""The last stage without its output layer, and that layer in parts: see `vocabulary`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .frozen import Adapted
from .vocabulary import Part


class Ending(nn.Module):
    """Stands where the output layer was, and returns what that would have got."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return x


class Body(nn.Module):
    """A last stage that ends where its output layer began; TypeError if it goes on after it."""

    def __init__(self, module: nn.Module, ending: Ending) -> None:
        super().__init__()
        self.module, self.ending = module, ending

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        found = self.module(*inputs, **options)
        seen, self.ending.seen = self.ending.seen, None
        if seen is None or found is not seen:
            raise TypeError(
                "the last stage goes on after its last linear layer: where all devices share the "
                "vocabulary it must return what that layer returns"
            )
        return seen


@contextmanager
def cut(
    stages: Sequence[nn.Module], n_parts: int, barriers: int
) -> Iterator[tuple[list[nn.Module], list[Part]]]:
    """Inside, the last of `stages` ends before its output layer, its last linear layer, which comes
    in `n_parts` parts of as equal sizes as they can be; afterwards it is whole, and `.grad` of its
    parameters is put together from theirs.

    ValueError where it has none, or fewer rows than there are parts, or an adapter beside it.
    """
    parent, name = _place(stages[-1])
    head: Any = parent.get_submodule(name) if parent else stages[-1]
    if len(head.weight) < n_parts:
        raise ValueError(
            f"the output layer has {len(head.weight)} rows for {n_parts} devices that share the "
            "vocabulary: give each at least one"
        )
    ending, parts = Ending(), _parts(head, n_parts, barriers)
    try:
        if parent:
            setattr(parent, name, ending)
        body = Body(stages[-1] if parent else ending, ending)
        held = {
            id(parameter) for module in (*stages[:-1], body) for parameter in module.parameters()
        }
        for parameter in head.parameters():
            if id(parameter) not in held:
                parameter.grad = None
        yield [*stages[:-1], body], parts
        _put_together(head, parts)
    finally:
        if parent:
            setattr(parent, name, head)


def _place(module: nn.Module) -> tuple[nn.Module | None, str]:
    """Where in `module` its last linear layer is: what holds it, and by which name; None where the
    module itself is that layer."""
    if type(module) is nn.Linear:
        return None, ""
    found: tuple[nn.Module | None, str] = None, ""
    for parent in module.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                found = parent, name
    if found[0] is None:
        raise ValueError(
            f"the last stage ({type(module).__name__}) has no linear layer: where all devices "
            "share the vocabulary, it ends with one, which is cut into parts"
        )
    if isinstance(found[0], Adapted):
        raise ValueError(
            "the last linear layer of the last stage is an adapter, which cannot be cut along the "
            "vocabulary: leave the output layer without one"
        )
    return found


def _parts(head: nn.Linear, n_parts: int, barriers: int) -> list[Part]:
    """Every part with further names for its rows of the memory of `head`."""
    found, first = [], 0
    biases = [None] * n_parts if head.bias is None else [*head.bias.detach().tensor_split(n_parts)]
    for number, rows in enumerate(head.weight.detach().tensor_split(n_parts)):
        bias = biases[number]
        found.append(
            Part(
                number,
                first=first,
                weight=nn.Parameter(rows, requires_grad=head.weight.requires_grad),
                bias=None if bias is None else nn.Parameter(bias, head.bias.requires_grad),
                barriers=barriers,
            )
        )
        first += len(rows)
    return found


@torch.no_grad()
def _put_together(head: nn.Linear, parts: Sequence[Part]) -> None:
    """Adds the gradients of the parts to that of the whole layer, which another stage may share."""
    for name, parameter in head.named_parameters():
        grads = [getattr(part, name).grad for part in parts]
        if all(grad is not None for grad in grads):
            whole = torch.cat(grads)
            parameter.grad = whole if parameter.grad is None else parameter.grad + whole
