"""Moves values between devices, and knows when each has arrived.

A transfer waits for its turn (if receives are posted early) and for every wire of its route, holds
them for bytes / bandwidth, and arrives `send` + link latency after that. Wires are asked for one by
one in the order of their names; one that is granted is kept while the transfer waits for the next.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import simpy

from ..base.numbers import Number
from .cluster import Cluster
from .recorder import Recorder
from .resources import MessageQueue
from .tasks import Channel, Message, Tasks

Process = Generator[simpy.Event, Any, None]


class Wires:
    """The transfers of one play; `queues` of messages per device if receives are posted early."""

    def __init__(
        self,
        env: simpy.Environment,
        cluster: Cluster,
        plan: Tasks,
        *,
        record: Recorder,
        queues: Sequence[MessageQueue] = (),
    ) -> None:
        self.env, self.record = env, record
        self.channels, self.n_messages = plan.channels, plan.n_messages
        self.queues, self.late = queues, cluster.receives == "just-in-time"
        self.blocking = cluster.transfers == "blocking"
        self.wires = {name: simpy.Resource(env) for name in cluster.links}
        self.arrived: dict[Message, Number] = {}
        """When each message was on the device that reads it, in ticks."""
        self._arrivals: dict[Message, simpy.Event] = {}
        # Of sender and receiver, one leaves an event and the other takes it away; where senders
        # block there is a third who asks.
        self._found = self._arrivals.get if self.blocking else self._arrivals.pop
        self._posted: dict[Message, simpy.Event] = {}

    def arrival(self, message: Message) -> simpy.Event:
        """Fires when the message is on the device that reads it."""
        event = self._found(message, None)
        if event is None:
            event = self._arrivals[message] = self.env.event()
        return event

    def post_late(self, messages: Sequence[Message], base: int) -> None:
        """The device has nothing left to do but what reads these messages, numbered from `base`."""
        for message in messages:
            self._receiver(base + message).succeed()

    def send(self, message: Message, through: int, writer: int) -> None:
        """Start moving what pass number `writer` has just written, through that channel."""
        channel = self.channels[through]
        if channel.route or self.late or self.queues:
            self.env.process(self._transfer(message, channel, writer))
            return
        now, trip = self.env.now, self.env.timeout(channel.latency)
        waiting = self._found(message, None)
        if waiting is None:
            self._arrivals[message] = trip
        else:
            trip.callbacks.append(waiting.trigger)
        self.arrived[message] = end = now + channel.latency
        self.record.transfers.append((message, writer, now, now, end))

    def _transfer(self, message: Message, channel: Channel, writer: int) -> Process:
        env, ready = self.env, self.env.now
        queues = [self.queues[device] for device in channel.pair] if self.queues else []
        for queue in queues:
            yield queue.turn(message)
        if self.late:
            yield self._receiver(message)
        granted = []
        for name in sorted(set(channel.route)):  # the same order for all: no two wait in a circle
            granted.append((self.wires[name], self.wires[name].request()))
            yield granted[-1][1]
        start = env.now
        yield env.timeout(channel.hold)
        for wire, request in granted:
            wire.release(request)
        yield env.timeout(channel.latency)
        self.arrived[message] = end = env.now
        self.record.transfers.append((message, writer, ready, start, end))
        self.arrival(message).succeed()
        for queue in queues:
            queue.served()

    def _receiver(self, message: Message) -> simpy.Event:
        """Fires when the receiver is ready; made by whichever side comes first."""
        event = self._posted.get(message)
        if event is None:
            event = self._posted[message] = self.env.event()
        return event
