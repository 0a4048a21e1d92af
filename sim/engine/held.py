"""What every pass takes of a device's memory and gives back, in bytes and in activations."""

from __future__ import annotations

from typing import NamedTuple

from ..base.numbers import Number
from ..schedule.ir import Op, Schedule
from .costs import Costs, scaled


class Left(NamedTuple):
    """What a pass leaves on its device: bytes, and activations in chunks; a rise is taken at its
    start, a fall given back at its end."""

    size: Number
    chunks: int


def left_by(schedule: Schedule, costs: Costs, op: Op) -> Left:
    """What `op` leaves; over the passes of one microbatch on a stage both sum to 0.

    A forward whose stage has no backward keeps nothing. Where a stage has no W, B gives back all.
    """
    chunks, passes = activations(schedule, op), schedule.backward[op.stage]
    if not passes:
        return Left(0, chunks)
    kind = "BW" if passes == "B" and op.kind == "B" else op.kind
    size = costs.change(kind, op.stage, op.slice)
    return Left(scaled(size, costs.scale(op.microbatch, op.stage)), chunks)


def activations(schedule: Schedule, op: Op) -> int:
    """How many more activations, in chunks, are there for others after `op`: they live from the
    start of F to the end of the last backward pass."""
    passes = schedule.backward[op.stage]
    if op.kind == "F":
        return 1 if passes else 0
    return 0 if op.kind == "B" and passes != "B" else -1
