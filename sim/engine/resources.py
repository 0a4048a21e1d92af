"""What passes and transfers compete for: memory, speed, a place in the queue of messages, and the
gate between two iterations. Wires are plain SimPy resources.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterable

import simpy

from ..base.numbers import LARGEST, Number, plus


class OutOfMemory(ValueError):
    """A device was asked for more bytes than it has.

    device, time, op, wanted, free, capacity: who, when, for which pass ("static" for parameters
    and optimizer state), how many bytes, and how many there were.
    """

    def __init__(
        self, device: int, time: Number, op: str, wanted: Number, free: Number, capacity: Number
    ) -> None:  # all positional: SimPy makes a fresh copy from `args`
        super().__init__(device, time, op, wanted, free, capacity)
        self.device, self.time, self.op = device, time, op
        self.wanted, self.free, self.capacity = wanted, free, capacity

    def __str__(self) -> str:
        wanted, free, capacity = map(_number, (self.wanted, self.free, self.capacity))
        return (
            f"out of memory on device {self.device} at time {_number(self.time)}: {self.op} wants "
            f"{wanted} byte{'' if wanted == '1' else 's'}, {free} of {capacity} are free"
        )

    def at(self, time: Number) -> OutOfMemory:
        """The same error with its time in another unit."""
        return OutOfMemory(self.device, time, self.op, self.wanted, self.free, self.capacity)


class Deadlock(ValueError):
    """Nothing can happen any more, though passes are left; the message names who waits."""


class Memory:
    """The live bytes and live activations (in chunks) of one device.

    `note` is told of every change: (number, time, change, live bytes, live chunks), where the
    number says whose change it is; `name` has a text for it.
    """

    def __init__(
        self,
        device: int,
        capacity: Number | None,
        *,
        note: Callable[[tuple[int, Number, Number, Number, int]], None],
        name: Callable[[int], str],
    ) -> None:
        self.device, self.capacity, self.note, self.name = device, capacity, note, name
        self.live: Number = 0
        self.chunks = 0

    def change(self, now: Number, size: Number, chunks: int, number: int) -> None:
        """Take (or, if negative, give back) `size` bytes and `chunks` activations."""
        live = plus(self.live, size) if size else self.live
        if self.capacity is not None and size > 0 and live > self.capacity:
            free = plus(self.capacity, -self.live)
            raise OutOfMemory(self.device, now, self.name(number), size, free, self.capacity)
        self.live = live
        self.chunks += chunks
        self.note((number, now, size, live, self.chunks))


class MessageQueue:
    """The messages one device sends and receives, served strictly in a given order.

    Real runtimes behave so where all messages of a device share one communication stream: a receive
    that is posted early holds up the sends behind it.
    """

    def __init__(self, env: simpy.Environment, order: Iterable[Hashable]) -> None:
        self._env = env
        self._order = deque(order)
        self._waiting: dict[Hashable, simpy.Event] = {}

    def turn(self, message: Hashable) -> simpy.Event:
        """Fires when `message` is the first in the queue."""
        event = self._waiting[message] = self._env.event()
        if self._order[0] == message:
            event.succeed()
        return event

    def served(self) -> None:
        """The first message is through: the next one's turn."""
        del self._waiting[self._order.popleft()]
        if self._order and (event := self._waiting.get(self._order[0])):
            event.succeed()


class Pace:
    """How fast passes run while several devices compute: all alike, slower the more there are.

    All passes under way progress alike, so one clock of work done serves all: it runs at 1 / f
    while b of n devices compute, with f = 1 + (slowdown - 1) (b - 1) / (n - 1), and a pass ends
    when that clock has advanced by its duration.
    """

    def __init__(self, env: simpy.Environment, n_devices: int, slowdown: Number) -> None:
        self._env = env
        self._extra = float(slowdown - 1) / (n_devices - 1) if n_devices > 1 else 0.0
        self._under_way: list[tuple[float, int, simpy.Event]] = []
        self._done, self._since, self._number = 0.0, 0.0, 0

    def run(self, work: int | float) -> simpy.Event:
        """Fires when a pass that takes `work` ticks alone, and begins now, is through."""
        if not self._extra:
            return self._env.timeout(work)
        self._advance()
        ended = self._env.event()
        heapq.heappush(self._under_way, (self._done + work, self._number, ended))
        self._await_first()
        return ended

    def _advance(self) -> None:
        now = self._env.now
        if self._under_way:
            self._done += (now - self._since) / self._factor()
        self._since = now

    def _factor(self) -> float:
        return 1 + self._extra * (len(self._under_way) - 1)

    def _await_first(self) -> None:
        """Set the alarm for the pass that ends first; what was set before counts no more."""
        self._number += 1
        if self._under_way:
            left = max(self._under_way[0][0] - self._done, 0.0)
            alarm = self._env.timeout(left * self._factor(), value=self._number)
            assert alarm.callbacks is not None
            alarm.callbacks.append(self._rings)

    def _rings(self, alarm: simpy.Event) -> None:
        if alarm.value != self._number:
            return
        self._done, self._since = self._under_way[0][0], self._env.now
        while self._under_way and self._under_way[0][0] <= self._done:
            heapq.heappop(self._under_way)[-1].succeed()
        self._await_first()


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
    whole = isinstance(value, int) or (-LARGEST <= value <= LARGEST and value == int(value))
    return f"{int(value):,}" if whole else f"{float(value):,.6g}"
