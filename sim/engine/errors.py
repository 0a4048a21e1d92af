"""What can stop a play: a device out of memory, or devices that wait for each other for ever."""

from __future__ import annotations

from ..base.numbers import LARGEST, Number


class OutOfMemory(ValueError):
    """A device, or the host, was asked for more bytes than it has.

    device: which one; -1 for the host.
    time, op, wanted, free, capacity: who, when, for which pass ("static" for parameters
    and optimizer state), how many bytes, and how many there were.
    """

    def __init__(
        self, device: int, time: Number, op: str, wanted: Number, free: Number, capacity: Number
    ) -> None:  # all positional: SimPy makes a fresh copy from `args`
        super().__init__(device, time, op, wanted, free, capacity)
        self.device, self.time, self.op = device, time, op
        self.wanted, self.free, self.capacity = wanted, free, capacity

    def __str__(self) -> str:
        place = "the host" if self.device < 0 else f"device {self.device}"
        wanted, free, capacity = map(_number, (self.wanted, self.free, self.capacity))
        return (
            f"out of memory on {place} at time {_number(self.time)}: {self.op} wants "
            f"{wanted} byte{'' if wanted == '1' else 's'}, {free} of {capacity} are free"
        )

    def at(self, time: Number) -> OutOfMemory:
        """The same error with its time in another unit."""
        return OutOfMemory(self.device, time, self.op, self.wanted, self.free, self.capacity)


class Deadlock(ValueError):
    """Nothing can happen any more, though passes are left; the message names who waits."""


def _number(value: Number) -> str:
    whole = isinstance(value, int) or (-LARGEST <= value <= LARGEST and value == int(value))
    return f"{int(value):,}" if whole else f"{float(value):,.6g}"
