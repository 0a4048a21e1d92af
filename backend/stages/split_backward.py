"""Splitting the backward pass: B computes input gradients now, W the weight gradients later.

    forward   x ──► Linear ──► y
    B         gx ◄─ gy @ weight ◄── gy         and (x, gy) is put aside
    W         weight.grad += gy^T @ x          whenever the schedule says so

`defer` swaps the forward of every `nn.Linear` and `nn.Embedding` inside any module for one whose
backward puts (input, output gradient) aside; `weight_gradients.accumulate` does the rest. Gradients
are exactly those of autograd. All other parameters get their gradient in B, as usual: cheap for
norms and other vectors; for matrices in modules that cannot be split (convolutions, attention
written with raw parameters, ...) `unsplit` names them, and their W has nothing left to do.

Left alone, because deferring would change what they compute: modules whose weight is frozen,
parametrized, or has hooks; embeddings that are sparse, renormalised or scaled by frequency;
compiled modules.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ..torch_private import has_hooks, is_compiled, own_weight
from .weight_gradients import Contribution, accumulate

Split = Literal["deferred", "native"]
"""How the backward is split: as above, or by torch's own means (see `torch_private.input_pass`)."""
SPLITS: tuple[Split, ...] = get_args(Split)


class Deferral:
    """The swapped modules of one device and what their backward passes have put aside.

    at_once: compute weight gradients inside the backward pass instead: a fused BW.
    """

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []
        self.at_once = False
        self._aside: list[Contribution] = []

    def put(self, contribution: Contribution) -> None:
        """Called by the swapped modules during a backward pass."""
        if self.at_once:
            accumulate((contribution,))
        else:
            self._aside.append(contribution)

    def take(self) -> tuple[Contribution, ...]:
        """Everything put aside since the last call: right after a B, that is what its W needs."""
        taken, self._aside = tuple(self._aside), []
        return taken


def defer(*modules: nn.Module) -> Deferral:
    """Swaps the linear and embedding layers inside `modules`, in place; `restore` undoes it.

    One deferral serves all stages of a device, which run one after the other.
    """
    deferral = Deferral()
    for module in modules:
        for layer in _layers(module):
            forward = _FORWARDS.get(type(layer))
            if forward and "forward" not in vars(layer) and _deferrable(layer):
                vars(layer)["forward"] = functools.partial(forward, layer, deferral)
                deferral.modules.append(layer)
    return deferral


def restore(deferral: Deferral) -> None:
    """Gives the swapped modules their own forward back."""
    for layer in deferral.modules:
        vars(layer).pop("forward", None)
    deferral.modules.clear()


@contextmanager
def deferred(*modules: nn.Module) -> Iterator[Deferral]:
    """`defer` for the length of a `with` block."""
    deferral = defer(*modules)
    try:
        yield deferral
    finally:
        restore(deferral)


def unsplit(module: nn.Module, deferral: Deferral) -> tuple[str, ...]:
    """Names of the modules in `module` that hold a matrix whose gradient is computed in B."""
    later = {id(weight) for layer in deferral.modules for weight in layer.parameters()}
    found: dict[str, None] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter.ndim > 1 and id(parameter) not in later:
            owner = module.get_submodule(name.rpartition(".")[0])
            found[type(owner).__name__] = None
    return tuple(found)


def warn_unsplit(names: Iterable[str]) -> None:
    """One warning that names what runs its whole backward in B; none if there is nothing."""
    if kinds := sorted(set(names)):
        warnings.warn(
            f"{', '.join(kinds)}: weights here cannot be split off, so B computes their gradients "
            "and W has nothing to do for them; give B their time in the costs",
            stacklevel=3,
        )


class _DeferredLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: nn.Linear, to: Deferral) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.layer, ctx.to = layer, to
        return functional.linear(x, weight, layer.bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, weight = ctx.saved_tensors  # once: with checkpointing, this recomputes the block
        ctx.to.put(Contribution(ctx.layer, x.detach(), gradient))  # its graph can go now
        wanted = ctx.needs_input_grad[0]
        return (gradient @ weight.to(gradient.dtype)).to(x.dtype) if wanted else None, *_NONE


class _DeferredEmbedding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, layer: nn.Embedding, to: Deferral) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.layer, ctx.to = layer, to
        return functional.embedding(ids, weight, layer.padding_idx)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (ids,) = ctx.saved_tensors
        ctx.to.put(Contribution(ctx.layer, ids, gradient))
        return None, *_NONE


_NONE = (None, None, None)


def _linear(layer: nn.Linear, deferral: Deferral, input: Tensor) -> Tensor:
    if not torch.is_grad_enabled() or not _deferrable(layer):
        return functional.linear(input, layer.weight, layer.bias)
    kind = input.device.type
    if torch.is_autocast_enabled(kind) and input.dtype != torch.float64:
        input = input.to(torch.get_autocast_dtype(kind))
    result: Tensor = _DeferredLinear.apply(input, layer.weight, layer, deferral)  # type: ignore[no-untyped-call]
    return result


def _embedding(layer: nn.Embedding, deferral: Deferral, input: Tensor) -> Tensor:
    if not torch.is_grad_enabled() or not _deferrable(layer):
        return functional.embedding(input, layer.weight, layer.padding_idx)
    result: Tensor = _DeferredEmbedding.apply(input, layer.weight, layer, deferral)  # type: ignore[no-untyped-call]
    return result


_FORWARDS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Linear: _linear,
    nn.Embedding: _embedding,
}


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """All modules inside, but none inside a compiled one: its graph would not see the swap."""
    if not is_compiled(module):
        yield module
        for child in module.children():
            yield from _layers(child)


def _deferrable(layer: nn.Module) -> bool:
    """Whether deferring the weight gradient of `layer` leaves everything else as it is."""
    if isinstance(layer, nn.Embedding) and (
        layer.max_norm is not None or layer.sparse or layer.scale_grad_by_freq
    ):
        return False
    weight = own_weight(layer)
    if weight is None or not weight.requires_grad:
        return False
    return not any(map(has_hooks, layer.parameters()))
