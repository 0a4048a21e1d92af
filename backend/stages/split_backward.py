"""Splitting the backward pass: B computes input gradients now, W the weight gradients later.

    forward   x ──► Linear ──► y
    B         gx ◄─ gy @ weight ◄── gy         and (x, gy) is put aside
    W         weight.grad += gy^T @ x          whenever the schedule says so

`deferring` swaps the forward of every `nn.Linear` and `nn.Embedding` inside any module for one
whose backward puts (input, output gradient) aside; `weight_gradients.accumulate` does the rest. In
other modules that own matrices, what they compute with them is split (`computed_split`): the
experts of a mixture, GPT-2's Conv1D, convolutions, low-rank pairs. Gradients are exactly those of
autograd. All other parameters get their gradient in B, as usual: cheap for norms and other vectors;
matrices of which nothing was put aside (nn.MultiheadAttention's own, parametrized ones, ...)
`unsplit` names after a pass, and their W has nothing left to do.

Left alone, because deferring would change what they compute: modules whose weight is frozen,
parametrized, or has hooks; embeddings that are sparse, renormalised or scaled by frequency;
compiled modules, and those whose forward somebody has replaced.
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
from torch.nn.utils.parametrize import is_parametrized

from ..torch_private.graph import has_hooks
from ..torch_private.modules import is_compiled
from .computed_split import DeferredCall, as_autocast, watching
from .deferral import Deferral as Deferral
from .split_rules import EMBEDDING, LINEAR
from .weight_gradients import Weight

Split = Literal["deferred", "native"]
"""How the backward is split: as above, or by torch's own means (`torch_private.native_split`)."""
SPLITS: tuple[Split, ...] = get_args(Split)


def deferral_of(*modules: nn.Module) -> Deferral:
    """What can be split inside `modules`; nothing is, outside of `deferring`.

    One deferral serves all stages of a device, which run one after the other.
    """
    deferral = Deferral()
    for module in modules:
        for layer in _layers(module):
            if "forward" in vars(layer):
                continue
            forward = _FORWARDS.get(type(layer))
            if forward and _deferrable(layer):
                deferral.swaps.append((layer, functools.partial(forward, layer, deferral)))
                deferral.modules.append(layer)
            elif any(_is_matrix(parameter) for parameter in layer.parameters(recurse=False)):
                watched = functools.partial(_watched, layer.forward, layer, deferral)
                deferral.swaps.append((layer, watched))
                deferral.watched.append(layer)
    return deferral


@contextmanager
def deferring(deferral: Deferral) -> Iterator[None]:
    """Passes inside put weight gradients aside; before and after, the modules are as they were, for
    whoever else uses them, another schedule too."""
    swapped = [swap for swap in deferral.swaps if "forward" not in vars(swap[0])]
    for layer, forward in swapped:
        vars(layer)["forward"] = forward
    try:
        yield
    finally:
        for layer, _ in swapped:
            vars(layer).pop("forward", None)


def defer(*modules: nn.Module) -> Deferral:
    """Swaps what can be split inside `modules`, in place; `restore` undoes it."""
    deferral = deferral_of(*modules)
    for layer, forward in deferral.swaps:
        vars(layer)["forward"] = forward
    return deferral


def restore(deferral: Deferral) -> None:
    """Gives the swapped modules their own forward back."""
    for layer, _ in deferral.swaps:
        vars(layer).pop("forward", None)
    for known in (deferral.swaps, deferral.modules, deferral.watched):
        known.clear()


@contextmanager
def deferred(*modules: nn.Module) -> Iterator[Deferral]:
    """`defer` for the length of a `with` block."""
    deferral = defer(*modules)
    try:
        yield deferral
    finally:
        restore(deferral)


def unsplit(module: nn.Module, deferral: Deferral) -> tuple[str, ...]:
    """Names of the modules in `module` that hold a matrix whose gradient is computed in B, as far
    as the passes so far have shown; to be asked before `restore`."""
    return tuple(dict.fromkeys(type(owner).__name__ for owner, _ in _unsplit(module, deferral)))


def unsplit_matrices(module: nn.Module, deferral: Deferral) -> list[nn.Parameter]:
    """The matrices themselves."""
    return [parameter for _, parameter in _unsplit(module, deferral)]


def warn_unsplit(names: Iterable[str], share: float | None = None) -> None:
    """One warning that names what runs its whole backward in B; none if there is nothing.

    share: of all FLOPs of weight gradients, where it is known.
    """
    if kinds := sorted(set(names)):
        part = "" if share is None else f" ({share:.0%} of the FLOPs of all weight gradients)"
        warnings.warn(
            f"{', '.join(kinds)}: weights here cannot be split off{part}, so B computes their "
            "gradients and W has nothing to do for them; give B their time in the costs",
            stacklevel=3,
        )


def _unsplit(module: nn.Module, deferral: Deferral) -> Iterator[tuple[nn.Module, nn.Parameter]]:
    later = {id(weight) for layer in deferral.modules for weight in layer.parameters()}
    for name, parameter in module.named_parameters():
        owner = module.get_submodule(name.rpartition(".")[0])
        done = (id(owner), name.rpartition(".")[2]) in deferral.done
        if _is_matrix(parameter) and id(parameter) not in later and not done:
            yield owner, parameter


def _linear(layer: nn.Linear, deferral: Deferral, input: Tensor) -> Tensor:
    weight = layer.weight
    if deferral.resting or not torch.is_grad_enabled() or not _deferrable(layer):
        return functional.linear(input, weight, layer.bias)
    to = Weight(weight, None, weight.shape)
    result: Tensor = DeferredCall.apply(  # type: ignore[no-untyped-call]
        as_autocast(input), weight, LINEAR, to, layer.bias, deferral, (), None
    )
    return result


def _embedding(layer: nn.Embedding, deferral: Deferral, input: Tensor) -> Tensor:
    weight = layer.weight
    if deferral.resting or not torch.is_grad_enabled() or not _deferrable(layer):
        return functional.embedding(input, weight, layer.padding_idx)
    to = Weight(weight, None, weight.shape)
    padding = -1 if layer.padding_idx is None else layer.padding_idx
    result: Tensor = DeferredCall.apply(  # type: ignore[no-untyped-call]
        input, weight, EMBEDDING, to, None, deferral, (padding,), None
    )
    return result


def _watched(
    forward: Callable[..., Any], layer: nn.Module, deferral: Deferral, *args: Any, **kwargs: Any
) -> Any:
    if deferral.resting or not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    with watching(deferral, layer):
        return forward(*args, **kwargs)


def _is_matrix(parameter: Tensor | None) -> bool:
    return parameter is not None and parameter.requires_grad and parameter.ndim > 1


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
    weight = None if is_parametrized(layer, "weight") else layer.weight
    if not (isinstance(weight, nn.Parameter) and weight.requires_grad):
        return False
    return not any(map(has_hooks, layer.parameters()))
