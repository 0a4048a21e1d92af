"""What fewer bits per number change: the rate of multiplications, casts, and bytes.

Multiplications by weights inside layers run in the chosen precision; the router of experts, the
projection to the vocabulary and attention stay in 16 bits, as in Transformer Engine and
Megatron-LM. Both operands are cast before: F casts its input, B the gradient of its output, each
read in 16 bits and written twice, along rows and along columns, because W reads it transposed.
Weights are cast once an iteration. FP8: Micikevicius et al. 2022, arXiv 2209.05433; MXFP8: one
8-bit scale per 32 numbers, Rouhani et al. 2023, arXiv 2310.10537; NVFP4: one per 16.
"""

from __future__ import annotations

from ..hardware import Device
from .configuration import Precision

SIZES: dict[Precision, float] = {
    "bf16": 2,
    "fp8": 1,
    "mxfp8": 1 + 1 / 32,
    "nvfp4": 0.5 + 1 / 16,
}
"""Bytes of a number, with its share of scales."""


def peak(device: Device, precision: Precision) -> float:
    """Operations per second that the device is printed to do."""
    if precision == "bf16":
        return device.flops
    return device.fp4 if precision == "nvfp4" else device.fp8


def no_faster_units(device: Device, precision: Precision) -> str:
    """Why a precision gains nothing on a device, in one sentence; "" if it does."""
    wider: Precision = "fp8" if precision == "nvfp4" else "bf16"
    if precision == "bf16" or peak(device, precision) > peak(device, wider):
        return ""
    bits = 4 if precision == "nvfp4" else 8
    return (
        f"{device.name} does not multiply faster in {bits} bits than in {2 * bits}: plan with "
        f"{wider}, or give its rate as fp{bits} in a machine's file"
    )


def cast_bytes(precision: Precision) -> float:
    """Memory traffic per number that is cast: read in 16 bits, written along rows and columns."""
    return 0.0 if precision == "bf16" else 2 + 2 * SIZES[precision]


def weight_copies(precision: Precision) -> float:
    """Bytes per parameter of cast weights, along rows and along columns, kept beside 16-bit
    ones."""
    return 0.0 if precision == "bf16" else 2 * SIZES[precision]
