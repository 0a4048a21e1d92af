"""Several calls again and again, each time all at once."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor


def medians(calls: Sequence[Callable[[], object]], *, repeats: int) -> list[float]:
    """Median seconds of each call while the others run too, after one round to warm up.

    A call has to return when its work is done. What one of them raises is raised here.
    """
    gate = threading.Barrier(len(calls))

    def measured(call: Callable[[], object]) -> float:
        times = []
        try:
            for _ in range(repeats + 1):
                gate.wait()
                begin = time.perf_counter()
                call()
                times.append(time.perf_counter() - begin)
        except threading.BrokenBarrierError:
            return 0.0  # another one has failed, and is heard below
        except BaseException:
            gate.abort()
            raise
        return statistics.median(times[1:])

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(measured, calls))
