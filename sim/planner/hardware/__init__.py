"""Hardware by name: accelerators, wires, and machines made of them."""

from __future__ import annotations

from .devices import DEVICES, Device
from .files import read_machine
from .machines import Group, Machine, machine_of, ring, wire_between, with_memory
from .templates import machine_template
from .wires import NODES, WIRES, Node, Wire

__all__ = [
    "DEVICES",
    "NODES",
    "WIRES",
    "Device",
    "Group",
    "Machine",
    "Node",
    "Wire",
    "machine_of",
    "machine_template",
    "read_machine",
    "ring",
    "wire_between",
    "with_memory",
]
