"""Machines on which one term of the cost model is all there is: its value by hand shows.

A device that computes in no time and moves one byte per second takes as many seconds as a pass
moves bytes; one that does both in no time and needs a second per kernel takes as many as the pass
has kernels. Whatever a term leaves out or counts twice shows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sim.planner.cost_model import Bench, Configuration, Efficiency
from sim.planner.hardware import DEVICES, WIRES, Machine
from sim.planner.models import Experts, Layer, Model

GPT = Model("gpt", 4, 64, 4, 100, gated=False, biases=True, dropout=True)  # heads of 16, ffn 256
LLAMA = Model("llama", 4, 64, 4, 100, kv_heads=2, ffn=128)  # keys and values of 2 x 32
SPARSE = replace(LLAMA, name="sparse", experts=Experts(8, 2, 32, shared=1))
EXPERTS = Layer("experts")
IDEAL = Efficiency(
    matmul=1, fused_attention=1, memory=1, misaligned=1, wire=1, grouped=1, fp8=1, fp4=1, ramp=0,
    launch=0, collective=0, dispatch=0,
)  # fmt: skip
FREE = replace(WIRES["nvlink4"], bandwidth=1e30, latency=0)
SECOND = replace(WIRES["nvlink4"], bandwidth=1.0, latency=0)
"""A byte per second."""
N = 32
"""Tokens of a microbatch: two sequences of 16."""
CUT = Configuration(16, 2, microbatch=2)


def free_machine(*, flops: float = 1e30, bandwidth: float = 1e30, inside: Any = FREE) -> Machine:
    device = replace(DEVICES["h100"], flops=flops, fp8=flops, fp4=flops, bandwidth=bandwidth)
    return Machine("m", device, 64, 8, inside, WIRES["ndr"])


def bytes_bench(model: Model, c: Configuration, **more: Any) -> Bench:
    """Seconds are bytes of memory traffic."""
    return Bench(model, c, free_machine(bandwidth=1, **more), IDEAL)


def kernels_bench(model: Model, c: Configuration) -> Bench:
    """Seconds are kernels."""
    return Bench(model, c, free_machine(), replace(IDEAL, ramp=1))


def product_bytes(rows: float, wide: float, out: float, copies: int = 1) -> float:
    """Two 16-bit operands read, the result written."""
    return 2 * (rows * wide + wide * out * copies + rows * out)
