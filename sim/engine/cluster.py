"""Devices and links: how much memory there is, who is slow, and which wires a transfer occupies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from ..base.numbers import Number, checked, checked_whole, scaled

Transfers = Literal["overlapped", "blocking"]
Receives = Literal["buffered", "early", "just-in-time"]


@dataclass(frozen=True)
class Link:
    """One wire: a transfer holds it for bytes / bandwidth, and arrives `latency` later.

    latency: seconds, on top of `Costs.send`. bandwidth: bytes per second; infinite by default.
    A link carries one transfer at a time; the others queue, first come first served.
    """

    latency: Number = 0
    bandwidth: Number = math.inf

    def __post_init__(self) -> None:
        checked(self.latency, "link latency")
        if self.bandwidth != math.inf and checked(self.bandwidth, "link bandwidth") == 0:
            raise ValueError("link bandwidth is 0: nothing could ever cross it")


@dataclass(frozen=True)
class Cluster:
    """The machines a schedule runs on. `Cluster(8)` is 8 equal devices and ideal, private wires.

    memory: bytes each device may hold, shape `(n_devices,)`; None where it is unlimited.
    slowdown: factor on all that a device computes, shape `(n_devices,)`: 1.1 is a 10 % straggler.
    neighbour_slowdown: how many times as long a pass takes while all other devices compute as it
        takes alone, since they share caches, memory bandwidth or power; `costs` are then times
        alone. In between it is linear in the number of devices that compute.
    links: the wires by name.
    routes: (source, destination) -> names of the wires that such a transfer occupies, all at once.
        Two pairs that name one wire share it and queue for it. A pair without an entry has a
        private, ideal wire. Naming a wire for both directions makes it half duplex.
    host_links: the wire of each device to its host, by any name, shape `(n_devices,)`; devices
        that name the same one take turns with their copies, either way. () where each has its own.
    host_memory: bytes the host may hold of what is offloaded; None where it is unlimited.
    transfers: "overlapped" with compute, or "blocking": the sender's device waits until what it
        sent has arrived (a synchronous send).
    receives: "buffered": a transfer starts as soon as the value is there. "just-in-time": not
        before the receiver has nothing left to do but the pass that needs it. "early": receives
        are posted as early as they can be and all messages of a device share one stream, so a
        receive that is not served yet holds up the sends behind it (what torch's pipeline runtime
        does on NCCL: pytorch issue 188833).
    """

    n_devices: int
    memory: tuple[Number | None, ...] = ()
    slowdown: tuple[Number, ...] = ()
    neighbour_slowdown: Number = 1
    links: Mapping[str, Link] = field(default_factory=dict)
    routes: Mapping[tuple[int, int], tuple[str, ...]] = field(default_factory=dict)
    transfers: Transfers = "overlapped"
    receives: Receives = "buffered"
    host_links: tuple[str, ...] = ()
    host_memory: Number | None = None

    def __post_init__(self) -> None:
        n = checked_whole(self.n_devices, "n_devices of a cluster")
        object.__setattr__(self, "n_devices", n)
        for name in ("memory", "slowdown", "host_links"):
            column = getattr(self, name)
            if not hasattr(column, "__len__"):
                raise ValueError(f"{name} is {column!r}: it must have one entry per device")
            if len(column) not in (0, n):
                raise ValueError(f"{name} has {len(column)} entries for {n} devices")
        if self.host_memory is not None:
            checked(self.host_memory, "host_memory")
        memory = [
            None if size is None else checked(size, f"memory of device {device}")
            for device, size in enumerate(self.memory)
        ] or [None] * n
        slowdown = [
            checked(factor, f"slowdown of device {device}")
            for device, factor in enumerate(self.slowdown)
        ] or [1] * n
        if 0 in slowdown:
            raise ValueError(f"slowdown of device {slowdown.index(0)} is 0: 1 is normal speed")
        if checked(self.neighbour_slowdown, "neighbour_slowdown") == 0:
            raise ValueError("neighbour_slowdown is 0: 1 means that devices do not disturb others")
        for name in ("links", "routes"):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be a mapping")
        for name, link in self.links.items():
            if not isinstance(link, Link):
                raise ValueError(f"link {name!r} is {link!r}: it must be a Link")
        for pair, route in self.routes.items():
            if (
                not isinstance(pair, tuple)
                or len(pair) != 2
                or pair[0] == pair[1]
                or not ({*pair} <= {*range(n)})
            ):
                raise ValueError(
                    f"route {pair} joins no two devices; it must be two different ones of 0 to "
                    f"{n - 1}"
                )
            if isinstance(route, str) or not isinstance(route, Sequence):
                raise ValueError(
                    f"route {pair} is {route!r}: give the names of its links, as ({route!r},)"
                )
            if unknown := next((name for name in route if name not in self.links), None):
                raise ValueError(
                    f"route {pair} names link {unknown!r}; links are {sorted(self.links)}"
                )
        for name, choices in {"transfers": Transfers, "receives": Receives}.items():
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: use one of {get_args(choices)}"
                )
        object.__setattr__(self, "memory", tuple(memory))
        object.__setattr__(self, "slowdown", tuple(slowdown))


def least_slowdown(cluster: Cluster) -> tuple[Number, ...]:
    """The factor on what each device computes that no pass falls below, shape `(n_devices,)`:
    computing neighbours slow it down, or speed it up where `neighbour_slowdown` is below 1."""
    faster = min(1, cluster.neighbour_slowdown)
    return tuple(scaled(factor, faster) for factor in cluster.slowdown)


def nodes(
    n_devices: int, *, per_node: int, inside: Link, between: Link, memory: Number | None = None
) -> Cluster:
    """Nodes of `per_node` devices: every pair inside a node has its own wire of kind `inside`;
    all traffic of a node to and from the others shares its two-way network card (`between`)."""
    n_devices = checked_whole(n_devices, "n_devices of a cluster")
    per_node = checked_whole(per_node, "per_node")
    links: dict[str, Link] = {}
    routes: dict[tuple[int, int], tuple[str, ...]] = {}
    for a in range(n_devices):
        for b in range(n_devices):
            if a == b:
                continue
            if a // per_node == b // per_node:
                name = f"{a}->{b}"
                links[name] = inside
                routes[a, b] = (name,)
            else:
                out, into = f"node {a // per_node} out", f"node {b // per_node} in"
                links[out] = between
                links[into] = Link(0, between.bandwidth)
                routes[a, b] = (out, into)
    return Cluster(n_devices, memory=(memory,) * n_devices, links=links, routes=routes)
