"""torch's own split of a backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from .versions import checked_torch


def input_pass(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor],
    inputs: Sequence[Tensor],
    *,
    parameters: Iterable[nn.Parameter],
) -> list[dict[str, Any]]:
    """torch's own B: adds to `.grad` of `inputs`, and returns what its W (`weight_pass`) needs."""
    from torch.distributed.pipelining._backward import stage_backward_input

    _, groups = stage_backward_input(list(outputs), list(gradients), list(inputs), iter(parameters))
    return groups


def outputs_for_input_pass(outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """`outputs` as `input_pass` wants them: it detaches them in place, which no view allows."""
    checked_torch()
    return tuple(tensor.clone() if tensor._is_view() else tensor for tensor in outputs)


def weight_pass(parameters: Iterable[nn.Parameter], groups: list[dict[str, Any]]) -> None:
    """torch's own W: adds to `.grad` of `parameters`."""
    from torch.distributed.pipelining._backward import stage_backward_weight

    stage_backward_weight(iter(parameters), groups)
