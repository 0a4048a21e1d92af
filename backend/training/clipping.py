"""The norm of all gradients of a pipeline, and clipping by it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def clipped(
    modules: Iterable[nn.Module],
    limit: float,
    *,
    group: dist.ProcessGroup | None,
    device: torch.device,
) -> Tensor:
    """The 2-norm over all stages before clipping; gradients are scaled so that it is <= `limit`.

    As `torch.nn.utils.clip_grad_norm_` for one model: the scale is limit / (norm + 1e-6). A
    parameter in two stages of this rank counts once; sharded gradients count whole.
    """
    parameters = {id(p): p for module in modules for p in module.parameters()}
    gradients = [p.grad for p in parameters.values() if p.grad is not None]
    square = torch.zeros((), dtype=torch.float64, device=device)
    for part in _alike(gradients):
        norm = torch.nn.utils.get_total_norm(part, 2.0)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()
        square += norm.to(device, torch.float64) ** 2
    dist.all_reduce(square, group=group)
    total = square.sqrt()
    scale = (limit / (total + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.to(gradient.device, gradient.dtype))
    return total


def _alike(gradients: Sequence[Tensor]) -> list[list[Tensor]]:
    """The gradients by the mesh and the type they are on."""
    found: dict[object, list[Tensor]] = {}
    for gradient in gradients:
        mesh = gradient.device_mesh if isinstance(gradient, DTensor) else None
        found.setdefault((mesh, gradient.dtype, gradient.device), []).append(gradient)
    return list(found.values())
