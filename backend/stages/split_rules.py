"""What is linear in a weight, and so can be split: the output, and either gradient by itself.

    y = f(x, w)      B needs  gx from (gy, x, w)      W needs  gw from (gy, x)

A rule holds the three. `joins` says that microbatches may be laid one after the other, rows first,
so that one kernel computes the weight gradient of them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor

from ..torch_private.kernels import grouped_mm


class Rule(NamedTuple):
    """forward(x, w, *rest), input_gradient(gy, x, w, *rest), weight_gradient(gy, x, shape, *rest).

    rest: whatever else the operation takes, none of it differentiated. shape: of the weight.
    """

    name: str
    forward: Callable[..., Tensor]
    input_gradient: Callable[..., Tensor]
    weight_gradient: Callable[..., Tensor]
    joins: bool = False


def _rows(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1, tensor.shape[-1])


LINEAR = Rule(
    "linear",  # y = x @ w^T
    lambda x, w: functional.linear(x, w),
    lambda gy, x, w: gy @ w.to(gy.dtype),
    lambda gy, x, shape: _rows(gy).t() @ _rows(x).to(gy.dtype),
    joins=True,
)
PRODUCT = Rule(
    "product",  # y = x @ w, w a matrix
    lambda x, w: x @ w,
    lambda gy, x, w: gy @ w.to(gy.dtype).t(),
    lambda gy, x, shape: _rows(x).to(gy.dtype).t() @ _rows(gy),
    joins=True,
)
EMBEDDING = Rule(
    "embedding",
    lambda ids, w, padding: functional.embedding(ids, w, None if padding < 0 else padding),
    lambda gy, ids, w, padding: gy,  # ids have no gradient: never called
    lambda gy, ids, shape, padding: torch.ops.aten.embedding_dense_backward(
        _rows(gy), ids.reshape(-1), shape[0], padding, False
    ),
    joins=True,
)
BATCHED = Rule(
    "batched",  # y = x @ w with leading dimensions, broadcast
    torch.matmul,
    lambda gy, x, w: (gy @ w.to(gy.dtype).mT).sum_to_size(x.shape),
    lambda gy, x, shape: (x.to(gy.dtype).mT @ gy).sum_to_size(shape),
)
LEFT = Rule(
    "left",  # y = w @ x
    lambda x, w: torch.matmul(w, x),
    lambda gy, x, w: (w.to(gy.dtype).mT @ gy).sum_to_size(x.shape),
    lambda gy, x, shape: (gy @ x.to(gy.dtype).mT).sum_to_size(shape),
)
GROUPED = Rule(
    "grouped",  # rows of x in groups that end at offs, each times its own matrix
    lambda x, w, offs: grouped_mm(x, w, offs=offs),
    lambda gy, x, w, offs: grouped_mm(gy, w.mT, offs=offs),
    lambda gy, x, shape, offs: grouped_mm(x.mT, gy, offs=offs),
)


def _convolution_gradient(gy: Tensor, x: Tensor, w: Tensor, rest: Any, *, of_input: bool) -> Tensor:
    found = torch.ops.aten.convolution_backward(
        gy, x.to(gy.dtype), w.to(gy.dtype), None, *rest, [of_input, not of_input, False]
    )
    return found[0] if of_input else found[1]  # type: ignore[no-any-return]


CONVOLUTION = Rule(
    "convolution",  # rest: stride, padding, dilation, transposed, output_padding, groups
    lambda x, w, *rest: torch.ops.aten.convolution(x, w.to(x.dtype), None, *rest),
    lambda gy, x, w, *rest: _convolution_gradient(gy, x, w, rest, of_input=True),
    lambda gy, x, shape, *rest: _convolution_gradient(
        gy, x, gy.new_empty(1).expand(shape), rest, of_input=False
    ),
)


def einsum_rule(equation: str) -> Rule | None:
    """The rule of `einsum(equation, x, w)`; None for indices that repeat or come from nowhere."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    x, comma, w = left.partition(",")
    plain = arrow and comma and "." not in equation and "," not in w
    if not plain or any(len({*part}) < len(part) for part in (x, w, out)):
        return None
    if not ({*w} <= {*x} | {*out} and {*x} <= {*w} | {*out}):
        return None
    return Rule(
        f"einsum {equation}",
        lambda a, b: torch.einsum(equation, a, b),
        lambda gy, a, b: torch.einsum(f"{out},{w}->{x}", gy, b.to(gy.dtype)),
        lambda gy, a, shape: torch.einsum(f"{out},{x}->{w}", gy, a.to(gy.dtype)),
    )
