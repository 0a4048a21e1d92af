"""Live bytes of one device, exact on every kind of device: each storage counted while it lives.

A dispatch mode sees every tensor that an operation returns and keeps a weak reference to its
storage; when the last owner of a storage is gone, its bytes no longer count. Modes are per thread,
so every worker has a count of its own. What a kernel allocates and frees inside itself is not
seen.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, UntypedStorage, nn

from .torch_private.graph import PlainDispatchMode, tree_leaves


class LiveBytes:
    """Bytes of all storages that passes have made, or that were added, and that still live.

    static: tensors that are not counted, nor views of them: weights, gradients, the batch.
    now, peak: bytes now, and the most since `peak` was last set.
    """

    def __init__(self, static: Iterable[Tensor] = ()) -> None:
        self.now = self.peak = 0
        self._static = {id(tensor.untyped_storage()): tensor for tensor in static}
        self._sizes: dict[int, tuple[int, weakref.ref[UntypedStorage]]] = {}
        self._lock = threading.RLock()  # storages may die in the middle of anything

    def counting(self) -> AbstractContextManager[Any]:
        """A context in which what this thread's operations return is added."""
        _settle_torch()
        return _Counting(self)

    def add(self, tensors: Iterable[Tensor | None]) -> None:
        """From now on these count, if they do not already."""
        for tensor in tensors:
            if tensor is None:
                continue
            storage = tensor.untyped_storage()
            key = id(storage)  # stays while the storage lives, also when only C++ holds it
            with self._lock:
                if key in self._sizes or key in self._static:
                    continue
                freed = partial(self._remove, key)
                self._sizes[key] = storage.nbytes(), weakref.ref(storage, freed)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)

    def remove(self, tensors: Iterable[Tensor | None]) -> None:
        """From now on these do not count, although they live: another pass will count them."""
        for tensor in tensors:
            if tensor is not None:
                self._remove(id(tensor.untyped_storage()))

    def _remove(self, key: int, _: Any = None) -> None:
        with self._lock:
            size, _ = self._sizes.pop(key, (0, None))
            self.now -= size


def static_tensors(module: nn.Module) -> list[Tensor]:
    """What a module holds between iterations: parameters, their gradients, buffers."""
    held = [*module.parameters(), *module.buffers()]
    return held + [tensor.grad for tensor in held if tensor.grad is not None]


def storage_bytes(tensors: Iterable[Tensor | None]) -> int:
    """Bytes of the distinct storages behind `tensors`."""
    storages = {
        id(storage): storage.nbytes()
        for storage in (t.untyped_storage() for t in tensors if t is not None)
    }
    return sum(storages.values())


@functools.cache
def _settle_torch() -> None:
    """torch may import much of itself at the first operation under a dispatch mode, and keeps the
    frames that called it alive, with the tensors in them: let there be none."""
    with _Counting(LiveBytes()):
        torch.zeros(1)


class _Counting(PlainDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, live: LiveBytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = live

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):  # nearly always: a tree of one leaf takes longer to walk
            self.live.add((found,))
        else:
            self.live.add(leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor))
        return found
