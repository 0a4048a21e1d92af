"""Many devices: nodes and racks as a hierarchy of wires, and what a group of devices gets of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from .devices import DEVICES, WIRES, Device, Wire


class Group(NamedTuple):
    """Devices that talk to each other: `size` of them, numbered `stride` apart."""

    size: int
    stride: int


@dataclass(frozen=True)
class Machine:
    """Equal devices, numbered node by node.

    per_node: devices in a node, joined by `inside`. between: what joins nodes. per_rack: devices
    in a rack (0: there are no racks), joined by `between`; racks are joined by `across`.
    """

    name: str
    device: Device
    n_devices: int
    per_node: int
    inside: Wire
    between: Wire
    per_rack: int = 0
    across: Wire | None = None

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
        return machine.inside
    if machine.across and first // machine.per_rack != second // machine.per_rack:
        return machine.across
    return machine.between


def ring(machine: Machine, group: Group) -> Wire:
    """What each member of a group gets when all groups of its kind run a ring at once.

    Inside a node that is the node's wire. A ring that leaves the node crosses it once, over the
    cards of all its members there: k members in a node have k shares, up to the inner wire.
    """
    if group.size == 1 or group.stride * group.size <= machine.per_node:
        return machine.inside
    here = max(machine.per_node // group.stride, 1)
    outer = machine.between
    if machine.across and group.stride * group.size > machine.per_rack:
        outer = machine.across
    bandwidth = min(machine.inside.bandwidth, here * outer.bandwidth)
    return Wire(outer.name, bandwidth, outer.latency)


_NODES = {
    "a100-80g": (8, "nvlink3", "hdr"),
    "a100-40g": (8, "nvlink3", "hdr"),
    "h100": (8, "nvlink4", "ndr"),
    "h200": (8, "nvlink4", "ndr"),
    "b200": (8, "nvlink5", "ndr"),
    "rtx4090": (8, "pcie4", "ethernet-25"),
}


def machine_of(
    name: str, n_devices: int | None = None, *, per_node: int | None = None,
    inside: str | None = None, between: str | None = None,
    per_rack: int = 0, across: str | None = None,
) -> Machine:  # fmt: skip
    """The machine people mean by "h100" with a number of devices, by "64xh100", or by "8x8xh100":
    eight nodes of eight.

    Nodes of eight with the maker's usual wires, unless named; racks of `per_rack` devices, joined
    by `across`, where asked for. ValueError lists what there is.
    """
    found = re.fullmatch(r"(?:(\d+)x)?(?:(\d+)x)?([a-z][\w.-]*?)", re.sub(r"\s", "", name.lower()))
    if not found or found[3] not in DEVICES:
        near = [each for each in DEVICES if found and (found[3] in each or each in found[3])]
        meant = f"did you mean {near[0]}? " if near else ""
        raise ValueError(
            f"no cluster {name!r}: {meant}use one of {', '.join(DEVICES)}, e.g. 64xh100"
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
    size, inner, outer = _NODES[found[3]]
    size = per_node if per_node is not None else min(size, count) or 1
    return Machine(
        f"{count}x{found[3]}", DEVICES[found[3]], count, size,
        _wire(inside or inner), _wire(between or outer),
        per_rack, _wire(across) if across else None,
    )  # fmt: skip


def with_memory(machine: Machine, memory: int) -> Machine:
    """The same machine with another amount of memory per device, in bytes."""
    return replace(machine, device=replace(machine.device, memory=memory))


def _wire(name: str) -> Wire:
    if name not in WIRES:
        raise ValueError(f"no wire {name!r}: use one of {', '.join(WIRES)}")
    return WIRES[name]
