"""What a worker writes down while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch

from sim import Op, Value

from ..stages.stage import Unit
from ..stages.vocabulary import Scores
from .lanes import Timestamp

Purpose = Literal["memory", "warm-up", "time"]
"""Why an iteration is run: bytes are counted in the first alone, clocks in the last alone."""


HOST = -1
"""In place of a device: the memory of the host, as in `sim.Trace`."""


class PassRecord(NamedTuple):
    """One pass of one iteration; passes of a fused step share `step`, `start` and `end`.

    cpu: seconds that the step kept its thread's CPU busy. received: what it waited for.
    """

    device: int
    position: int
    step: int
    op: Op
    start: Timestamp
    end: Timestamp
    cpu: float
    received: tuple[TransferRecord, ...] = ()


class TransferRecord(NamedTuple):
    """One value that crossed devices: when its pass had written it, and when it was copied.

    delay: seconds from the end of the copy to the arrival.
    """

    value: Value
    source: int
    destination: int
    bytes: int
    written: Timestamp
    start: Timestamp
    end: Timestamp
    delay: float


class MemoryRecord(NamedTuple):
    """Counted bytes of a device around one pass, and the most inside it."""

    device: int
    op: Op
    before: int
    after: int
    most: int


class StoreRecord(NamedTuple):
    """Bytes that an O begins to keep at a store (a device, or HOST), or with a minus, that an L
    has brought back from there."""

    store: int
    op: Op
    size: int


@dataclass
class IterationRecord:
    """What one device has written down in one iteration.

    losses: by unit, of the last stage. scores: by unit, of this part of the vocabulary.
    boundaries: bytes of the largest activation by (stage, slice). most_waiting: the most bytes that
    waited for a pass at once. origin: when it began.
    """

    purpose: Purpose
    passes: list[PassRecord] = field(default_factory=list)
    transfers: list[TransferRecord] = field(default_factory=list)
    memory: list[MemoryRecord] = field(default_factory=list)
    stored: list[StoreRecord] = field(default_factory=list)
    losses: dict[Unit, torch.Tensor] = field(default_factory=dict)
    scores: dict[Unit, Scores] = field(default_factory=dict)
    boundaries: dict[tuple[int, int], int] = field(default_factory=dict)
    most_waiting: int = 0
    origin: Timestamp = None
