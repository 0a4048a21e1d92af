"""Accelerators by name: what their makers print, not what programs reach."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Device:
    """One accelerator. flops: dense 16-bit operations per second with 32-bit accumulation.
    memory: bytes. bandwidth: bytes per second to and from that memory. fp8, fp4: the same as flops
    in 8 and in 4 bits; a device that is no faster in fewer bits has the next wider rate (0)."""

    name: str
    flops: float
    memory: int
    bandwidth: float
    source: str = ""
    fp8: float = 0.0
    fp4: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flops", "memory", "bandwidth"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{name} of {self.name} is {getattr(self, name)}: it must be greater than 0"
                )
        object.__setattr__(self, "fp8", self.fp8 or self.flops)
        object.__setattr__(self, "fp4", self.fp4 or self.fp8)
        if not self.flops <= self.fp8 <= self.fp4:
            raise ValueError(
                f"{self.name} has {self.flops:.4g}, {self.fp8:.4g} and {self.fp4:.4g} operations "
                "per second in 16, 8 and 4 bits: fewer bits are never slower"
            )


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device("a100-80g", 312e12, 80 * GIB, 2039e9, "NVIDIA A100 80GB SXM data sheet, 2021"),
        Device("a100-40g", 312e12, 40 * GIB, 1555e9, "NVIDIA A100 40GB SXM data sheet, 2020"),
        Device("a100-pcie", 312e12, 80 * GIB, 1935e9,
               "NVIDIA A100 80GB PCIe data sheet, 2021"),
        Device("a100-pcie-40g", 312e12, 40 * GIB, 1555e9,
               "NVIDIA A100 40GB PCIe data sheet, 2020"),
        Device("h100", 989.4e12, 79 * GIB, 3350e9, "NVIDIA H100 SXM data sheet, 2023",
               fp8=1978.9e12),
        Device("h200", 989.4e12, 139 * GIB, 4800e9, "NVIDIA H200 SXM data sheet, 2024",
               fp8=1978.9e12),
        Device("h800", 989.4e12, 79 * GIB, 3350e9,
               "NVIDIA H800 SXM data sheet, 2023: an H100 with 400 GB/s of NVLink", fp8=1978.9e12),
        Device("h20", 148e12, 95 * GIB, 4000e9, "NVIDIA H20 data sheet, 2023", fp8=296e12),
        Device("b200", 2250e12, 178 * GIB, 7700e9, "NVIDIA HGX B200 data sheet, 2025",
               fp8=4500e12, fp4=9000e12),
        Device("b300", 2250e12, 267 * GIB, 7700e9,
               "NVIDIA HGX B300 data sheet, 2025: 108 PFLOPS of dense FP4 for eight",
               fp8=4500e12, fp4=13500e12),
        Device("gb200", 2500e12, 184 * GIB, 8000e9,
               "NVIDIA GB200 NVL72 data sheet, 2025: 180, 360 and 720 PFLOPS dense for 72",
               fp8=5000e12, fp4=10000e12),
        Device("gb300", 2500e12, 276 * GIB, 8000e9,
               "NVIDIA GB300 NVL72 data sheet, 2025: 180, 360 and 1080 PFLOPS dense for 72",
               fp8=5000e12, fp4=15000e12),
        Device("mi300x", 1307.4e12, 191 * GIB, 5300e9,
               "AMD Instinct MI300X data sheet, 2023: 304 units x 2.1 GHz x 2048 (FP8: 4096)",
               fp8=2614.9e12),
        Device("mi325x", 1307.4e12, 255 * GIB, 6000e9,
               "AMD Instinct MI325X data sheet, 2024: cores as MI300X", fp8=2614.9e12),
        Device("mi355x", 2516.6e12, 287 * GIB, 8000e9,
               "AMD Instinct MI355X data sheet, 2025: 256 units x 2.4 GHz x 4096 (FP8: 8192)",
               fp8=5033.2e12, fp4=10066.3e12),
        Device("l40s", 362.05e12, 44 * GIB, 864e9, "NVIDIA L40S data sheet, 2023", fp8=733e12),
        Device("rtx4090", 165.2e12, 24 * GIB, 1008e9,
               "NVIDIA Ada GPU architecture whitepaper v2.1, appendix A, 2023", fp8=330.3e12),
        Device("rtx5090", 209.5e12, 31 * GIB, 1792e9,
               "NVIDIA RTX Blackwell GPU architecture whitepaper, appendix A, 2025",
               fp8=419e12, fp4=1676e12),
    )
}  # fmt: skip
"""Rates are dense: data sheets print twice as much for sparse matrices. With 32-bit accumulation,
which halves FP8 on GeForce. Memory from H100 on is what torch reports, in whole GiB (79.2, 139.8,
95.1 on H20, 178.35, 267.69, 184.31 on GB200, 276.5, 191.7, 255.7, 287.98, 44.4 on L40S, 31.36 on
RTX 5090), since the gigabytes of data sheets are neither quite GB nor GiB."""
