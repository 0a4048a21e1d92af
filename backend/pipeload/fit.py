"""Whether the tensors of a file are those that a module wants."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .layer_store import LayerFileError

Weight = tuple[torch.Size, torch.dtype]
"""What must fit of a weight: its shape and type."""


def weights_of(skeleton: nn.Module) -> dict[str, Weight]:
    """Shape and type of every weight a module wants."""
    return {name: (t.shape, t.dtype) for name, t in skeleton.state_dict().items()}


def require_fit(tensors: Mapping[str, Tensor], wanted: Mapping[str, Weight], where: str) -> None:
    """LayerFileError unless `tensors`, which lie in the file `where`, are those that are wanted."""
    found = {name: (t.shape, t.dtype) for name, t in tensors.items()}
    if wanted != found:
        odd = min(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
        there, here = (_described(weights.get(odd)) for weights in (found, wanted))
        raise LayerFileError(
            f"{where} does not fit its module: {odd!r} is {there} in the file, {here} in the module"
        )


def _described(weight: Weight | None) -> str:
    return f"{weight[1]} of shape {tuple(weight[0])}" if weight else "missing"
