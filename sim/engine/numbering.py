"""How passes and messages are numbered: nothing else in the engine knows.

A play handles both as whole numbers, which are quick to look up and small to write down.

**Passes** are numbered device by device; before those of a device comes its static memory:

    static of 0 | passes of 0 in order | static of 1 | passes of 1 in order | ...

A **channel** is all values of one kind, stage and slice that cross from one device to another, and
are of one size; such a value, on its way to one device, is a **message**. Messages are numbered
channel by channel:

    microbatches of channel 0 in order | microbatches of channel 1 in order | ...

Both series go on in the next iteration.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ..schedule.ir import Op, Schedule, Value

Message = int
"""The number of a value that crosses, in one iteration."""
NONE: Message = -1
"""In place of a message: nothing crossed."""


class Numbering:
    """The numbers of one schedule, whose `channels` are given by one value of each.

    alike: of each microbatch, the one of its size in `channels`, shape `(n_microbatches,)`;
        the first for all if not given. Gradients of weights cross once a batch: of these the one of
        a channel is the only one.
    to: the device to which each channel leads, shape `(n_channels,)`; needed where a value goes to
        several.
    static: the number of each device's static memory, shape `(n_devices,)`.
    """

    def __init__(
        self,
        schedule: Schedule,
        channels: Sequence[Value],
        alike: Sequence[int] = (),
        to: Sequence[int] = (),
    ) -> None:
        self.schedule, self.channels = schedule, tuple(channels)
        self._alike = alike or (0,) * schedule.n_microbatches
        lengths = (len(order) + 1 for order in schedule.orders)
        *static, self._n_passes = accumulate(lengths, initial=0)
        self.static = tuple(static)
        self._to = tuple(to)
        self._ways: dict[Value, tuple[int, ...]] = {}
        for number, value in enumerate(self.channels):
            self._ways[value] = (*self._ways.get(value, ()), number)

    # -- messages

    def ways(self, value: Value) -> tuple[int, ...]:
        """The numbers of the channels through which `value` crosses; () if it stays."""
        if value.kind == "weight_gradient":
            return self._ways.get(value, ())
        return self._ways.get(value._replace(microbatch=self._alike[value.microbatch]), ())

    def channel(self, value: Value, device: int) -> int | None:
        """The number of the channel through which `value` crosses to `device`; None if there is
        none, as it stays."""
        ways = self.ways(value)
        if len(ways) > 1 or self._to:
            ways = tuple(way for way in ways if self._to[way] == device)
        return ways[0] if ways else None

    def message(self, channel: int, microbatch: int) -> Message:
        """The number of the value of that microbatch of a channel, in the first iteration."""
        return channel * self.schedule.n_microbatches + microbatch

    def message_shift(self, iteration: int, microbatch: int = 0) -> int:
        """What to add to a message for the one of so many iterations and microbatches later."""
        return iteration * len(self.channels) * self.schedule.n_microbatches + microbatch

    def origin(self, message: Any) -> tuple[Any, Any, Any]:
        """(channel, microbatch, iteration) of a message, or of a whole array of them."""
        rest, microbatch = divmod(message, self.schedule.n_microbatches)
        iteration, channel = divmod(rest, len(self.channels))
        return channel, microbatch, iteration

    def value(self, message: Message) -> Value:
        """The value that a message is."""
        channel, microbatch, _ = self.origin(message)
        kind, stage, _, part = self.channels[channel]
        return Value(kind, stage, microbatch, part)

    # -- passes

    def first_pass(self, device: int, position: Any) -> Any:
        """The number of the pass at that position of a device's order, or at an array of them, in
        the first iteration."""
        return self.static[device] + 1 + position

    def pass_shift(self, iteration: Any) -> Any:
        """What to add to the number of a pass for the same one so many iterations later."""
        return iteration * self._n_passes

    def in_first(self, number: Any) -> Any:
        """The same pass in the first iteration, or a whole array of them."""
        return number % self._n_passes

    def table(self) -> tuple[list[int], list[int], list[Op | None]]:
        """Device, position and pass of every number of the first iteration, as columns; static
        memory is at position -1, and no pass."""
        orders = self.schedule.orders
        return (
            [device for device, order in enumerate(orders) for _ in range(len(order) + 1)],
            [position for order in orders for position in range(-1, len(order))],
            [op for order in orders for op in (None, *order)],
        )

    def name(self, number: int) -> str:
        """The pass of that number as text, or "static"."""
        number = self.in_first(number)
        device = bisect(self.static, number) - 1
        position = number - self.first_pass(device, 0)
        return str(self.schedule.orders[device][position]) if position >= 0 else "static"
