"""Many devices: nodes and racks as a hierarchy of wires, and what a group of devices gets of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from .devices import DEVICES, Device
from .wires import NODES, WIRES, Wire


class Group(NamedTuple):
    """Devices that talk to each other: `size` of them, numbered `stride` apart."""

    size: int
    stride: int


@dataclass(frozen=True)
class Machine:
    """Equal devices, numbered node by node.

    per_node: devices in a node, joined by `inside`: where NVLink goes beyond a node, as in racks of
    GB200, all that it joins. between: what joins nodes. per_rack: devices in a rack (0: there are
    no racks), joined by `between`; racks are joined by `across`. near: so many devices of a node
    hang on one switch (0: all of them); `uplink` joins the switches of a node. notes: a sentence
    for each thing that was taken without being said.
    """

    name: str
    device: Device
    n_devices: int
    per_node: int
    inside: Wire
    between: Wire
    per_rack: int = 0
    across: Wire | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)
    near: int = 0
    uplink: Wire | None = None

    def __post_init__(self) -> None:
        for name in ("n_devices", "per_node"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} of {self.name} is {value!r}: use a whole number >= 1")
        if self.n_devices > self.per_node and self.n_devices % self.per_node:
            near = max(round(self.n_devices / self.per_node), 1) * self.per_node
            raise ValueError(
                f"{self.n_devices} devices do not fill nodes of {self.per_node}: "
                f"the nearest number that does is {near}"
            )
        racks = bool(self.per_rack), self.across is not None
        if any(racks) and (not all(racks) or self.per_rack < 0 or self.per_rack % self.per_node):
            raise ValueError(
                f"racks of {self.per_rack} devices: use a multiple of {self.per_node} "
                "and name the wire across racks"
            )

    @property
    def n_nodes(self) -> int:
        return -(-self.n_devices // self.per_node)


def wire_between(machine: Machine, first: int, second: int) -> Wire:
    """The slowest wire on the way from one device to another."""
    if first // machine.per_node == second // machine.per_node:
        if machine.uplink and first // machine.near != second // machine.near:
            return machine.uplink
        return machine.inside
    if machine.across and first // machine.per_rack != second // machine.per_rack:
        return machine.across
    return machine.between


def ring(machine: Machine, group: Group) -> Wire:
    """What each member of a group gets when all groups of its kind run a ring at once.

    Inside a node that is the node's wire. A ring that leaves the node crosses it once, over the
    cards of all its members there: k members in a node have k shares, up to the inner wire. So it
    is with the uplinks of a node's switches, up to half of the inner wire: what goes that way
    passes through the host's memory, in and out.
    """
    reach = group.stride * group.size
    if group.size == 1 or reach <= machine.per_node:
        if machine.uplink and group.size > 1 and reach > machine.near:
            here = max(machine.near // group.stride, 1)
            shared = min(machine.inside.bandwidth / 2, here * machine.uplink.bandwidth)
            return Wire(machine.uplink.name, shared, machine.uplink.latency)
        return machine.inside
    here = max(machine.per_node // group.stride, 1)
    outer = machine.between
    if machine.across and group.stride * group.size > machine.per_rack:
        outer = machine.across
    bandwidth = min(machine.inside.bandwidth, here * outer.bandwidth)
    return Wire(outer.name, bandwidth, outer.latency)


def machine_of(
    name: str, n_devices: int | None = None, *, per_node: int | None = None,
    inside: str | None = None, between: str | None = None,
    per_rack: int = 0, across: str | None = None,
) -> Machine:  # fmt: skip
    """The machine people mean by "h100" with a number of devices, by "64xh100", or by "8x8xh100":
    eight nodes of eight.

    Nodes of eight, of 72 on GB200 and GB300, with the maker's usual wires, unless named; racks of
    `per_rack` devices, joined by `across`, where asked for. ValueError lists what there is.
    """
    found = re.fullmatch(r"(?:(\d+)x)?(?:(\d+)x)?([a-z][\w.-]*?)", re.sub(r"\s", "", name.lower()))
    if not found or found[3] not in DEVICES:
        if Path(name).exists():
            raise ValueError(
                f"{name} is a path, but a machine's JSON file has a name that ends in .json: rename"
                " it (python -m sim machine 64xh100 --template > machine.json writes one)"
            )
        raise ValueError(
            f"no cluster {name!r}: {_meant(found[3] if found else '')}use one of "
            f"{', '.join(DEVICES)}, e.g. 64xh100, or the path of a machine's JSON file "
            "(python -m sim machine 64xh100 --template shows one)"
        )
    if found[2]:
        if per_node not in (None, int(found[2])):
            raise ValueError(
                f"cluster {name!r} has nodes of {found[2]}, but nodes of {per_node} were asked for"
            )
        per_node = int(found[2])
    named = int(found[1]) * int(found[2] or 1) if found[1] else None
    if named is not None and n_devices not in (None, named):
        raise ValueError(f"cluster {name!r} has {named} devices, but {n_devices} were asked for")
    count = named if named is not None else n_devices
    if count is None:
        raise ValueError(f"cluster {name!r} lacks a number of devices: write e.g. 8x{found[3]}")
    node = NODES[found[3]]
    size, notes = (per_node, ()) if per_node is not None else node_size(found[3], count)
    return Machine(
        f"{count}x{found[3]}", DEVICES[found[3]], count, size,
        _wire(inside or node.inside), _wire(between or node.between),
        per_rack, _wire(across) if across else None, notes,
        *((node.near, _wire(node.uplink)) if node.near and not inside and size > node.near else ()),
    )  # fmt: skip


def node_size(device: str, count: int) -> tuple[int, tuple[str, ...]]:
    """How many of so many devices share the inner wire, with a note where that is a choice.

    A domain of 72 need not be full: jobs of 256 take 64 of each. So the largest part of a domain
    that divides the number is taken; ValueError if that is less than a quarter of one.
    """
    most = NODES[device].devices
    if most <= 8 or count <= most:
        return max(min(most, count), 1), ()
    size = max(size for size in range(1, most + 1) if count % size == 0)
    if 4 * size < most:
        near = max(round(count / most), 1) * most
        raise ValueError(
            f"{count} devices do not fill NVLink domains of {most}, nor equal parts of them: the "
            f"nearest number that does is {near}"
        )
    if size == most:
        return size, ()
    return size, (f"{size} devices of each NVLink domain of {most} are taken, in {count // size}",)


def _meant(device: str) -> str:
    near = [each for each in DEVICES if device and (device in each or each in device)]
    near = near or get_close_matches(device, DEVICES, n=1, cutoff=0.8)
    return f"did you mean {near[0]}? " if near else ""


def with_memory(machine: Machine, memory: int) -> Machine:
    """The same machine with another amount of memory per device, in bytes."""
    return replace(machine, device=replace(machine.device, memory=memory))


def _wire(name: str) -> Wire:
    if name not in WIRES:
        raise ValueError(f"no wire {name!r}: use one of {', '.join(WIRES)}")
    return WIRES[name]
