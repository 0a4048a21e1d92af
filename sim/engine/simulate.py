"""Plays a schedule on a cluster and writes down what happened: a SimPy process per device.

A device takes its steps in order. A step waits until everything it reads is on the device, takes
memory, runs, gives memory back and hands what it wrote to the wires:

    device a   | F3 |.....            F3 ends: its activation is written
    wire a->b       |~~~~|            waits for the wire, holds it for bytes / bandwidth
    latency              |--|         send + link latency; then it has arrived
    device b                | F3 |

Nothing is random unless `jitter` is asked for, and ties are broken by creation order, so two plays
of one schedule are equal. Whole-number costs give whole-number times (see `exact`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import reduce
from typing import Any

import simpy

from ..base.gc_pause import gc_pause
from ..base.numbers import Number, checked, checked_type, checked_whole, plus
from ..base.progress import bar
from ..schedule.ir import Schedule
from ..schedule.rules import PLAYABLE
from ..schedule.validate import validate
from .cluster import Cluster
from .costs import Costs, fits
from .frames import recorded
from .posting_order import message_order
from .recorder import NONE, Recorder
from .resources import Deadlock, Gate, Memory, MessageQueue, OutOfMemory, Pace
from .tasks import Message, Task, tasks
from .trace import Trace
from .wires import Wires

MOST_JITTER = 3
"""Beyond it, one pass would often take as long as all others together."""


@gc_pause()
def simulate(
    schedule: Schedule,
    costs: Costs,
    cluster: Cluster | None = None,
    *,
    iterations: int = 1,
    barrier: bool = True,
    optimizer: Number = 0,
    jitter: float = 0.0,
    seed: int = 0,
    progress: bool = False,
) -> Trace:
    """What happens when `schedule` runs with these costs: a `Trace` of passes, transfers, memory.

    cluster: devices and links; by default equal devices without a memory limit and ideal wires, so
        that a transfer takes exactly `costs.send`.
    iterations: how often the schedule is played, with `optimizer` (time) between two of them.
    barrier: whether all devices wait for each other before the optimizer step. Without it
        (post-validation) a device goes on alone, and iterations overlap.
    jitter: standard deviation of the logarithm of a random factor on every pass of every iteration,
        drawn with `seed`; at most 3.
    progress: a line on stderr while it runs, if stderr is a terminal.

    A schedule need only be playable: microbatches may come in any order on the last stage, which
    `validate` objects to.

    Raises InvalidSchedule, OutOfMemory or Deadlock (blocking or early-posted messages can wait
    for each other where buffered ones cannot); all are ValueErrors.
    """
    validate(schedule, rules=PLAYABLE)
    fits(costs, schedule)
    cluster = Cluster(schedule.n_devices) if cluster is None else cluster
    checked_type(cluster, Cluster, "Cluster(n_devices) makes one")
    if cluster.n_devices != schedule.n_devices:
        raise ValueError(
            f"the cluster has {cluster.n_devices} devices, {schedule.name} has {schedule.n_devices}"
        )
    iterations = checked_whole(iterations, "iterations")
    if checked(jitter, "jitter") > MOST_JITTER:
        raise ValueError(f"jitter is {jitter}: it must be at most {MOST_JITTER}")
    seed = checked_whole(seed, "seed", least=0)
    checked(optimizer, "optimizer")
    plan = tasks(
        schedule, costs, cluster, jitter=jitter, seed=seed, extra=optimizer, repeats=iterations
    )
    total = schedule.n_ops * iterations
    with bar(f"simulating {schedule.name}", total, shown=progress) as tell:
        env = simpy.Environment()
        record = Recorder(schedule, plan.channels, tell=tell)
        queues: tuple[MessageQueue, ...] = ()
        if cluster.receives == "early":
            queues = tuple(
                MessageQueue(env, [i * plan.n_messages + n for i in range(iterations) for n in row])
                for row in message_order(schedule, plan.channels)
            )
        wires = Wires(env, cluster, plan, record=record, queues=queues)
        gate = Gate(env, schedule.n_devices)
        pace = Pace(env, schedule.n_devices, cluster.neighbour_slowdown)
        pause = plan.ticks.count(optimizer)
        for device, line in enumerate(plan.per_device):
            memory = Memory(
                device, cluster.memory[device], note=record.changes.append, name=record.name
            )
            held = (costs.static_bytes[stage] for stage in schedule.stages_of[device])
            life = _Life(env, line, wires, memory, pace, record)
            env.process(life.run(iterations, gate if barrier else None, pause, reduce(plus, held)))
        try:
            env.run()
        except OutOfMemory as error:
            raise error.at(plan.ticks.time(error.time)) from None
    if sum(record.done) < total:
        raise Deadlock(
            f"{schedule.name}: with {cluster.transfers} transfers and {cluster.receives} receives "
            f"nothing can go on: {record.stopped_at(iterations)}"
        )
    return recorded(record, cluster, plan.ticks, iterations)


class _Life:
    """What one device does from the first task of the first iteration to the last of the last."""

    def __init__(
        self,
        env: simpy.Environment,
        line: tuple[Task, ...],
        wires: Wires,
        memory: Memory,
        pace: Pace,
        record: Recorder,
    ) -> None:
        self.env, self.line, self.wires = env, line, wires
        self.memory, self.pace, self.record = memory, pace, record

    def run(
        self, iterations: int, gate: Gate | None, pause: int | float, static: Number
    ) -> Generator[simpy.Event, Any, None]:
        env, memory, record, device = self.env, self.memory, self.record, self.memory.device
        wires, arrived, run = self.wires, self.wires.arrived, self.pace.run
        memory.change(env.now, static, 0, record.static[device])
        for iteration in range(iterations):
            if iteration:
                if gate:
                    yield gate.arrive(iteration)
                yield env.timeout(pause)
            number = iteration * record.static[-1] + record.static[device] + 1
            for work, microbatch, durations in self.line:
                base = iteration * wires.n_messages + microbatch
                if wires.late:
                    wires.post_late(work.inputs, base)
                last = NONE
                for message in work.inputs:
                    message += base
                    if not (arrival := wires.arrival(message)).processed:
                        yield arrival
                    if last == NONE or arrived[message] > arrived[last]:
                        last = message
                start = env.now
                for size, chunks, place in work.takes:
                    memory.change(start, size, chunks, number + place)
                if duration := durations[iteration if len(durations) > 1 else 0]:
                    yield run(duration)
                end = env.now
                for size, chunks, place in work.frees:
                    memory.change(end, size, chunks, number + place)
                record.step(device, work.size, (number, start, end, last))
                for message, channel, place in work.outputs:
                    wires.send(base + message, channel, number + place)
                if wires.blocking:
                    yield from self._received(base + message for message, _, _ in work.outputs)
                number += work.size

    def _received(self, messages: Iterable[Message]) -> Generator[simpy.Event, Any, None]:
        for message in messages:
            self.record.sending[self.memory.device] = message
            if not (arrival := self.wires.arrival(message)).processed:
                yield arrival
            del self.record.sending[self.memory.device]
