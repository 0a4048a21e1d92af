"""What passes and transfers compete for: memory, speed, and the turn of a message; and the barrier
between two iterations. Wires are plain SimPy resources.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable
from fractions import Fraction

import simpy

from ..base.numbers import Number, plus
from .errors import OutOfMemory
from .numbering import Message, Numbering
from .recorder import MemoryLog
from .tasks import MemoryChange


class Memory:
    """The live bytes and live activations (in chunks) of one device; every change is logged."""

    def __init__(
        self, device: int, capacity: Number | None, *, numbering: Numbering, log: MemoryLog
    ) -> None:
        self._device, self._capacity = device, capacity
        self._numbering, self._log = numbering, log
        self.live: Number = 0
        self.chunks: int | Fraction = 0

    def take_static(self, now: Number, size: Number) -> None:
        """Take what is there from the start to the end: parameters, gradients, optimizer state."""
        number = self._numbering.static[self._device]
        self.change(now, MemoryChange(size, 0, 0), number)

    def change(self, now: Number, change: MemoryChange, first_pass: int, queue: str = "") -> None:
        """Take or give back what a step does whose first pass has that number.

        queue: on which one, if it does not compute. Raises OutOfMemory where more would be live
        than there is.
        """
        size, number = change.size, first_pass + change.place
        if size:
            live = plus(self.live, size)
            if self._capacity is not None and size > 0 and live > self._capacity:
                free, name = plus(self._capacity, -self.live), self._numbering.name(number)
                name += f" on the {queue}" if queue else ""
                raise OutOfMemory(self._device, now, name, size, free, self._capacity)
            self.live = live
        self.chunks += change.chunks
        self._log.add(number, now, change=size, live=self.live, chunks=self.chunks)


class MessageQueue:
    """The messages one device sends and receives, served strictly in a given order.

    Real runtimes behave so where all messages of a device share one communication stream: a receive
    that is posted early holds up the sends behind it.
    """

    def __init__(self, env: simpy.Environment, order: Iterable[Message]) -> None:
        self._env = env
        self._order = deque(order)
        self._waiting: dict[Message, simpy.Event] = {}

    def turn(self, message: Message) -> simpy.Event:
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


class SharedSpeed:
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


class IterationBarrier:
    """Lets all `n` devices into an iteration once every one of them has come to its end of the one
    before."""

    def __init__(self, env: simpy.Environment, n: int) -> None:
        self._env, self._n = env, n
        self._arrived: Counter[int] = Counter()
        self._open: dict[int, simpy.Event] = {}

    def arrive(self, iteration: int) -> simpy.Event:
        """One device more has come; fires when all have."""
        opened = self._open.setdefault(iteration, self._env.event())
        self._arrived[iteration] += 1
        if self._arrived[iteration] == self._n:
            opened.succeed()
        return opened
