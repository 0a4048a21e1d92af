"""Seconds of kernels on one device: multiplications, traffic of memory, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..hardware import Device, Machine
from ..models import Model
from .configuration import Configuration
from .efficiency import Efficiency
from .flops import Matmul
from .precision import SIZES, cast_bytes, peak

MISALIGNED = 8
"""Tensor cores want 16-bit widths that are multiples of eight elements."""


class Work(NamedTuple):
    """What a pass asks of a device: seconds at full kernels, and how many kernels."""

    seconds: float = 0.0
    kernels: float = 0.0

    def __add__(self, other: object) -> Work:
        if not isinstance(other, Work):
            return NotImplemented
        return Work(self.seconds + other.seconds, self.kernels + other.kernels)


@dataclass(frozen=True)
class Bench:
    """A model on a machine, cut in one way: what every estimate of seconds needs."""

    model: Model
    configuration: Configuration
    machine: Machine
    efficiency: Efficiency

    @property
    def device(self) -> Device:
        return self.machine.device


def product(bench: Bench, products: Iterable[Matmul]) -> Work:
    """Multiplications by weights: arithmetic or memory, whichever is slower; one kernel for each
    weight, those of experts too (Transformer Engine's GroupedLinear calls cuBLAS once for each)."""
    seconds, kernels = 0.0, 0
    for each in products:
        seconds += _seconds(bench, each)
        kernels += _here(bench, each)
    return Work(seconds, kernels)


def casts(bench: Bench, products: Iterable[Matmul]) -> tuple[Work, Work]:
    """Casts to fewer bits in F (of inputs) and in B (of gradients of outputs)."""
    c = bench.configuration
    each = cast_bytes(c.precision)
    if not each:
        return Work(), Work()
    inputs, outputs, kernels = 0.0, 0.0, 0
    for one in products:
        if one.low:
            cut = pieces(bench, one)
            inputs += one.rows * one.wide / (cut if one.split == "wide" else 1)
            outputs += one.rows * one.out / (cut if one.split == "out" else 1)
            kernels += 1
    return moved(bench, each * inputs, kernels), moved(bench, each * outputs, kernels)


def moved(bench: Bench, size: float, kernels: float) -> Work:
    """Reading and writing so many bytes."""
    return Work(size / (bench.device.bandwidth * bench.efficiency.memory), kernels)


def elapsed(work: Work, bench: Bench) -> float:
    """Seconds until the work is done: by the device, or by the host that starts its kernels; by one
    after the other where the host waits for each kernel."""
    host, device = _shares(work, bench)
    return host + device if bench.configuration.habits.waits else max(host, device)


def exposed(work: Work, bench: Bench, seconds: float, messages: int) -> float:
    """What so many collectives of `seconds` together add to the work among which they stand. They
    are started by the host as kernels are: while it lags behind, the device has time for them."""
    if not messages:
        return 0.0
    host, device = _shares(work, bench)
    started = messages * bench.efficiency.launch
    if bench.configuration.habits.waits:
        return started + seconds
    done = max(host, device)
    return max(host - done + started, device - done + seconds)


def _shares(work: Work, bench: Bench) -> tuple[float, float]:
    """Seconds of the host and of the device."""
    e = bench.efficiency
    return work.kernels * e.launch, work.seconds + work.kernels * e.ramp


def summing(bench: Bench, products: Iterable[Matmul]) -> Work:
    """Adding gradients of weights up, where that is not done by the multiplications for them."""
    c = bench.configuration
    if not c.habits.summed:
        return Work()
    weights, kernels = 0.0, 0
    for each in products:
        weights += each.wide * each.out * _here(bench, each) / pieces(bench, each)
        kernels += 1
    return moved(bench, c.habits.summed * weights, kernels)


def _seconds(bench: Bench, each: Matmul) -> float:
    c, device, e = bench.configuration, bench.device, bench.efficiency
    cut = pieces(bench, each)
    copies = _here(bench, each)
    out = each.out / (cut if each.split == "out" else 1)
    wide = each.wide / (cut if each.split == "wide" else 1)
    aligned = out % MISALIGNED == 0 and wide % MISALIGNED == 0
    padded = each.split == "out" and c.tensor > 1
    precision = c.precision if each.low else "bf16"
    rate = peak(device, precision) * e.products[precision]
    rate *= 1 if aligned or padded else e.misaligned
    rate *= e.grouped if copies > 1 else 1
    size = SIZES[precision]
    traffic = size * (each.rows * wide + wide * out * copies) + 2.0 * each.rows * out
    return max(each.flops / cut / rate, traffic / (device.bandwidth * e.memory))


def _here(bench: Bench, each: Matmul) -> int:
    """How many of its weights a device has: of the experts its own."""
    return max(each.copies // bench.configuration.expert, 1)


def pieces(bench: Bench, each: Matmul) -> int:
    """Into how many pieces tensor parallelism cuts it."""
    c = bench.configuration
    if not each.split:
        return 1
    return c.expert_cut if each.copies > 1 else c.tensor
