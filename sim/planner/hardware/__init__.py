"""Hardware by name: accelerators, wires, and machines made of them."""

from __future__ import annotations

from .devices import DEVICES, WIRES, Device, Wire
from .files import read_machine
from .machines import Group, Machine, machine_of, ring, wire_between, with_memory

__all__ = [
    "DEVICES",
    "WIRES",
    "Device",
    "Group",
    "Machine",
    "Wire",
    "machine_of",
    "read_machine",
    "ring",
    "wire_between",
    "with_memory",
]
