"""Accelerators by name: what their makers print, not what programs reach."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Device:
    """One accelerator. flops: dense 16-bit operations per second with 32-bit accumulation.
    memory: bytes. bandwidth: bytes per second to and from that memory."""

    name: str
    flops: float
    memory: int
    bandwidth: float
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("flops", "memory", "bandwidth"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{name} of {self.name} is {getattr(self, name)}: it must be greater than 0"
                )


@dataclass(frozen=True)
class Wire:
    """What connects devices. bandwidth: bytes per second and direction that **one device** gets
    while all its neighbours use theirs. latency: seconds of one message."""

    name: str
    bandwidth: float
    latency: float
    source: str = ""


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device("a100-80g", 312e12, 80 * GIB, 2039e9, "NVIDIA A100 80GB SXM data sheet, 2021"),
        Device("a100-40g", 312e12, 40 * GIB, 1555e9, "NVIDIA A100 40GB SXM data sheet, 2020"),
        Device("h100", 989.4e12, 79 * GIB, 3350e9, "NVIDIA H100 SXM data sheet, 2023"),
        Device("h200", 989.4e12, 139 * GIB, 4800e9, "NVIDIA H200 SXM data sheet, 2024"),
        Device("b200", 2250e12, 178 * GIB, 7700e9, "NVIDIA HGX B200 data sheet, 2025"),
        Device("rtx4090", 165.2e12, 24 * GIB, 1008e9,
               "NVIDIA Ada GPU architecture whitepaper v2.1, appendix A, 2023"),
    )
}  # fmt: skip
"""Memory of the three latest is what torch reports, in whole GiB (79.2, 139.8, 178.35): their data
sheets' 80, 141 and 180 GB are neither quite GB nor GiB."""

WIRES: dict[str, Wire] = {
    wire.name: wire
    for wire in (
        Wire("nvlink3", 300e9, 5e-6, "A100 data sheet: 600 GB/s, both directions"),
        Wire("nvlink4", 450e9, 5e-6, "H100 data sheet: 900 GB/s, both directions"),
        Wire("nvlink5", 900e9, 5e-6, "HGX B200 data sheet: 1.8 TB/s, both directions"),
        Wire("pcie4", 32e9, 8e-6, "PCI Express 4.0 x16: 16 GT/s on 16 lanes, 128b/130b"),
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
