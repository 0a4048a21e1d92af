"""Moves messages between devices.

A transfer waits for its turn (if receives are posted early) and for every wire of its route, holds
them for bytes / bandwidth, and arrives `send` + link latency after that. Wires are asked for one by
one in the order of their names; one that is granted is kept while the transfer waits for the next.
Sums of gradients take no turn, and block no sender: runtimes have a stream of their own for them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import simpy

from .cluster import Cluster
from .numbering import Message
from .recorder import TransferLog
from .resources import MessageQueue
from .tasks import Channel


class Wires:
    """The transfers of one play; `queues` of messages per device if receives are posted early."""

    def __init__(
        self,
        env: simpy.Environment,
        cluster: Cluster,
        *,
        log: TransferLog,
        queues: Sequence[MessageQueue] = (),
    ) -> None:
        self.env, self.log, self.queues = env, log, queues
        self.just_in_time = cluster.receives == "just-in-time"
        self.blocking = cluster.transfers == "blocking"
        self.wires = {name: simpy.Resource(env) for name in cluster.links}
        self._arrivals: dict[Message, simpy.Event] = {}
        # Of sender and receiver, one leaves an event and the other takes it away; where senders
        # block there is a third who asks.
        self._found = self._arrivals.get if self.blocking else self._arrivals.pop
        self._posted: dict[Message, simpy.Event] = {}

    def arrival(self, message: Message) -> simpy.Event:
        """Fires when the message is on the device that reads it; its value is that time."""
        event = self._found(message, None)
        if event is None:
            event = self._arrivals[message] = self.env.event()
        return event

    def post_receives(self, messages: Iterable[Message]) -> None:
        """The device has nothing left to do but what reads these messages."""
        for message in messages:
            self._receive_posted(message).succeed()

    def send(self, message: Message, channel: Channel, writer: int) -> None:
        """Start moving what pass number `writer` has just written."""
        if channel.route or self.just_in_time or self.queues:
            self.env.process(self._transfer(message, channel, writer))
            return
        # An ideal wire: the transfer is a single timeout. It wakes whoever waits already, and is
        # left for the receiver otherwise.
        now = self.env.now
        end = now + channel.latency
        trip = self.env.timeout(channel.latency, value=end)
        waiting = self._found(message, None)
        if waiting is None:
            self._arrivals[message] = trip
        else:
            trip.callbacks.append(waiting.trigger)
        self.log.add(message, writer, ready=now, start=now, end=end)

    def _transfer(
        self, message: Message, channel: Channel, writer: int
    ) -> Generator[simpy.Event, Any, None]:
        env, ready = self.env, self.env.now
        ends = (channel.source, channel.destination)
        posted = self.queues and channel.value.kind != "weight_gradient"
        queues = [self.queues[device] for device in ends] if posted else []
        for queue in queues:
            yield queue.turn(message)
        if self.just_in_time:
            yield self._receive_posted(message)
        granted = []
        for name in sorted(set(channel.route)):  # the same order for all: no two wait in a circle
            granted.append((self.wires[name], self.wires[name].request()))
            yield granted[-1][1]
        start = env.now
        yield env.timeout(channel.hold)
        for wire, request in granted:
            wire.release(request)
        yield env.timeout(channel.latency)
        self.log.add(message, writer, ready=ready, start=start, end=env.now)
        self.arrival(message).succeed(env.now)
        for queue in queues:
            queue.served()

    def _receive_posted(self, message: Message) -> simpy.Event:
        """Fires when the receiver is ready; made by whichever side comes first."""
        event = self._posted.get(message)
        if event is None:
            event = self._posted[message] = self.env.event()
        return event
