"""What passes and transfers compete for: the memory of a device, its turn with a neighbour, the gate
between two iterations. Wires are plain SimPy resources.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import simpy

from .exact import Number
from .ir import Op


class OutOfMemory(ValueError):
    """A device was asked for more bytes than it has.

    device, time, op, wanted, free, capacity: who, when, for which pass ("static" for parameters
    and optimizer state), how many bytes, and how many there were.
    """

    def __init__(
        self, device: int, time: Number, op: str, *, wanted: Number, free: Number, capacity: Number
    ) -> None:
        self.device, self.time, self.op = device, time, op
        self.wanted, self.free, self.capacity = wanted, free, capacity
        super().__init__(
            f"out of memory on device {device} at time {_number(time)}: {op} wants "
            f"{_number(wanted)} bytes, {_number(free)} of {_number(capacity)} are free"
        )

    def at(self, time: Number) -> OutOfMemory:
        """The same error with its time in another unit."""
        return OutOfMemory(
            self.device, time, self.op, wanted=self.wanted, free=self.free, capacity=self.capacity
        )


class Deadlock(ValueError):
    """Nothing can happen any more, though passes are left; the message names who waits."""


class Memory:
    """The live bytes and live activations (in chunks) of one device.

    `note(change, live, chunks, reason)` is told of every change.
    """

    def __init__(
        self, device: int, capacity: Number | None, note: Callable[..., None]
    ) -> None:
        self.device, self.capacity, self.note = device, capacity, note
        self.live: Number = 0
        self.chunks = 0

    def change(self, now: Number, size: Number, chunks: int, *, reason: str | Op) -> None:
        """Take (or, if negative, give back) `size` bytes and `chunks` activations."""
        if self.capacity is not None and size > 0 and self.live + size > self.capacity:
            free = self.capacity - self.live
            raise OutOfMemory(
                self.device, now, str(reason), wanted=size, free=free, capacity=self.capacity
            )
        self.live += size
        self.chunks += chunks
        self.note(self.device, now, size, self.live, self.chunks, reason)


class Mailbox:
    """The messages between a device and one neighbour, served strictly in posting order.

    Real runtimes behave so because all messages of a pair of devices share one stream.
    """

    def __init__(self) -> None:
        self._queue: deque[simpy.Event] = deque()

    def post(self, turn: simpy.Event) -> None:
        """Queue up; `turn` fires at the head of the queue."""
        self._queue.append(turn)
        if len(self._queue) == 1:
            turn.succeed()

    def served(self) -> None:
        """The message at the head is through: the next one's turn."""
        self._queue.popleft()
        if self._queue:
            self._queue[0].succeed()


class Gate:
    """Opens for everybody once `n` devices have come to it; a new gate for each iteration."""

    def __init__(self, env: simpy.Environment, n: int) -> None:
        self._env, self._n = env, n
        self._opened: dict[int, tuple[list[None], simpy.Event]] = {}

    def arrive(self, iteration: int) -> simpy.Event:
        """The event on which the gate opens."""
        here, opened = self._opened.setdefault(iteration, ([], self._env.event()))
        here.append(None)
        if len(here) == self._n:
            opened.succeed()
        return opened


def _number(value: Number) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{float(value):,.6g}"
