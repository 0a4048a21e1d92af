"""The output layer cut along its vocabulary: part r has some rows, W_r, of the head's weight.

S: Y_r = x W_r^T      keeps x and E_r = exp(Y_r - max); leaves the maximum, the sum of E_r, and the
                      score of the target
T: D_r = softmax - 1  of all parts together; adds D_r^T x to the gradient of W_r

The gradient of x is the sum of all D_r W_r. With two barriers T leaves its term of it. With one, S
leaves E_r W_r and the row of the target, before it knows what the other parts have: whoever sums
them up rescales the first by the statistics beside it. (Yeung et al. 2024, arXiv 2411.05288,
section 4.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .batches import Piece
from .stage import Unit

PASSES = ("S", "T")
"""Kinds of passes that work on parts of the vocabulary, not on stages."""
IGNORED = -100
"""The target of a token that does not count, as in torch's cross entropy."""


class Scores(NamedTuple):
    """What the softmax of all parts needs of one, each of shape `(n_tokens,)`: the largest score,
    the sum of exp(score - largest), and the score of the target, 0 where another part has it."""

    largest: Tensor
    total: Tensor
    of_target: Tensor


class _Kept(NamedTuple):
    """What S keeps for T: the input where a weight wants a gradient, E, and the input's type."""

    input: Tensor | None
    exponentials: Tensor
    dtype: torch.dtype


class Part(nn.Module):
    """Part `number` of the output layer, of as many rows as `weight` has, from row `first` on.

    weight, bias: they share the memory of the whole layer's; their gradients are their own.
    barriers: as in `sim.Schedule.vocabulary`, or 0 where the last stage has no backward.
    """

    def __init__(
        self,
        number: int,
        *,
        first: int,
        weight: nn.Parameter,
        bias: nn.Parameter | None,
        barriers: int,
    ) -> None:
        super().__init__()
        self.number, self.first, self.barriers = number, first, barriers
        self.weight, self.bias = weight, bias
        self._kept: dict[Unit, _Kept] = {}

    @torch.no_grad()
    def scores(self, unit: Unit, x: Tensor, piece: Piece) -> tuple[Tensor, ...]:
        """S: the three tensors of `Scores`; with one barrier, the two products as well.

        x: what the last stage returned, shape `(..., width)`. Products: `(n_tokens, width)`.
        """
        x = x.flatten(0, -2)
        here, row = self._targets(piece)
        scores = functional.linear(x, self.weight, self.bias)
        if scores.dtype in (torch.float16, torch.bfloat16):
            scores = scores.float()
        of_target = scores.gather(-1, row[:, None]).squeeze(-1) * here
        largest = scores.amax(-1)
        exponentials = scores.sub_(largest[:, None]).exp_()
        found = Scores(largest, exponentials.sum(-1), of_target)
        if self.barriers:
            trained = any(parameter.requires_grad for parameter in self.parameters())
            self._kept[unit] = _Kept(x if trained else None, exponentials, x.dtype)
        if self.barriers != 1:
            return found
        weight = self.weight.to(exponentials.dtype)
        products = exponentials @ weight, weight[row] * here[:, None]
        return (*found, *(product.to(x.dtype) for product in products))

    @torch.no_grad()
    def gradients(self, unit: Unit, parts: Sequence[Scores], piece: Piece) -> tuple[Tensor, ...]:
        """T: adds to the gradients of the weight and the bias; with two barriers, returns this
        part's term of the gradient of x. parts: of all of them, in their order."""
        x, exponentials, dtype = self._kept.pop(unit)
        here, row = self._targets(piece)
        found = exponentials * _softmax_scale(parts)[self.number][:, None]
        found.scatter_add_(-1, row[:, None], -here[:, None].to(found.dtype))
        found *= _weights(piece)[:, None].to(found.dtype)
        if x is not None and self.weight.grad is not None:
            self.weight.grad += (found.t() @ x.to(found.dtype)).to(self.weight.dtype)
        if self.bias is not None and self.bias.grad is not None:
            self.bias.grad += found.sum(0).to(self.bias.dtype)
        if self.barriers == 1:
            return ()
        return ((found @ self.weight.to(found.dtype)).to(dtype),)

    def _targets(self, piece: Piece) -> tuple[Tensor, Tensor]:
        """Of every token, whether its target is in this part, and in which row; 0 if it is not."""
        assert piece.target is not None
        row = piece.target.flatten() - self.first
        here = (row >= 0) & (row < len(self.weight))
        return here, row * here


@torch.no_grad()
def input_gradient(parts: Sequence[Sequence[Tensor]], piece: Piece) -> Tensor:
    """The gradient of what the last stage returned, `(*targets.shape, width)`.

    parts: what the passes of all parts have left for it: with two barriers one tensor each, with
    one barrier the five of S.
    """
    if len(parts[0]) == 1:
        found = torch.stack([part[0] for part in parts]).sum(0)
    else:
        scale = _softmax_scale([Scores(*part[:3]) for part in parts])
        found = torch.zeros_like(parts[0][3])
        for factor, (*_, product, row) in zip(scale, parts, strict=True):
            found += product * factor[:, None] - row
        found *= _weights(piece)[:, None].to(found.dtype)
    assert piece.target is not None
    return found.view(*piece.target.shape, found.shape[-1])


@torch.no_grad()
def loss_of(parts: Sequence[Scores], piece: Piece) -> Tensor:
    """The mean cross entropy of the tokens of one unit."""
    largest, total, of_target = _together(parts)
    each = total.log() + largest - of_target
    counts = _counted(piece)
    return torch.where(counts, each, 0.0).sum() / counts.sum()


def _together(parts: Sequence[Scores]) -> Scores:
    """The statistics of the whole vocabulary."""
    largest = torch.stack([part.largest for part in parts]).amax(0)
    total = torch.stack([part.total * (part.largest - largest).exp() for part in parts]).sum(0)
    return Scores(largest, total, torch.stack([part.of_target for part in parts]).sum(0))


def _softmax_scale(parts: Sequence[Scores]) -> list[Tensor]:
    """What makes E of each part its part of the softmax, `(n_tokens,)` each."""
    largest, total, _ = _together(parts)
    return [(part.largest - largest).exp() / total for part in parts]


def _counted(piece: Piece) -> Tensor:
    assert piece.target is not None
    return piece.target.flatten() != IGNORED


def _weights(piece: Piece) -> Tensor:
    """How much of the loss of the whole batch every token of a unit is, `(n_tokens,)`."""
    counts = _counted(piece)
    return counts.double() * (piece.share / counts.sum().double())
