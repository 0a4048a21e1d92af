"""What a worker writes down while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch

from sim import Op, Value

from ..stages.stage import Unit
from .lanes import Mark

Purpose = Literal["memory", "warm-up", "time"]
"""Why an iteration is run: bytes are counted in the first alone, clocks in the last alone."""


class PassRecord(NamedTuple):
    """One pass of one iteration; passes of a fused step share `step`, `start` and `end`."""

    device: int
    position: int
    step: int
    op: Op
    start: Mark
    end: Mark
    cpu: float
    got: tuple[TransferRecord, ...]


class TransferRecord(NamedTuple):
    """One value that crossed devices."""

    value: Value
    source: int
    destination: int
    bytes: int
    written: Mark
    start: Mark
    end: Mark
    delay: float


class MemoryRecord(NamedTuple):
    """Counted bytes of a device around one pass, and the most inside it."""

    device: int
    op: Op
    before: int
    after: int
    most: int


@dataclass
class Round:
    """What one device has written down in one iteration."""

    purpose: Purpose
    passes: list[PassRecord] = field(default_factory=list)
    transfers: list[TransferRecord] = field(default_factory=list)
    memory: list[MemoryRecord] = field(default_factory=list)
    losses: dict[Unit, torch.Tensor] = field(default_factory=dict)
    boundaries: dict[tuple[int, int], int] = field(default_factory=dict)
    most_waiting: int = 0
    origin: Mark = None
