"""Writes a play down while it happens: only what the play decides, as numbers in columns.

Everything else about a row (which pass, whose stage, how many bytes) the schedule and its channels
know. A `Trace` keeps the record of its play: clocks are read off it, and frames are made of it, in
whole columns, when somebody asks for them. Times are in ticks.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from ..base.numbers import Number
from .numbering import Message
from .tasks import Plan

if TYPE_CHECKING:
    from .pass_table import Passes


class StepLog:
    """The steps of one device: when each began and ended, and the message it got last.

    sending: the message that keeps the device, where sends block.
    order: the devices of all steps of the play, in the order in which they ended.
    """

    def __init__(self, device: int, order: list[int]) -> None:
        self.device, self.order = device, order
        self.start: list[Number] = []
        self.end: list[Number] = []
        self.last: list[Message] = []
        self.sending: Message | None = None

    def add(self, start: Number, end: Number, last: Message) -> None:
        """One more step ran."""
        self.start.append(start)
        self.end.append(end)
        self.last.append(last)
        self.order.append(self.device)


class TransferLog:
    """What crossed: the message, the number of the pass that wrote it, when it was written, when
    the wires were granted and when it arrived."""

    def __init__(self) -> None:
        self.message: list[Message] = []
        self.writer: list[int] = []
        self.ready: list[Number] = []
        self.start: list[Number] = []
        self.end: list[Number] = []

    def add(
        self, message: Message, writer: int, *, ready: Number, start: Number, end: Number
    ) -> None:
        """One more message has arrived, or is known to arrive then."""
        self.message.append(message)
        self.writer.append(writer)
        self.ready.append(ready)
        self.start.append(start)
        self.end.append(end)


class MemoryLog:
    """Changes of memory on one device: the number of the pass (or of static memory), when, by how
    many bytes, and the bytes and chunks that were live after it.

    order: the devices of all changes of the play.
    """

    def __init__(self, device: int, order: list[int]) -> None:
        self.device, self.order = device, order
        self.number: list[int] = []
        self.time: list[Number] = []
        self.change: list[Number] = []
        self.live: list[Number] = []
        self.chunks: list[int | Fraction] = []

    def add(
        self, number: int, time: Number, *, change: Number, live: Number, chunks: int | Fraction
    ) -> None:
        """One more change."""
        self.number.append(number)
        self.time.append(time)
        self.change.append(change)
        self.live.append(live)
        self.chunks.append(chunks)
        self.order.append(self.device)


class Record:
    """What a play leaves behind.

    whole: whether all times are whole ticks.

    steps, memory: a log per device, shape `(n_devices,)`. copies: one per copy queue (`lanes`);
    host: of its memory. step_order, memory_order: the device of
    every entry in them, in the order of the play.
    """

    def __init__(self, plan: Plan, *, whole: bool) -> None:
        self.numbering, self.channels, self.ticks = plan.numbering, plan.channels, plan.ticks
        self.whole = whole
        self.step_order: list[int] = []
        self.memory_order: list[int] = []
        self.lanes = plan.copies
        # Of every step of an iteration, device by device, the share in which nothing is computed.
        self.exposed: list[list[Fraction]] = []
        if plan.exchanges:
            self.exposed = [[task.work.exposed for task in tasks] for tasks in plan.tasks]
        devices = range(len(plan.tasks))
        self.steps = [StepLog(device, self.step_order) for device in devices]
        self.memory = [MemoryLog(device, self.memory_order) for device in devices]
        # What is beside the devices is numbered after them: copy queues, and the host.
        beside = range(len(plan.tasks), len(plan.tasks) + len(plan.copies))
        self.copies = [StepLog(number, self.step_order) for number in beside]
        self.host = MemoryLog(len(plan.tasks), self.memory_order)
        self.transfers = TransferLog()

    @cached_property
    def passes(self) -> Passes:
        """What frames tell about every pass."""
        from .pass_table import passes_of

        return passes_of(self.numbering)
