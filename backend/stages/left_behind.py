"""What the passes of a stage leave for each other, and how gradients go from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from .kv_cache import Root
from .random_state import State
from .weight_gradients import Contribution


class Saved(NamedTuple):
    """What F, or R, keeps for B; the graph keeps the rest."""

    leaves: tuple[Tensor, ...]
    edges: tuple[GradientEdge | None, ...]
    outputs: tuple[Tensor, ...]  # for torch's own split only: it wants the tensors themselves
    loss_gradient: Tensor | None  # on the last stage: the share of the batch


class Kept(NamedTuple):
    """What an F keeps for its R."""

    inputs: tuple[Tensor, ...]
    random: State


class Pending(NamedTuple):
    """What B keeps for W; roots and groups for torch's own split."""

    contributions: tuple[Contribution, ...] = ()
    roots: Sequence[Root] = ()
    groups: list[dict[str, Any]] | None = None


def propagate(roots: Sequence[Root]) -> None:
    """Plain autograd, in this thread on every kind of device: hooks and modes are per thread."""
    if roots:
        with torch.autograd.set_multithreading_enabled(False):
            torch.autograd.backward(
                [root.edge for root in roots], [root.gradient for root in roots]
            )


def tensors(outputs: Any) -> tuple[Tensor, ...]:
    """What a module returned, as a tuple; TypeError if it is something else."""
    found = outputs if isinstance(outputs, tuple) else (outputs,)
    for out in found:
        if not isinstance(out, Tensor):
            kind = type(out).__name__
            raise TypeError(f"a stage returned {kind}: it must return a tensor or a tuple of them")
    return found
