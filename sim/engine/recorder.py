"""Writes down a play while it happens: only what the play decides, in numbers.

Everything else about a row (which pass, whose stage, how many bytes) the schedule and its channels
know; `frames` looks it up in whole columns afterwards. Passes are numbered device after device, and
before those of each device comes a number for its static memory:

    static of 0 | passes of 0 in order | static of 1 | passes of 1 in order | ...

and on from there in the next iteration.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate

from ..base.numbers import Number
from ..schedule.ir import Schedule, Value
from .tasks import Channel, Message

EVERY = 4096
"""Steps between two reports of progress."""
NONE: Message = -1
"""In place of a message: the step read nothing from other devices."""


class Recorder:
    """The rows of a play in the order in which they happened, times in ticks.

    static: the number of the static memory of each device; one more says how many numbers there are
        in an iteration.
    done: how many passes each device is through with.
    sending: what keeps each device that is blocked by a send of its own.
    """

    def __init__(
        self,
        schedule: Schedule,
        channels: Sequence[Channel],
        *,
        tell: Callable[[int], None] | None = None,
    ) -> None:
        self.schedule, self.channels, self.tell = schedule, channels, tell
        self.static = [0, *accumulate(len(order) + 1 for order in schedule.orders)]
        self.done = [0] * schedule.n_devices
        self.sending: dict[int, Message] = {}
        self.steps: list[tuple[int, Number, Number, Message]] = []
        """(number of the first pass, start, end, the message it got last)"""
        self.transfers: list[tuple[Message, int, Number, Number, Number]] = []
        """(message, number of the pass that wrote it, ready, start, end)"""
        self.changes: list[tuple[int, Number, Number, Number, int]] = []
        """(number of the pass, time, change in bytes, live bytes, live chunks)"""

    def step(self, device: int, size: int, row: tuple[int, Number, Number, Message]) -> None:
        """A step of `size` passes ran."""
        self.steps.append(row)
        self.done[device] += size
        if self.tell and len(self.steps) % EVERY == 0:
            self.tell(sum(self.done))

    def name(self, number: int) -> str:
        """The pass of that number as text, or "static"."""
        number %= self.static[-1]
        device = bisect(self.static, number) - 1
        place = number - self.static[device]
        return str(self.schedule.orders[device][place - 1]) if place else "static"

    def stopped_at(self, iterations: int) -> str:
        """For every device that is not through `iterations`: the pass it waits to run, and what it
        has not got rid of."""
        waits = []
        for device, (order, done) in enumerate(zip(self.schedule.orders, self.done, strict=True)):
            at = f" at {order[done % len(order)]}" if done < iterations * len(order) else ""
            sent = self.sending.get(device)
            until = "" if sent is None else f" until its {self._value(sent)} is received"
            if at or until:
                waits.append(f"device {device} waits{at}{until}")
        return ", ".join(waits)

    def _value(self, message: Message) -> Value:
        channel, microbatch = divmod(message, self.schedule.n_microbatches)
        return self.channels[channel % len(self.channels)].value._replace(microbatch=microbatch)
