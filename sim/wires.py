"""Moves values between devices, and knows when each has arrived.

A transfer waits for its turn (if receives are posted early) and for every wire of its route, holds
them for bytes / bandwidth, and arrives `send` + link latency after that. Wires are asked for one by
one in the order of their names; one that is granted is kept while the transfer waits for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

import simpy

from .cluster import Cluster
from .exact import Number
from .ir import Op, Schedule
from .record import Message, Recorder
from .resources import MessageQueue
from .tasks import Crossing, Task, home

Process = Generator[simpy.Event, Any, None]


class Wires:
    """The transfers of one play; `queues` of messages per device if receives are posted early."""

    def __init__(
        self,
        env: simpy.Environment,
        schedule: Schedule,
        cluster: Cluster,
        *,
        crossing: Crossing,
        record: Recorder,
        queues: Sequence[MessageQueue] = (),
    ) -> None:
        self.env, self.schedule, self.cluster = env, schedule, cluster
        self.crossing, self.record = crossing, record
        self.policy, self.queues = cluster.receives, queues
        self.blocking = cluster.transfers == "blocking"
        self.wires = {name: simpy.Resource(env) for name in cluster.links}
        self.arrived: dict[Message, Number] = {}
        """When each message was on the device that reads it, in ticks."""
        self._arrivals: dict[Message, simpy.Event] = {}
        self._posted: dict[Message, simpy.Event] = {}

    def arrival(self, message: Message) -> simpy.Event:
        """Fires when the message is on the device that reads it."""
        event = self._arrivals.get(message)
        if event is None:
            event = self._arrivals[message] = self.env.event()
        return event

    def post_late(self, task: Task, iteration: int) -> None:
        """The device has nothing left to do but `task`."""
        if self.policy == "just-in-time":
            for value in task.inputs:
                self._receiver((value, iteration)).succeed()

    def send(self, message: Message, op: Op) -> None:
        """Start moving a value that `op` has just written."""
        pair = home(self.schedule, message[0])
        route = self.cluster.routes.get(pair, ())
        if route or self.policy != "buffered":
            self.env.process(self._transfer(message, op, pair, route))
            return
        now = self.env.now
        latency = self.crossing(message[0], pair)[1]
        trip = self.env.timeout(latency)
        waiting = self._arrivals.get(message)
        if waiting is None:
            self._arrivals[message] = trip
        else:
            trip.callbacks.append(_forward(waiting))
        self._log(message, op, pair, now, now, now + latency)

    def _transfer(
        self, message: Message, op: Op, pair: tuple[int, int], route: tuple[str, ...]
    ) -> Process:
        env, ready = self.env, self.env.now
        queues = [self.queues[device] for device in pair] if self.queues else []
        for queue in queues:
            yield queue.turn(message)
        if self.policy == "just-in-time":
            yield self._receiver(message)
        granted = []
        for name in sorted(set(route)):  # the same order for all: no two wait for each other
            granted.append((self.wires[name], self.wires[name].request()))
            yield granted[-1][1]
        start = env.now
        hold, latency = self.crossing(message[0], pair)
        yield env.timeout(hold)
        for wire, request in granted:
            wire.release(request)
        yield env.timeout(latency)
        self._log(message, op, pair, ready, start, env.now)
        self.arrival(message).succeed()
        for queue in queues:
            queue.served()

    def _log(self, message: Message, op: Op, pair: tuple[int, int], *times: Number) -> None:
        self.arrived[message] = times[-1]
        self.record.transfer(message, op, pair, times)

    def _receiver(self, message: Message) -> simpy.Event:
        """Fires when the receiver is ready; made by whichever side comes first."""
        event = self._posted.get(message)
        if event is None:
            event = self._posted[message] = self.env.event()
        return event


def _forward(event: simpy.Event) -> Callable[[Any], None]:
    """A callback that lets `event` happen too."""

    def happen(_: Any) -> None:
        event.succeed()

    return happen
