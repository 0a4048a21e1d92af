"""What every pass takes of a device's memory and gives back, in bytes and in activations."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from ..base.numbers import Number, exact, plus, scaled
from ..schedule.ir import PARTS, Op, Schedule
from .costs import Costs


class Left(NamedTuple):
    """What a pass leaves on its device: bytes, and activations in chunks; a rise is taken at its
    start, a fall given back at its end."""

    size: Number
    chunks: int | Fraction


def left_by(schedule: Schedule, costs: Costs, op: Op) -> Left:
    """What `op` leaves; over the passes of one microbatch on a stage both sum to 0.

    A forward whose stage has no backward keeps nothing. Where a stage has no W, B gives back all.
    Of what is recomputed F keeps a part, and R takes the rest. What O gives back at its end, the
    store of its device has from its start on, until the end of L. S keeps the scores of its part
    until the end of T, if there is one; they are no activation of a stage.
    """
    return Left(size_left(schedule, costs, op), activations(schedule, op, costs.recompute_keeps))


def size_left(schedule: Schedule, costs: Costs, op: Op) -> Number:
    """The bytes of it."""
    if op.kind in PARTS:
        if not schedule.backward[-1]:
            return 0
        logits = costs.logits_bytes if op.kind == "S" else -costs.logits_bytes
        return scaled(logits, costs.scale(op.microbatch, schedule.n_stages - 1))
    passes = schedule.backward[op.stage]
    if not passes:
        return 0
    kind = "BW" if op.kind == "B" and passes == "B" else op.kind
    size = costs.change(_LIKE.get(kind, kind), op.stage, op.slice)
    if op.kind in ("F", "R") and schedule.levers.get(op[1:]) == "R":
        again = costs.rebuilt_bytes(op.stage, op.slice)
        size = again if op.kind == "R" else plus(size, -again)
    return scaled(size, costs.scale(op.microbatch, op.stage)) if costs.microbatch_scale else size


def activations(schedule: Schedule, op: Op, keeps: Number = 0) -> int | Fraction:
    """How many more activations, in chunks, are there for others after `op`: they live from the
    start of F, or of R, to the end of the last backward pass.

    keeps: the share of one that lives from F on where R takes the rest.
    """
    if op.kind in PARTS:
        return 0
    passes = schedule.backward[op.stage]
    if op.kind in ("O", "L"):
        return -1 if op.kind == "O" else 1
    if op.kind == "F" and schedule.levers.get(op[1:]) == "R":
        return _whole(exact(keeps))
    if op.kind == "R":
        return _whole(1 - exact(keeps))
    if op.kind == "F":
        return 1 if passes else 0
    return 0 if op.kind == "B" and passes != "B" else -1


_LIKE = {"R": "F", "L": "F", "O": "BW"}


def in_shares(chunks: int | Fraction, share: int) -> Number:
    """Chunks in shares of a device that has `share` of them for one microbatch."""
    if isinstance(chunks, int):
        return chunks // share if chunks % share == 0 else chunks / share
    return in_shares(chunks.numerator, share * chunks.denominator)


def _whole(chunks: Fraction) -> int | Fraction:
    return chunks.numerator if chunks.denominator == 1 else chunks
