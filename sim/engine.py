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

from collections.abc import Generator
from functools import reduce
from typing import Any

import simpy

from .cluster import Cluster
from .collector import paused_collector
from .costs import Costs, fits
from .exact import Number, checked, checked_type, checked_whole, plus
from .ir import Schedule
from .messages import message_order
from .progress import bar
from .record import Message, Recorder
from .resources import Deadlock, Gate, Memory, MessageQueue, OutOfMemory, Pace
from .rules import PLAYABLE
from .tasks import Task, tasks
from .trace import Trace
from .validate import validate
from .wires import Wires

MOST_JITTER = 3
"""Beyond it, one pass would often take as long as all others together."""


@paused_collector()
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
    ticks, lines, crossing = tasks(
        schedule, costs, cluster, jitter=jitter, seed=seed, extra=optimizer, repeats=iterations
    )
    total = schedule.n_ops * iterations
    with bar(f"simulating {schedule.name}", total, shown=progress) as tell:
        env = simpy.Environment()
        record = Recorder(schedule, tell=tell)
        queues: tuple[MessageQueue, ...] = ()
        if cluster.receives == "early":
            messages = message_order(schedule)
            queues = tuple(
                MessageQueue(env, [(value, i) for i in range(iterations) for value in row])
                for row in messages
            )
        wires = Wires(env, schedule, cluster, crossing=crossing, record=record, queues=queues)
        gate = Gate(env, schedule.n_devices)
        pace = Pace(env, schedule.n_devices, cluster.neighbour_slowdown)
        pause = ticks.count(optimizer)
        for device, line in enumerate(lines):
            memory = Memory(device, cluster.memory[device], record.memory)
            held = (costs.static_bytes[stage] for stage in schedule.stages_of[device])
            static = reduce(plus, held)
            life = _Life(env, line, wires, memory, pace, record)
            env.process(life.run(iterations, gate if barrier else None, pause, static))
        try:
            env.run()
        except OutOfMemory as error:
            raise error.at(ticks.time(error.time)) from None
    if record.n_passes < total:
        raise Deadlock(
            f"{schedule.name}: with {cluster.transfers} transfers and {cluster.receives} receives "
            f"nothing can go on: {record.stopped_at(iterations)}"
        )
    return record.trace(costs, cluster, ticks, iterations)


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
        self.memory.change(self.env.now, static, 0, reason="static")
        for iteration in range(iterations):
            if iteration:
                if gate:
                    yield gate.arrive(iteration)
                yield self.env.timeout(pause)
            for task in self.line:
                yield from self._task(task, iteration)

    def _task(self, task: Task, iteration: int) -> Generator[simpy.Event, Any, None]:
        env, wires, memory, device = self.env, self.wires, self.memory, self.memory.device
        wires.post_late(task, iteration)
        last: Message | None = None
        for value in task.inputs:
            message = value, iteration
            arrival = wires.arrival(message)
            if not arrival.processed:
                yield arrival
            if last is None or wires.arrived[message] > wires.arrived[last]:
                last = message
        start = env.now
        for size, chunks, op in task.takes:
            memory.change(start, size, chunks, reason=op)
        if duration := task.durations[iteration if len(task.durations) > 1 else 0]:
            yield self.pace.run(duration)
        for size, chunks, op in task.frees:
            memory.change(env.now, size, chunks, reason=op)
        self.record.step(device, task.step, iteration, (start, env.now, last))
        for value, op in task.outputs:
            wires.send((value, iteration), op)
        if wires.blocking:
            for value, _ in task.outputs:
                self.record.sending[device] = value
                if not (arrival := wires.arrival((value, iteration))).processed:
                    yield arrival
                del self.record.sending[device]
