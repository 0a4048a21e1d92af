"""Values on their way from the pass that wrote them to the pass that reads them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from sim import Value

from .lanes import Copied, Mark

Delay = float | Callable[[int, int, int], float]
"""Seconds a transfer takes on top of the copy: one number, or a function of (source, destination,
bytes)."""


class Parcel(NamedTuple):
    """A value that crosses from one pipeline device to another.

    written: when its pass ended.
    """

    value: Value
    source: int
    destination: int
    bytes: int
    written: Mark
    copied: Copied
    delay: float


class Stopped(Exception):
    """Another worker failed, or the run was given up."""


class Mail:
    """What has arrived at one device and was not taken yet."""

    def __init__(self) -> None:
        self._there = threading.Condition()
        self._parcels: dict[Value, Parcel] = {}
        self._stopped = False
        self.waiting = self.most_waiting = 0

    def put(self, parcel: Parcel) -> None:
        """Called by the sender."""
        with self._there:
            self._parcels[parcel.value] = parcel
            self.count(parcel.bytes)
            self._there.notify_all()

    def peek(self, value: Value) -> Parcel:
        """The parcel of `value`, as soon as it is there; Stopped if the run ends before."""
        with self._there:
            self._there.wait_for(lambda: value in self._parcels or self._stopped)
            if self._stopped:
                raise Stopped
            return self._parcels[value]

    def take(self, value: Value) -> Parcel:
        """Like `peek`, and gone from here."""
        with self._there:
            parcel = self._parcels.pop(value)
            self.count(-parcel.bytes)
            return parcel

    def count(self, change: int) -> None:
        """Enters bytes that begin (or with a minus, end) to wait for a pass of this device."""
        with self._there:
            self.waiting += change
            self.most_waiting = max(self.most_waiting, self.waiting)

    def stop(self) -> None:
        """Ends all waiting."""
        with self._there:
            self._stopped = True
            self._there.notify_all()


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
