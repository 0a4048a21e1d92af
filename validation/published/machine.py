"""The machine of a published run: a preset's device, and the wires that its source names."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from sim.planner.hardware import DEVICES, WIRES, Machine, Wire, machine_of

from .shapes import Missing

OPA = Wire(
    "opa", 40.5e9 / 8 / 2 / 0.85, 10e-6,
    "Omni-Path, four cards for a node of eight devices: 40.5 Gb/s a card in an all-reduce",
)  # fmt: skip
"""Of the BigScience rows; not a wire that people still buy. Printed are 100 Gb/s a card, but NCCL
reached 40.5 on the machine itself, in a ring over four nodes that enters each by one card and
leaves by another (bigscience-workshop/bigscience, experiments/bandwidth,
all_reduce_bench-a100-n4.txt). Collectives reach 0.85 of a wire at best (`fit.CEILINGS`): so this is
one of 40.5 / 0.85."""

NAMES = {"a100": "a100-80g", "a100-80g-pcie": "a100-pcie"}
"""Devices by names that tables use."""


@lru_cache
def machine(gpu: str, n_devices: int, between: str) -> Machine:
    """The machine; `Missing` names a device, a wire or a size that is not known."""
    gpu = NAMES.get(gpu, gpu)
    if gpu not in DEVICES:
        raise Missing(f"device {gpu or '(empty)'}")
    if between and between != OPA.name and between not in WIRES:
        raise Missing(f"wire {between}")
    try:
        found = machine_of(gpu, n_devices)
        if between == OPA.name:
            return replace(found, between=OPA)
        return machine_of(gpu, n_devices, between=between or None)
    except ValueError as error:
        raise Missing(str(error)) from None
