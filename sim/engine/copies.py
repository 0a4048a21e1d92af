"""Copies beside compute: a SimPy process per copy queue of a device.

A copy waits until what computes before it in the order of its device has ended, takes memory where
it writes, holds its wire for its time, and gives memory back where it read:

    device, compute   | F3 | F4 | B1 ...
    device, out            |~ O3 ~|          F3 ended: O3 begins, and takes memory of the host
    device, in             |~~ L1 ~~|        ... until here, where B1 may begin
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from ..schedule.ir import Kind
from .recorder import StepLog
from .resources import Memory
from .tasks import Copy, CopyLane

Unit = tuple[int, int, int]
"""Stage, microbatch and slice of a pass."""


class Turns:
    """What the queues of one device wait for from each other; `log`: of its steps that compute."""

    def __init__(self, env: simpy.Environment, log: StepLog) -> None:
        self._env, self._log = env, log
        self._passed: dict[int, simpy.Event] = {}
        self._copied: dict[tuple[Kind, int, Unit], simpy.Event] = {}

    def computed(self, count: int) -> simpy.Event:
        """Fires when so many steps that compute have ended; its value is that time."""
        event = self._passed.setdefault(count, self._env.event())
        if len(self._log.end) >= count and not event.triggered:
            event.succeed(self._log.end[count - 1])
        return event

    def step_ended(self) -> None:
        """One more step that computes has ended."""
        event = self._passed.get(len(self._log.end))
        if event and not event.triggered:
            event.succeed(self._env.now)

    def copied(self, kind: Kind, iteration: int, unit: Unit) -> simpy.Event:
        """Fires at the end of that copy; its value is that time, and the number of the pass."""
        return self._copied.setdefault((kind, iteration, unit), self._env.event())


@dataclass(frozen=True, slots=True)
class CopyQueue:
    """One copy queue at work: its copies, the memory of its device, that of the store, and the
    wires to it, in one order for all. n_passes: of an iteration, with static memory."""

    env: simpy.Environment
    lane: CopyLane
    memory: Memory
    store: Memory
    turns: Turns
    wires: Sequence[simpy.Resource]
    log: StepLog
    n_passes: int

    def run(self, iterations: int) -> Generator[simpy.Event, Any, None]:
        """All copies of all iterations."""
        for iteration in range(iterations):
            for copy in self.lane.copies:
                yield from self.move(copy, iteration)

    def move(self, copy: Copy, iteration: int) -> Generator[simpy.Event, Any, None]:
        """One copy, from waiting for its turn to saying that it has ended."""
        device, shift = self.lane.device, iteration * self.n_passes
        last, latest = -1, -1
        before = iteration * self.lane.n_steps + copy.after
        if before:
            latest = yield self.turns.computed(before)
            if copy.last_pass >= 0:
                last = came_from(copy.last_pass + shift)
        if copy.kind == "L":
            ended, number = yield self.turns.copied("O", iteration, copy.unit)
            if ended > latest:
                last = came_from(number)
        held = []
        for wire in self.wires:
            held.append((wire, wire.request()))
            yield held[-1][1]
        yield self.env.timeout(0)  # whatever ends now gives its memory back first
        start, number = self.env.now, copy.number + shift
        source, target = self.memory, self.store
        if copy.kind == "L":
            source, target = target, source
        target.change(start, copy.taken, number, f"{self.lane.queue} queue of device {device}")
        yield self.env.timeout(copy.durations[iteration])
        for resource, request in held:
            resource.release(request)
        source.change(self.env.now, copy.freed, number)
        self.log.add(start, self.env.now, last)
        self.turns.copied(copy.kind, iteration, copy.unit).succeed((self.env.now, number))


def came_from(number: int) -> int:
    """In place of a message: what came last was written here, by the pass of that number."""
    return -2 - number


def pass_that_wrote(last: Any) -> Any:
    """The number of the pass that `came_from` hid, or of an array of them."""
    return -2 - last
