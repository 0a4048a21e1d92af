"""Moves values between devices, and knows when each has arrived.

A transfer waits for its turn (if the receive policy has turns), for every wire of its route at once,
holds them for bytes / bandwidth, and arrives `send` + link latency after that.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from .cluster import Cluster
from .exact import Number
from .ir import Op, Schedule
from .record import Message, Recorder
from .resources import Mailbox
from .tasks import Crossing, Task, home

Process = Generator[simpy.Event, Any, None]


class Wires:
    """The transfers of one play."""

    def __init__(
        self,
        env: simpy.Environment,
        schedule: Schedule,
        cluster: Cluster,
        *,
        crossing: Crossing,
        record: Recorder,
    ) -> None:
        self.env, self.schedule, self.cluster = env, schedule, cluster
        self.crossing, self.record = crossing, record
        self.policy = cluster.receives
        self.blocking = cluster.transfers == "blocking"
        self.wires = {name: simpy.Resource(env) for name in cluster.links}
        self.arrived: dict[Message, Number] = {}
        """When each message was on the device that reads it, in ticks."""
        self._arrivals: dict[Message, simpy.Event] = {}
        self._posted: dict[Message, simpy.Event] = {}
        self._mailboxes: dict[tuple[int, int], Mailbox] = {}

    def arrival(self, message: Message) -> simpy.Event:
        """Fires when the message is on the device that reads it."""
        event = self._arrivals.get(message)
        if event is None:
            event = self._arrivals[message] = self.env.event()
        return event

    def post_early(self, task: Task, device: int, iteration: int) -> None:
        """The step before `task` starts: the moment at which eager runtimes post its receives."""
        if self.policy == "early":
            for value in task.inputs:
                source, _ = home(self.schedule, value)
                self._mailbox(device, source).post(self._receiver((value, iteration)))

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
            trip.callbacks.append(lambda _: waiting.succeed())
        self._log(message, op, pair, now, now, now + latency)

    def _transfer(
        self, message: Message, op: Op, pair: tuple[int, int], route: tuple[str, ...]
    ) -> Process:
        env, ready = self.env, self.env.now
        if self.policy == "early":
            turn = env.event()
            self._mailbox(*pair).post(turn)
            yield turn
        if self.policy != "buffered":
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
        if self.policy == "early":
            self._mailbox(*pair).served()
            self._mailbox(*pair[::-1]).served()

    def _log(self, message: Message, op: Op, pair: tuple[int, int], *times: Number) -> None:
        self.arrived[message] = times[-1]
        self.record.transfer(message, op, pair, times)

    def _receiver(self, message: Message) -> simpy.Event:
        """Fires when the receiver is ready; made by whichever side comes first."""
        event = self._posted.get(message)
        if event is None:
            event = self._posted[message] = self.env.event()
        return event

    def _mailbox(self, device: int, neighbour: int) -> Mailbox:
        return self._mailboxes.setdefault((device, neighbour), Mailbox())
