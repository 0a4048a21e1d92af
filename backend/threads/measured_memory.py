"""Counted bytes as rows of a measured `Trace`, on the clock of an iteration that was timed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sim import Op, Schedule

from ..stages.vocabulary import PASSES
from .records import HOST, IterationRecord

Row = tuple[int, float, int, int, float, str, int]
"""Device, time, change, live, activations, reason, most."""


def memory_rows(
    schedule: Schedule,
    memory: Sequence[IterationRecord],
    spans: Mapping[Op, tuple[float, float]],
) -> list[Row]:
    """A rise stands at the start of its pass, a fall at its end.

    Where copies run beside passes, what is live is added up in the order of these times: it was
    counted in an iteration in which they took none. What ends gives back before what begins takes.
    """
    if schedule.copies:
        return _in_time(schedule, memory, spans)
    rows = []
    for one in memory:
        chunks = 0
        for device, op, before, after, most in one.memory:
            chunks += activations_made(schedule, op)
            time = spans[op][0 if after > before else 1]
            share = chunks / schedule.pieces(device)
            rows.append((device, time, after - before, after, share, str(op), most))
    return rows


def _in_time(
    schedule: Schedule,
    memory: Sequence[IterationRecord],
    spans: Mapping[Op, tuple[float, float]],
) -> list[Row]:
    pieces = [*map(schedule.pieces, range(schedule.n_devices))]
    share = {**dict(enumerate(pieces)), HOST: max(pieces)}
    changes: list[tuple[float, int, int, Op, int, int, int]] = []
    for one in memory:
        for device, op, before, after, most in one.memory:
            rises = after > before
            change, chunks = after - before, activations_made(schedule, op)
            changes.append(
                (spans[op][0 if rises else 1], rises, device, op, change, chunks, most - before)
            )
        for store, op, size in one.stored:
            begins = op.kind == "O"
            chunks = 1 if begins else -1
            changes.append((spans[op][0 if begins else 1], begins, store, op, size, chunks, 0))
    live: defaultdict[int, int] = defaultdict(int)
    alive: defaultdict[int, int] = defaultdict(int)
    rows: list[Row] = []
    for time, _, device, op, change, chunks, inside in sorted(changes, key=lambda one: one[:2]):
        most = live[device] + max(inside, change, 0)
        live[device] += change
        alive[device] += chunks
        at = alive[device] / share[device]
        rows.append((device, time, change, live[device], at, str(op), most))
    return rows


def activations_made(schedule: Schedule, op: Op) -> int:
    """How many activations of its stage are alive more after `op`: -1 after its last pass."""
    if op.kind in PASSES:  # scores are no activation of a stage
        return 0
    passes, lever = schedule.backward[op.stage], schedule.levers.get(op[1:])
    if op.kind == "F":  # what is kept for an R is counted in bytes alone
        return 1 if passes and lever != "R" else 0
    if op.kind in ("R", "L"):
        return 1
    return 0 if op.kind == "B" and passes != "B" else -1


def peaks(rows: Any, devices: Sequence[int], column: str = "live") -> tuple[int, ...]:
    """The most that was live on each of `devices`, of the frame of such rows; "most": inside passes
    too."""
    most: Any = rows.groupby("device")[column].max()
    return tuple(max(int(most.get(device, 0)), 0) for device in devices)
