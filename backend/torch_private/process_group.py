"""Process groups: one of which only one rank exists, and the store of a real one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .versions import require


@contextmanager
def fake_group(rank: int, n_ranks: int) -> Iterator[None]:
    """A process group of which only this rank exists: messages go nowhere, and none comes."""
    import torch.distributed as dist

    require({"torch.testing._internal.distributed.fake_pg": "FakeStore"})
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=n_ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()


def default_store() -> Any:
    """The key-value store through which the processes found each other.

    ConnectionError if whoever kept it is gone: asking the store itself would print pages.
    """
    require(
        {
            "torch._C._distributed_c10d": "PrefixStore TCPStore",
            "torch.distributed.distributed_c10d": "_get_default_store",
        }
    )
    from torch._C._distributed_c10d import PrefixStore, TCPStore
    from torch.distributed import distributed_c10d

    store = inner = distributed_c10d._get_default_store()
    while isinstance(inner, PrefixStore):
        inner = inner.underlying_store
    if isinstance(inner, TCPStore):
        socket.create_connection((inner.host, inner.port), timeout=1.0).close()
    return store
