"""Plays a schedule on a cluster and writes down what happened: checks, sets the scene, plays.

The model itself is `device`: a SimPy process per device. Nothing is random unless `jitter` is asked
for, and ties are broken by creation order, so two plays of one schedule are equal. Whole-number
costs give whole-number times (see `sim.base.numbers`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import simpy

from ..base.gc_pause import gc_pause
from ..base.numbers import Number, checked, checked_type, checked_whole, plus
from ..base.progress import bar
from ..schedule.ir import Schedule
from ..schedule.rules import PLAYABLE
from ..schedule.validate import validate
from .cluster import Cluster
from .copies import CopyQueue, Turns
from .costs import Costs
from .costs_fit import fits
from .device import Device
from .errors import Deadlock, OutOfMemory
from .plan import planned
from .posting_order import posting_order
from .recorder import Record
from .resources import IterationBarrier, Memory, MessageQueue, SharedSpeed
from .tasks import Plan
from .trace import Trace
from .wires import Wires

MOST_JITTER = 3
"""Beyond it, one pass would often take as long as all others together."""
EVERY = 4096
"""SimPy events between two reports of progress."""


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
    cluster = _checked_cluster(cluster, schedule)
    iterations = checked_whole(iterations, "iterations")
    if checked(jitter, "jitter") > MOST_JITTER:
        raise ValueError(f"jitter is {jitter}: it must be at most {MOST_JITTER}")
    seed = checked_whole(seed, "seed", least=0)
    checked(optimizer, "optimizer")

    plan = planned(
        schedule, costs, cluster,
        iterations=iterations, optimizer=optimizer, jitter=jitter, seed=seed,
    )  # fmt: skip
    whole = plan.ticks.per_unit > 0 and cluster.neighbour_slowdown == 1
    env, record = simpy.Environment(), Record(plan, whole=whole)
    devices, queues = _scene(env, plan, record, costs=costs, cluster=cluster, iterations=iterations)
    meeting = IterationBarrier(env, schedule.n_devices) if barrier else None
    for device in devices:
        env.process(device.run(iterations, meeting, plan.ticks.count(optimizer)))
    for queue in queues:
        env.process(queue.run(iterations))
    with bar(f"simulating {schedule.name}", schedule.n_ops * iterations, shown=progress) as tell:
        try:
            _play(env, record, tell)
        except OutOfMemory as error:
            raise error.at(plan.ticks.time(error.time)) from None
    if waits := _waits(plan, record, iterations):
        raise Deadlock(
            f"{schedule.name}: with {cluster.transfers} transfers and {cluster.receives} receives "
            f"nothing can go on: {waits}"
        )
    return Trace(
        schedule,
        ops=record,
        transfers=record,
        memory=record,
        iterations=iterations,
        per_unit=plan.ticks.per_unit if whole else 0,
        capacity=cluster.memory,
    )


def _checked_cluster(cluster: Cluster | None, schedule: Schedule) -> Cluster:
    if cluster is None:
        return Cluster(schedule.n_devices)
    checked_type(cluster, Cluster, "Cluster(n_devices) makes one")
    if cluster.n_devices != schedule.n_devices:
        raise ValueError(
            f"the cluster has {cluster.n_devices} devices, {schedule.name} has {schedule.n_devices}"
        )
    return cluster


def _scene(
    env: simpy.Environment,
    plan: Plan,
    record: Record,
    *,
    costs: Costs,
    cluster: Cluster,
    iterations: int,
) -> tuple[list[Device], list[CopyQueue]]:
    """All devices and copy queues, with what they share."""
    numbering, schedule = plan.numbering, plan.numbering.schedule
    queues = []
    if cluster.receives == "early":
        shifts = [*map(numbering.message_shift, range(iterations))]
        for order in posting_order(plan):
            queues.append(MessageQueue(env, [n + shift for shift in shifts for n in order]))
    wires = Wires(env, cluster, log=record.transfers, queues=queues)
    speed = SharedSpeed(env, cluster.n_devices, cluster.neighbour_slowdown)
    devices = []
    for number, (tasks, log) in enumerate(zip(plan.tasks, record.steps, strict=True)):
        capacity, log_of_memory = cluster.memory[number], record.memory[number]
        memory = Memory(number, capacity, numbering=numbering, log=log_of_memory)
        static = reduce(plus, (costs.static_bytes[s] for s in schedule.stages_of[number]))
        turns = Turns(env, log) if plan.copies else None
        awaited = plan.awaited[number]
        devices.append(
            Device(env, tasks, numbering, memory, static, speed, wires, log, turns, awaited)
        )
    if not plan.copies:
        return devices, []
    host = Memory(-1, cluster.host_memory, numbering=numbering, log=record.host)
    host_links = {name: simpy.Resource(env) for name in {*cluster.host_links}}
    copying = []
    for lane, log in zip(plan.copies, record.copies, strict=True):
        device, store = devices[lane.device], host
        own = cluster.host_links[lane.device : lane.device + 1]
        held = [host_links[name] for name in own]
        if lane.store is not None:
            pair = (lane.device, lane.store)
            route = cluster.routes.get(pair if lane.queue == "out" else pair[::-1], ())
            held = [wires.wires[name] for name in sorted({*route})]
            store = devices[lane.store].memory
        assert device.turns
        copying.append(
            CopyQueue(
                env, lane, device.memory, store, device.turns, held, log,
                n_passes=numbering.pass_shift(1),
            )
        )  # fmt: skip
    return devices, copying


def _play(env: simpy.Environment, record: Record, tell: Callable[[float], None] | None) -> None:
    """Run until nothing can happen any more; now and then tell how many steps have been played."""
    while tell and env.peek() < math.inf:
        for _ in range(EVERY):
            if env.peek() < math.inf:
                env.step()
        tell(len(record.step_order))
    env.run()


def _waits(plan: Plan, record: Record, iterations: int) -> str:
    """For every device that is not through: the pass it waits to run, and what it waits to get rid
    of; "" if all are through."""
    waits = []
    for device, (tasks, log) in enumerate(zip(plan.tasks, record.steps, strict=True)):
        at = until = ""
        if len(log.end) < iterations * len(tasks):
            at = f" at {plan.numbering.name(tasks[len(log.end) % len(tasks)].first_pass)}"
        if log.sending is not None:
            until = f" until its {plan.numbering.value(log.sending)} is received"
        if at or until:
            waits.append(f"device {device} waits{at}{until}")
    for lane, log in zip(plan.copies, record.copies, strict=True):
        if len(log.end) < iterations * len(lane.copies):
            copy = lane.copies[len(log.end) % len(lane.copies)]
            name = plan.numbering.name(copy.number)
            waits.append(f"the {lane.queue} queue of device {lane.device} waits at {name}")
    return ", ".join(waits)
