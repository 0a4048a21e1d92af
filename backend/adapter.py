"""Every torch name with an underscore that we rely on, behind one version check.

Such names change without notice: a torch outside the tested range is refused with one sentence
instead of failing somewhere inside, or worse, giving wrong gradients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "TorchDispatchMode",
    "checked_torch",
    "fake_mode",
    "input_pass",
    "outputs_for_input_pass",
    "weight_pass",
]

OLDEST, NEWEST = (2, 10), (2, 13)
"""The torch versions whose private names were read and, the newest of them, run."""


def checked_torch(version: str | None = None) -> str:
    """The version of torch; RuntimeError if its private names may not be those we know."""
    version = version or torch.__version__
    if not OLDEST <= _numbers(version) <= NEWEST:
        raise RuntimeError(
            f"torch is {version}, but this part of pipebubble uses private names of torch 2.10 to "
            "2.13: install one of these, or use the local engine with split 'deferred'"
        )
    return version


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


def fake_mode() -> Any:
    """A context in which tensors have shapes and no data."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode()


def _numbers(version: str) -> tuple[int, int]:
    try:
        major, minor = version.split("+")[0].split(".")[:2]
        return int(major), int(minor)
    except ValueError:
        return 0, 0
