"""What F saved of one unit, such that it can be elsewhere for a while.

    F    saves tensors, as usual         the graph holds handles, a handle holds its storage
    O    storages ──copy──► elsewhere    handles stay, their storages are let go
    L    storages ◄──copy── elsewhere    handles have storages again
    B    takes what it needs             handles go, and their storages with them

Weights, the batch and whatever else is there anyway stay where they are.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, UntypedStorage

Copy = Callable[[Tensor], Tensor]
"""Copies bytes, shape `(n,)`, to another place."""


class Parcel:
    """The saved tensors of one unit. static: ids of the storages that stay."""

    def __init__(self, static: frozenset[int]) -> None:
        self._static = static
        self._cells: dict[int, weakref.ref[_Cell]] = {}
        self._held: list[tuple[Tensor, _Handle]] = []

    def saving(self) -> AbstractContextManager[Any]:
        """What operations inside save for their backward becomes part of the parcel."""
        return torch.autograd.graph.saved_tensors_hooks(self._pack, _unpack)

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """These are part of it too: their data will be away, and come back."""
        for tensor in tensors:
            handle = self._pack(tensor)
            if isinstance(handle, _Handle):
                self._held.append((tensor, handle))

    def away(self, copy: Copy) -> int:
        """O: all data is copied elsewhere, and let go here. Returns its bytes."""
        cells = [cell for reference in self._cells.values() if (cell := reference()) is not None]
        for tensor, _ in self._held:
            tensor.data = tensor.new_empty(0)
        for cell in cells:
            cell.elsewhere = copy(cell.flat())
            cell.storage = None
        self._cells = {number: weakref.ref(cell) for number, cell in enumerate(cells)}
        return sum(cell.elsewhere.nbytes for cell in cells if cell.elsewhere is not None)

    def back(self, copy: Copy) -> None:
        """L: all data is copied back."""
        for reference in self._cells.values():
            cell = reference()
            if cell is not None and cell.elsewhere is not None:
                cell.storage = copy(cell.elsewhere).untyped_storage()
                cell.elsewhere = None
        for tensor, handle in self._held:
            tensor.data = _unpack(handle)

    def _pack(self, tensor: Tensor) -> Tensor | _Handle:
        plain = tensor.layout is torch.strided and not (tensor.is_conj() or tensor.is_neg())
        storage = tensor.untyped_storage() if plain else None
        if storage is None or id(storage) in self._static:
            return tensor.detach()
        known = self._cells.get(id(storage))
        cell = known() if known else None
        if cell is None:
            cell = _Cell(storage)
            self._cells[id(storage)] = weakref.ref(cell)
        offset = int(tensor.storage_offset())
        return _Handle(cell, tensor.dtype, offset, tensor.shape, tensor.stride())


class _Cell:
    """One storage: here, or elsewhere. It lives as long as a handle does."""

    __slots__ = ("__weakref__", "elsewhere", "storage")

    def __init__(self, storage: UntypedStorage) -> None:
        self.storage: UntypedStorage | None = storage
        self.elsewhere: Tensor | None = None

    def flat(self) -> Tensor:
        """All bytes of the storage, shape `(n,)`."""
        assert self.storage is not None
        return torch.empty(0, dtype=torch.uint8, device=self.storage.device).set_(self.storage)


class _Handle(NamedTuple):
    """A saved tensor: what of which storage."""

    cell: _Cell
    dtype: torch.dtype
    offset: int
    shape: torch.Size
    stride: tuple[int, ...]


def _unpack(packed: Tensor | _Handle) -> Tensor:
    if isinstance(packed, Tensor):
        return packed
    storage = packed.cell.storage
    assert storage is not None, "a backward needs what is elsewhere"
    empty = torch.empty(0, dtype=packed.dtype, device=storage.device)
    return empty.set_(storage, packed.offset, packed.shape, packed.stride)
