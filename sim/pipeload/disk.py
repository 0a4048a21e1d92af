"""A disk that several agents read at once: more readers help until it saturates.

Readers share it evenly (processor sharing): with a readers at work each runs at full speed while
a <= saturation, and at saturation / a of it beyond.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import simpy

from ..base.numbers import Number, checked, exact


@dataclass(frozen=True)
class Disk:
    """saturation: how many readers the disk serves at full speed, not necessarily a whole number;
    1 means that readers only take from each other, infinity that they never do."""

    saturation: Number = math.inf

    def __post_init__(self) -> None:
        if self.saturation != math.inf and checked(self.saturation, "disk saturation") == 0:
            raise ValueError("disk saturation is 0: nothing could ever be read")


PRIVATE = Disk()
"""A disk that never saturates."""


def disk_of(bandwidth: Number, per_reader: Number) -> Disk:
    """The disk with that many bytes per second in all, of which one reader gets `per_reader`."""
    for name, rate in {"bandwidth": bandwidth, "per_reader": per_reader}.items():
        if checked(rate, f"disk {name}") == 0:
            raise ValueError(f"disk {name} is 0: nothing could ever be read")
    return Disk(max(exact(bandwidth) / exact(per_reader), Fraction(1)))


def wait(env: simpy.Environment, seconds: Fraction) -> Any:
    """SimPy's timeout, which takes any number although it is annotated for floats."""
    delay: Any = seconds
    return env.timeout(delay)


class SharedReads:
    """The reads in progress on one disk, in exact time."""

    def __init__(self, env: simpy.Environment, disk: Disk) -> None:
        self._env = env
        self._saturation = disk.saturation
        self._left: dict[Any, Fraction] = {}
        self._since: Number = 0
        self._plan = 0

    def read(self, seconds: Number) -> Any:
        """An event at the end of a read that takes `seconds` on a disk of one's own."""
        done = self._env.event()
        self._settle()
        self._left[done] = exact(seconds)
        self._go_on()
        return done

    @property
    def _speed(self) -> Fraction:
        if self._saturation == math.inf:
            return Fraction(1)
        return min(Fraction(1), exact(self._saturation) / max(len(self._left), 1))

    def _settle(self) -> None:
        """Takes what was read since the last change off every read in progress."""
        read = exact(self._env.now - self._since) * self._speed
        for done in self._left:
            self._left[done] -= read
        self._since = self._env.now

    def _go_on(self) -> None:
        """Ends what has been read and waits for the next end, unless a read comes in between."""
        for done in [done for done, left in self._left.items() if left == 0]:
            del self._left[done]
            done.succeed()
        self._plan += 1
        if self._left:
            plan = self._plan
            end = wait(self._env, min(self._left.values()) / self._speed)
            end.callbacks.append(lambda _: self._wake(plan))

    def _wake(self, plan: int) -> None:
        if plan == self._plan:
            self._settle()
            self._go_on()
