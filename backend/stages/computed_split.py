"""Splitting what is computed, whatever class of module computes it.

While a module that owns weights of its own runs, calls of torch's functions pass through here. A
linear map, product, convolution or embedding whose weight is one of its parameters, a view of one,
or one in another type, becomes a function whose backward puts the weight's part aside:

    x @ self.w        self.w[expert]        self.a.t()        self.w.to(x.dtype)

Only a module's own weights count, and only while its own forward runs: a checkpointed child does
the same in its recomputation, which must see what the forward saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import get_gradient_edge
from torch.overrides import TorchFunctionMode

from ..torch_private.graph import accumulated_by, has_hooks
from ..torch_private.kernels import grouped_mm
from .deferral import Deferral
from .split_rules import (
    BATCHED,
    CONVOLUTION,
    EMBEDDING,
    GROUPED,
    LEFT,
    LINEAR,
    PRODUCT,
    Rule,
    einsum_rule,
)
from .weight_gradients import Contribution, Weight

Found = tuple[Rule, Tensor, Tensor, tuple[Any, ...], Tensor | None]
"""A rule, its input, its weight, what else it takes, and what is added to its output."""
KEEPS_NOTHING = (
    "TBackward", "TransposeBackward", "PermuteBackward", "ViewBackward", "UnsafeViewBackward",
    "ReshapeAliasBackward", "SelectBackward", "SliceBackward", "SplitBackward", "UnbindBackward",
    "ToCopyBackward", "UnsqueezeBackward", "SqueezeBackward", "AliasBackward", "CloneBackward",
    "ChunkBackward", "SplitWithSizesBackward", "IndexBackward", "IndexSelectBackward",
)  # fmt: skip
"""What views, copies and picks of a weight are in the graph: W runs them once more."""


class DeferredCall(torch.autograd.Function):
    """A call of one of the rules, whose backward leaves the weight to W."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w: Tensor,
        rule: Rule,
        weight: Weight,
        bias: Tensor | None,
        to: Deferral,
        rest: tuple[Any, ...],
        anchor: Tensor | None,  # what makes the output want a gradient where x does not
    ) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.rule, ctx.weight, ctx.bias, ctx.to, ctx.rest = rule, weight, bias, to, rest
        if bias is not None and rule is LINEAR:
            return functional.linear(x, w, bias)
        y = rule.forward(x, w, *rest)
        return y if bias is None else y + bias

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, w = ctx.saved_tensors  # once: with checkpointing, this recomputes the block
        contribution = Contribution(ctx.rule, ctx.weight, ctx.bias, x.detach(), gradient, ctx.rest)
        ctx.to.put(contribution)  # its graph can go now
        found = None
        if ctx.needs_input_grad[0]:
            found = ctx.rule.input_gradient(gradient, x, w, *ctx.rest).to(x.dtype)
        return found, None, None, None, None, None, None, None


class _Watching(TorchFunctionMode):
    """Splits calls that take one of `owned`: id of a parameter -> its name in its module."""

    def __init__(self, to: Deferral, layer: nn.Module, owned: dict[int, str]) -> None:
        super().__init__()
        self.to, self.layer, self.owned = to, layer, owned

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        read = READERS.get(func)
        if read is None or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        found = read(*args, **kwargs)
        if found is None:
            return func(*args, **kwargs)
        for rule, x, w, rest, added in found:
            weight = self._weight(w)
            if weight is not None:
                if self._weight(x) is not None:
                    break  # two weights: what comes out is a weight, too
                self.to.done.add((id(self.layer), self.owned[id(weight.parameter)]))
                anchor = None
                if weight.edge is not None:  # B must not run, and free, what W needs
                    w, anchor = w.detach(), w.new_empty(0).requires_grad_()
                y = DeferredCall.apply(  # type: ignore[no-untyped-call]
                    as_autocast(x), w, rule, weight, None, self.to, rest, anchor
                )
                return y if added is None else y + added.to(y.dtype)
        return func(*args, **kwargs)

    def _weight(self, tensor: Tensor) -> Weight | None:
        """The weight that a tensor is or is made of by views and types; None if it is none."""
        if not tensor.requires_grad:
            return None
        if id(tensor) in self.owned:
            return Weight(tensor, None, tensor.shape)
        node = tensor.grad_fn
        for _ in range(4):
            if node is None or not node.name().rstrip("0123456789").startswith(KEEPS_NOTHING):
                return None
            ((node, _),) = [after for after in node.next_functions if after[0] is not None] or [
                (None, 0)
            ]
            leaf = accumulated_by(node)
            if leaf is not None:
                if id(leaf) not in self.owned:
                    return None
                return Weight(leaf, get_gradient_edge(tensor), tensor.shape)
        return None


@contextmanager
def watching(to: Deferral, layer: nn.Module) -> Iterator[None]:
    """Calls inside are split where they take a weight that `layer` itself owns."""
    owned = {
        id(parameter): name
        for name, parameter in layer.named_parameters(recurse=False)
        if parameter.requires_grad and not has_hooks(parameter)
    }
    with _Watching(to, layer, owned):
        yield


def as_autocast(x: Tensor) -> Tensor:
    """x in the type that autocast would give it; the rules cast what they need of the weight."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind) and x.is_floating_point() and x.dtype != torch.float64:
        return x.to(torch.get_autocast_dtype(kind))
    return x


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> list[Found] | None:
    return [(LINEAR, input, weight, (), bias)] if weight.ndim == 2 else None


def _product(a: Any, b: Any, *, out: Any = None, added: Any = None) -> list[Found] | None:
    if out is not None or not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return None
    if a.ndim < 2 or b.ndim < 2:
        return None
    right: Found = (PRODUCT if b.ndim == 2 else BATCHED, a, b, (), added)
    return [right, (LEFT, b, a, (), added)]


def _sum(added: Tensor, a: Tensor, b: Tensor, **options: Any) -> list[Found] | None:
    return None if options else _product(a, b, added=added)


def _grouped(
    a: Tensor, b: Tensor, *, offs: Any = None, bias: Any = None, out_dtype: Any = None
) -> list[Found] | None:
    plain = offs is not None and bias is None and out_dtype is None
    return [(GROUPED, a, b, (offs,), None)] if plain and a.ndim == 2 and b.ndim == 3 else None


def _embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> list[Found] | None:
    if max_norm is not None or scale_grad_by_freq or sparse:
        return None
    padding = -1 if padding_idx is None else padding_idx % weight.shape[0]
    return [(EMBEDDING, input, weight, (padding,), None)]


def _einsum(equation: Any, *operands: Any) -> list[Found] | None:
    if not isinstance(equation, str) or len(operands) != 2:
        return None
    a, b = operands
    left, _, out = equation.replace(" ", "").partition("->")
    first, _, second = left.partition(",")
    forth, back = einsum_rule(equation), einsum_rule(f"{second},{first}->{out}")
    return [(forth, a, b, (), None), (back, b, a, (), None)] if forth and back else None


def _convolution(dimensions: int) -> Callable[..., list[Found] | None]:
    def read(
        input: Tensor,
        weight: Tensor,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> list[Found] | None:
        if isinstance(padding, str) or input.ndim != dimensions + 2:
            return None
        each = [
            [value] * dimensions if isinstance(value, int) else list(value)
            for value in (stride, padding, dilation)
        ]
        added = None if bias is None else bias.view(-1, *[1] * dimensions)
        return [(CONVOLUTION, input, weight, (*each, False, [0] * dimensions, groups), added)]

    return read


READERS: dict[Any, Callable[..., list[Found] | None]] = {
    functional.linear: _linear,
    torch.matmul: _product,
    torch.mm: _product,
    torch.bmm: _product,
    Tensor.matmul: _product,
    Tensor.__matmul__: _product,
    Tensor.mm: _product,
    Tensor.bmm: _product,
    torch.addmm: _sum,
    torch.baddbmm: _sum,
    Tensor.addmm: _sum,
    Tensor.baddbmm: _sum,
    grouped_mm: _grouped,
    functional.embedding: _embedding,
    torch.einsum: _einsum,
    functional.conv1d: _convolution(1),
    functional.conv2d: _convolution(2),
    functional.conv3d: _convolution(3),
}
"""Functions of torch -> what is linear in which of their arguments."""
