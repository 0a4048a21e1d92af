"""Keys and values that one slice of a sequence leaves for the later slices of the same microbatch.

    F, slices ascending     F0 ──► k0,v0     F1 reads k0,v0 ──► k1,v1     F2 reads both
    B, slices descending    B2 ──► dk0,dv0 and dk1,dv1     B1 adds to dk0,dv0     B0 takes dk0,dv0

A later slice sees *leaves* that share memory with the keys and values but not their graph, so
every slice can be sent backward alone. Their gradients add up in the leaves until the B of the
slice that made them starts from them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge


class Root(NamedTuple):
    """Where a backward pass starts, and the gradient it starts with."""

    edge: GradientEdge
    gradient: Tensor


class KVCache:
    """What the attention layers of one stage remember of one microbatch.

    start: tokens before the slice that runs now.
    """

    def __init__(self, n_slices: int) -> None:
        self.start = 0
        self._n_slices = n_slices
        self._current = 0
        self._repeated = False
        self._kept: dict[Hashable, dict[int, tuple[Tensor, ...]]] = {}
        self._edges: dict[int, list[tuple[GradientEdge, Tensor]]] = {}

    def enter(self, part: int, start: int, *, repeated: bool = False) -> None:
        """The forward of slice `part`, which begins at token `start`, is about to run.

        repeated: without a graph now, and later once more with one.
        """
        self._current, self.start, self._repeated = part, start, repeated

    def past(self, layer: Hashable) -> tuple[tuple[Tensor, ...], ...]:
        """What `keep` was given for `layer` by the earlier slices, oldest first."""
        kept = self._kept.get(layer, {})
        return tuple(kept[part] for part in sorted(kept) if part < self._current)

    def keep(self, layer: Hashable, *tensors: Tensor) -> None:
        """Leaves `tensors` (keys, values) of this slice to the later ones."""
        part = self._current
        if part == self._n_slices - 1:
            return
        kept = self._kept.setdefault(layer, {})
        again = part in kept  # the later slices have these leaves already
        kept.setdefault(part, tuple(tensor.detach() for tensor in tensors))
        for leaf, tensor in zip(kept[part], tensors, strict=True):
            if again:
                leaf.data = tensor.detach()  # the same numbers, held once
            if tensor.requires_grad:
                self._edges.setdefault(part, []).append((get_gradient_edge(tensor), leaf))
            leaf.requires_grad_(leaf.requires_grad or tensor.requires_grad or self._repeated)

    def gradients(self) -> list[Tensor]:
        """The gradients that have added up so far in the leaves."""
        return [leaf.grad for leaf in self.leaves() if leaf.grad is not None]

    def leaves(self) -> list[Tensor]:
        """All keys and values that are kept."""
        each = (tensors for kept in self._kept.values() for tensors in kept.values())
        return [leaf for tensors in each for leaf in tensors]

    def roots(self, part: int) -> list[Root]:
        """Where the backward of slice `part` starts besides its output; forgets that slice."""
        found = [
            Root(edge, leaf.grad)
            for edge, leaf in self._edges.pop(part, [])
            if leaf.grad is not None
        ]
        for kept in self._kept.values():
            kept.pop(part, None)
        return found
