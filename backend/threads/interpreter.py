"""What a run changes for the whole process: the number of torch's threads, garbage collection."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def undisturbed_passes() -> Iterator[None]:
    """One torch thread per worker, and no garbage collection in the middle of a pass, until the
    last of several runs at the same time has ended."""
    with _RUNS.lock:
        if not _RUNS.number:
            _RUNS.before = torch.get_num_threads(), gc.isenabled()
            gc.disable()
        _RUNS.number += 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        with _RUNS.lock:
            _RUNS.number -= 1
            threads, collects = _RUNS.before
            if collects and not _RUNS.number:
                gc.enable()
        torch.set_num_threads(threads)


class _Runs:
    """How many runs there are in this process, and how it was before the first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0
        self.before = (1, True)


_RUNS = _Runs()
"""Of the process, because what it guards is: there is one garbage collector."""
