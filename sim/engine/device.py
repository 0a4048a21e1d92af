"""The model: one SimPy process per device, which takes the steps of the schedule in order.

A step waits until everything it reads is on the device, takes memory, runs, gives memory back and
hands what it wrote to the wires:

    device a   | F3 |.....            F3 ends: its activation is written
    wire a->b       |~~~~|            waits for the wire, holds it for bytes / bandwidth
    latency              |--|         send + link latency; then it has arrived
    device b                | F3 |
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from ..base.numbers import Number
from .copies import Turns, came_from
from .numbering import NONE, Message, Numbering
from .recorder import StepLog
from .resources import IterationBarrier, Memory, SharedSpeed
from .tasks import Task
from .wires import Wires

Process = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a cluster: its tasks, its memory, and the speed and wires that all share.

    static: bytes it holds from the start to the end. turns: what it and its copies wait for.
    awaited: the sums of gradients that other devices send it at the end of a batch.
    """

    env: simpy.Environment
    tasks: Sequence[Task]
    numbering: Numbering
    memory: Memory
    static: Number
    speed: SharedSpeed
    wires: Wires
    log: StepLog
    turns: Turns | None = None
    awaited: Sequence[Message] = ()

    def run(
        self, iterations: int, barrier: IterationBarrier | None, optimizer: int | float
    ) -> Process:
        """Everything the device does: all tasks of all iterations.

        barrier: where all devices meet between two iterations; None if each goes on alone.
        optimizer: ticks between two iterations.
        """
        self.memory.take_static(self.env.now, self.static)
        for iteration in range(iterations):
            if iteration:
                if barrier:
                    yield barrier.arrive(iteration)
                yield self.env.timeout(optimizer)
            for task in self.tasks:
                yield from self.step(task, iteration)
            if self.awaited:
                yield from self.receive(self.awaited, self.numbering.message_shift(iteration))

    def step(self, task: Task, iteration: int) -> Process:
        """Run one task, from waiting for its inputs to sending its outputs."""
        work, numbering = task.work, self.numbering
        # A task has the numbers of the first iteration, and its work those of microbatch 0.
        first_pass = task.first_pass + numbering.pass_shift(iteration)
        shift = numbering.message_shift(iteration, task.microbatch)
        last = yield from self.receive(work.inputs, shift)
        if self.turns:
            last = yield from self.load(task, iteration, last)
        start = self.env.now
        for change in work.takes:
            self.memory.change(start, change, first_pass)
        if duration := task.durations[iteration]:
            yield self.speed.run(duration)
        end = self.env.now
        for change in work.frees:
            self.memory.change(end, change, first_pass)
        self.log.add(start, end, last)
        if self.turns:
            self.turns.step_ended()
        for output in work.outputs:
            self.wires.send(output.message + shift, output.channel, first_pass + output.place)
        if self.wires.blocking:
            yield from self.await_delivery(
                [
                    output.message + shift
                    for output in work.outputs
                    if output.channel.value.kind != "weight_gradient"
                ]
            )

    def receive(
        self, inputs: Sequence[Message], shift: int
    ) -> Generator[simpy.Event, Any, Message]:
        """Wait until all inputs are here; the message that came last, or NONE."""
        if self.wires.just_in_time:
            self.wires.post_receives(message + shift for message in inputs)
        last, latest = NONE, -1  # before all times
        for message in inputs:
            arrived = yield self.wires.arrival(message + shift)
            if arrived > latest:
                last, latest = message + shift, arrived
        return last

    def load(
        self, task: Task, iteration: int, last: Message
    ) -> Generator[simpy.Event, Any, Message]:
        """Wait until all that was offloaded is back, and whatever ends now has given its memory
        back; what came last, a message or a copy."""
        assert self.turns
        came = self.env.now
        for stage, microbatch, part in task.work.loads:
            unit = stage, microbatch + task.microbatch, part
            ended, number = yield self.turns.copied("L", iteration, unit)
            if last == NONE or ended > came:
                came, last = max(ended, came), came_from(number)
        yield self.env.timeout(0)
        return last

    def await_delivery(self, messages: Iterable[Message]) -> Process:
        """Wait until all messages are where they are read: sends block."""
        for message in messages:
            self.log.sending = message
            yield self.wires.arrival(message)
        self.log.sending = None
