"""A slower disk than there is: reads are held back to a bandwidth that all readers share.

For what-if runs, and for comparing a measured run with the simulated one on a machine whose files
sit in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CHUNK_SECONDS = 0.004
"""What one chunk of a read takes at full speed: how finely readers share."""


@dataclass(frozen=True)
class Throttle:
    """Bytes per second: `bandwidth` of all readers together, `per_reader` of any one."""

    bandwidth: float
    per_reader: float

    def __post_init__(self) -> None:
        for name in ("bandwidth", "per_reader"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: bytes per second, above 0")

    @property
    def chunk(self) -> int:
        """Bytes after which a reader waits until they are due."""
        return max(int(min(self.per_reader, self.bandwidth) * CHUNK_SECONDS), 4096)


class RateLimiter:
    """Holds back the readers of one run to the rates of a throttle."""

    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self._readers = 0
        self._lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Callable[[int], None]]:
        """One read: call what this yields after every chunk, with its number of bytes."""
        with self._lock:
            self._readers += 1
        due = time.perf_counter()

        def wait(n_bytes: int) -> None:
            nonlocal due
            due += n_bytes / min(self.throttle.per_reader, self.throttle.bandwidth / self._readers)
            time.sleep(max(due - time.perf_counter(), 0))

        try:
            yield wait
        finally:
            with self._lock:
                self._readers -= 1
