"""Values on their way from the pass that wrote them to the pass that reads them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from sim import Value

from .lanes import Copied, Timestamp

Delay = float | Callable[[int, int, int], float]
"""Seconds a transfer takes on top of the copy: one number, or a function of (source, destination,
bytes)."""


class Message(NamedTuple):
    """A value that crosses from one pipeline device to another.

    written: when its pass ended. delay: seconds on top of the copy.
    """

    value: Value
    source: int
    destination: int
    bytes: int
    written: Timestamp
    copied: Copied
    delay: float


class Stopped(Exception):
    """Another worker failed, or the run was given up."""


class Mailbox:
    """Messages that have arrived at one device and were not taken yet.

    waiting: bytes that wait for a pass of this device now, messages and values it wrote itself.
    most_waiting: the most of them since it was last set.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: dict[Value, Message] = {}
        self._stopped = False
        self.waiting = self.most_waiting = 0

    def put(self, message: Message) -> None:
        """Called by the sender."""
        with self._changed:
            self._messages[message.value] = message
            self.count(message.bytes)
            self._changed.notify_all()

    def peek(self, value: Value) -> Message:
        """The message with `value`, as soon as it is here; Stopped if the run ends before."""
        with self._changed:
            self._changed.wait_for(lambda: value in self._messages or self._stopped)
            if self._stopped:
                raise Stopped
            return self._messages[value]

    def take(self, value: Value) -> Message:
        """The message with `value`, which is here, and no longer afterwards."""
        with self._changed:
            message = self._messages.pop(value)
            self.count(-message.bytes)
            return message

    @property
    def stopped(self) -> bool:
        """Whether all waiting has ended."""
        return self._stopped

    def count(self, change: int) -> None:
        """Bytes begin to wait for a pass of this device, or with a minus, have waited."""
        with self._changed:
            self.waiting += change
            self.most_waiting = max(self.most_waiting, self.waiting)

    def stop(self) -> None:
        """Ends all waiting."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def checked_delay(delay: Delay | None) -> Callable[[int, int, int], float]:
    """`delay` as a function; ValueError if it is a number that is no time."""
    if delay is None:
        return lambda source, destination, size: 0.0
    if callable(delay):
        return delay
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay < 1e6:
        raise ValueError(f"delay is {delay!r}: give seconds >= 0, or a function of the transfer")
    seconds = float(delay)
    return lambda source, destination, size: seconds
