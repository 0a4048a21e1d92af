"""What the processes of a pipeline leave for each other in the store through which they met.

fault       the first sentence that any of them had for a fault
at/RANK     the pass a rank is in, or waits for, should that take long
heard/RANK  that a rank has read, or written, what the fault is
left/RANK   why a process ended that was in no pass

Whoever reads or writes here does so while something breaks: a store that is gone is no error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

import torch.distributed as dist

from ..torch_private.process_group import default_store

PATIENCE = 1.0
"""Seconds in one pass, or before it, after which a rank tells the others where it is."""


def write(name: str, text: str) -> None:
    """Leaves a note."""
    with suppress(Exception):
        default_store().set(f"pipebubble/{name}", text)


def read(name: str) -> str:
    """A note; "" if there is none, or nobody to ask."""
    with suppress(Exception):
        store = default_store()
        if store.check([f"pipebubble/{name}"]):
            return str(store.get(f"pipebubble/{name}").decode())
    return ""


def first(name: str, text: str) -> str:
    """The first text that anybody left under this name: `text`, if there was none yet."""
    with suppress(Exception):
        return default_store().compare_set(f"pipebubble/{name}", "", text).decode() or text
    return text


def reachable() -> bool:
    """Whether the store is still there."""
    with suppress(Exception):
        return default_store() is not None
    return False


def kept_by(rank: int) -> bool:
    """Whether the store ends with this rank of the job: torchrun keeps one itself, else rank 0
    does."""
    return rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"


def let_others_read(rank: int, heard: Sequence[str] = ()) -> None:
    """Waits a while before this rank ends, if the notes end with it; only until those that are
    called `heard` are there, if there are any."""
    end = time.monotonic() + 2 * PATIENCE
    while kept_by(rank) and time.monotonic() < end and not (heard and all(map(read, heard))):
        time.sleep(0.05)


def farewell(reason: str) -> None:
    """Why this process ends, for those who will miss it."""
    if dist.is_initialized() and dist.get_world_size() > 1:
        write(f"left/{dist.get_rank()}", reason)
        let_others_read(dist.get_rank())
