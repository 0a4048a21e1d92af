"""Wires by name, and what joins devices and nodes of each kind of accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Wire:
    """What connects devices. bandwidth: bytes per second and direction that **one device** gets
    while all its neighbours use theirs. latency: seconds of one message."""

    name: str
    bandwidth: float
    latency: float
    source: str = ""


WIRES: dict[str, Wire] = {
    wire.name: wire
    for wire in (
        Wire("nvlink3", 300e9, 5e-6, "A100 data sheet: 600 GB/s, both directions"),
        Wire("nvlink4", 450e9, 5e-6, "H100 data sheet: 900 GB/s, both directions"),
        Wire("nvlink-h800", 200e9, 5e-6, "H800 data sheet: 400 GB/s, both directions"),
        Wire("nvlink5", 900e9, 5e-6, "HGX B200 data sheet: 1.8 TB/s, both directions"),
        Wire("xgmi3", 448e9, 5e-6, "MI300X data sheet: 7 links of 128 GB/s, both directions"),
        Wire("xgmi4", 537.6e9, 5e-6, "MI355X data sheet: 7 links of 153.6 GB/s, both directions"),
        Wire("pcie4", 32e9, 8e-6, "PCI Express 4.0 x16: 16 GT/s on 16 lanes, 128b/130b"),
        Wire("pcie4-uplink", 8e9, 8e-6, "PCI Express 4.0 x16, one for four devices of a switch"),
        Wire("pcie5", 63e9, 8e-6, "PCI Express 5.0 x16: 32 GT/s on 16 lanes, 128b/130b"),
        Wire("hdr-per-two", 12.5e9, 10e-6, "InfiniBand HDR, 200 Gb/s, one card for two devices"),
        Wire("hdr", 25e9, 10e-6, "InfiniBand HDR, 200 Gb/s, one card per device"),
        Wire("ndr", 50e9, 10e-6, "InfiniBand NDR, 400 Gb/s, one card per device"),
        Wire("xdr", 100e9, 10e-6, "InfiniBand XDR, 800 Gb/s, one card per device"),
        Wire("roce-800-node", 12.5e9, 15e-6, "RoCE, 4 x 200 Gb/s for a node of eight devices"),
        Wire("roce", 50e9, 15e-6, "RoCE v2, 400 Gb/s, one card per device"),
        Wire("ethernet-25", 3.125e9, 40e-6, "Ethernet, 25 Gb/s per device"),
    )
}


class Node(NamedTuple):
    """How many devices share the inner wire, and the names of the wires inside and between; how
    many of them hang on one switch, and the wire between switches."""

    devices: int
    inside: str
    between: str
    near: int = 0
    uplink: str = ""


NODES: dict[str, Node] = {
    "a100-80g": Node(8, "nvlink3", "hdr"),
    "a100-40g": Node(8, "nvlink3", "hdr"),
    "a100-pcie": Node(8, "pcie4", "hdr-per-two", 4, "pcie4-uplink"),
    "a100-pcie-40g": Node(8, "pcie4", "hdr-per-two", 4, "pcie4-uplink"),
    "h100": Node(8, "nvlink4", "ndr"),
    "h200": Node(8, "nvlink4", "ndr"),
    "h800": Node(8, "nvlink-h800", "ndr"),
    "h20": Node(8, "nvlink4", "ndr"),
    "b200": Node(8, "nvlink5", "ndr"),
    "b300": Node(8, "nvlink5", "xdr"),
    "gb200": Node(72, "nvlink5", "ndr"),
    "gb300": Node(72, "nvlink5", "xdr"),
    "mi300x": Node(8, "xgmi3", "roce"),
    "mi325x": Node(8, "xgmi3", "roce"),
    "mi355x": Node(8, "xgmi4", "roce"),
    "l40s": Node(8, "pcie4", "hdr-per-two"),
    "rtx4090": Node(8, "pcie4", "ethernet-25"),
    "rtx5090": Node(8, "pcie5", "ethernet-25"),
}
"""What makers and clouds usually build; ConnectX-7 and 8 beside GB200 and B300, whose racks of 72
are one NVLink domain. Other machines are described by options or a file."""
