"""Where copies run: a thread beside that of their device, or a stream beside its stream.

device, compute | F3 | F4 | B1 ...       the worker comes to O3 after F3: it hands the copy on
device, out          |~ O3 ~|            copies of one queue, one after the other
device, in               |~~ L1 ~~|      B1 waits for it
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch

from .lanes import CudaLane, Lane, Timestamp, new_event, new_stream, sleep_until
from .mail import Stopped

Work = Callable[[], None]


class Finished(Protocol):
    """The end of a copy."""

    def wait(self) -> None:
        """Whoever calls goes on after it; Stopped if the run ends before."""


class CopyQueue(Protocol):
    """One queue of copies of a device."""

    def submit(self, work: Work, *, after: Finished | None = None) -> Finished:
        """Makes a copy after all before it, after all that computes so far, and `after`."""

    def timestamp(self) -> Timestamp:
        """Now, in the order of the copies."""

    def linger(self, start: Timestamp, seconds: float) -> None:
        """A copy that began at `start` is to take so many seconds at least."""

    def close(self) -> None:
        """No more copies will come."""


class InlineQueue:
    """Copies made at once: as if they took no time."""

    def submit(self, work: Work, *, after: Finished | None = None) -> Finished:
        work()
        return _Past()

    def timestamp(self) -> Timestamp:
        return time.perf_counter()

    def linger(self, start: Timestamp, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


class ThreadQueue:
    """A thread that makes copies. stopped: whether the run has been given up."""

    def __init__(self, name: str, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._given: queue.SimpleQueue[tuple[Work, Finished | None, threading.Event] | None]
        self._given = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Work, *, after: Finished | None = None) -> Finished:
        done = threading.Event()
        self._given.put((work, after, done))
        return _Awaited(done, self._stopped)

    def timestamp(self) -> Timestamp:
        return time.perf_counter()

    def linger(self, start: Timestamp, seconds: float) -> None:
        sleep_until(start + seconds)

    def close(self) -> None:
        self._given.put(None)

    def _run(self) -> None:
        torch.set_num_threads(1)
        try:
            while (given := self._given.get()) is not None:
                work, after, done = given
                if after:
                    after.wait()
                work()
                done.set()
        except Stopped:
            pass


class StreamQueue:
    """A stream for copies beside that of the passes; they take the time they take. No GPU has
    confirmed this class yet."""

    def __init__(self, lane: CudaLane) -> None:
        self._compute = lane.stream
        self._stream = new_stream(lane.stream.device)

    def submit(self, work: Work, *, after: Finished | None = None) -> Finished:
        self._stream.wait_stream(self._compute)
        if isinstance(after, _Recorded):
            self._stream.wait_event(after.end)
        with torch.cuda.stream(self._stream):
            work()
        return _Recorded(self.timestamp(), self._compute)

    def timestamp(self) -> Timestamp:
        event = new_event()
        event.record(self._stream)
        return event

    def linger(self, start: Timestamp, seconds: float) -> None:
        pass

    def close(self) -> None:
        self._stream.synchronize()


class _Past:
    def wait(self) -> None:
        pass


class _Awaited:
    """Of a thread: whoever waits looks now and then whether the run has been given up."""

    def __init__(self, done: threading.Event, stopped: Callable[[], bool]) -> None:
        self._done, self._stopped = done, stopped

    def wait(self) -> None:
        while not self._done.wait(0.1):
            if self._stopped():
                raise Stopped


class _Recorded:
    """Of a stream: the passes that come wait, nobody else does."""

    def __init__(self, end: Any, compute: torch.cuda.Stream) -> None:
        self.end, self._compute = end, compute

    def wait(self) -> None:
        self._compute.wait_event(self.end)


def copy_queue(lane: Lane, name: str, stopped: Callable[[], bool]) -> CopyQueue:
    """A queue beside `lane`."""
    return StreamQueue(lane) if isinstance(lane, CudaLane) else ThreadQueue(name, stopped)
