"""How long the passes of an atomic step take together."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ..schedule.ir import Op


class PassTime(NamedTuple):
    """A pass of a step: what it computes there, and what its all-to-alls take."""

    op: Op
    compute: Fraction
    exchange: Fraction


def computing(passes: Sequence[PassTime]) -> Fraction:
    """The time in which a step of these passes computes: a device does so for one at a time."""
    return sum((one.compute for one in passes), Fraction(0))


def step_time(passes: Sequence[PassTime]) -> Fraction:
    """The time that a step of these passes takes.

    A pass computes and exchanges in turn, but passes of one step hide the one under the other: it
    takes as long as all that they compute, as all their all-to-alls, or as its longest pass alone,
    whichever is longest. An R and the next backward of its stage follow each other: they are one.
    """
    alone: list[Fraction] = []
    rebuilt: dict[tuple[int, int], list[Fraction]] = {}  # R's whose backward is to come
    for op, compute, exchange in passes:
        time = compute + exchange
        waiting = rebuilt.setdefault((op.stage, op.slice), [])
        if op.kind == "R":
            waiting.append(time)
        elif op.kind in ("B", "BW") and waiting:
            time += waiting.pop(0)
        alone.append(time)
    exchanges = sum((one.exchange for one in passes), Fraction(0))
    return max(computing(passes), exchanges, *alone)
