"""Who runs what and who waits for what: a board that every worker writes to, and that is watched.

A run is given up where a pass fails, or where no pass has begun for too long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from sim import Op, Value


class PassFailed(RuntimeError):
    """A pass raised; the message names device, pass and reason, the cause is the exception."""

    def __init__(self, device: int, op: Op | None, error: BaseException) -> None:
        place = f"in {op}" if op else "outside of its passes"
        super().__init__(f"device {device} failed {place}: {type(error).__name__}: {error}")
        self.device, self.op = device, op


class Stuck(RuntimeError):
    """No pass has begun for too long; the message lists who does and waits for what."""


class _Status(NamedTuple):
    what: str
    since: float


class Board:
    """What every device is doing right now."""

    def __init__(self, n_devices: int) -> None:
        self._changed = threading.Condition()
        self._status = [_Status("has not begun", time.monotonic())] * n_devices
        self._last_move = time.monotonic()
        self._begun = [0] * n_devices
        self._ended = 0
        self.failure: PassFailed | None = None

    def runs(self, device: int, op: Op) -> None:
        """`device` begins `op`."""
        self._status[device] = _Status(f"is in {op}", time.monotonic())
        self._last_move = time.monotonic()
        self._begun[device] += 1

    def moves(self) -> None:
        """A copy begins or ends."""
        self._last_move = time.monotonic()

    def waits(self, device: int, op: Op, value: Value) -> None:
        """`device` cannot begin `op` before `value` is there."""
        self._status[device] = _Status(f"waits for the {value} before {op}", time.monotonic())

    def rests(self, device: int, what: str) -> None:
        """`device` is between iterations."""
        self._status[device] = _Status(what, time.monotonic())
        self._last_move = time.monotonic()

    def ends(self, device: int) -> None:
        """`device` is through."""
        with self._changed:
            self._ended += 1
            self.rests(device, "is through")
            self._changed.notify_all()

    def fails(self, device: int, op: Op | None, error: BaseException) -> None:
        """`op` raised on `device`; the first one to say so counts."""
        with self._changed:
            if self.failure is None:
                self.failure = PassFailed(device, op, error)
                self.failure.__cause__ = error
            self._changed.notify_all()

    def watch(
        self,
        timeout: float,
        stop: Callable[[], None],
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Returns when all devices are through; else calls `stop` and raises PassFailed or Stuck.

        timeout: seconds without any pass beginning that count as stuck. progress: gets the number
        of passes begun, once a second.
        """
        n_devices = len(self._status)
        self._last_move = time.monotonic()
        with self._changed:
            while self._ended < n_devices and self.failure is None:
                idle = time.monotonic() - self._last_move
                if idle >= timeout:
                    break
                self._changed.wait(min(timeout - idle, 1.0))
                if progress:
                    progress(sum(self._begun))
            if self._ended == n_devices and self.failure is None:
                return
        stop()
        raise self.failure or Stuck(
            f"nothing has moved for {timeout:g} seconds: {self.report()}; if passes really take "
            "that long, give a larger timeout"
        )

    def report(self) -> str:
        """One clause per device."""
        now = time.monotonic()
        return ", ".join(
            f"device {device} {what}"
            + ("" if what == "is through" else f" (for {now - since:.1f} s)")
            for device, (what, since) in enumerate(self._status)
        )
