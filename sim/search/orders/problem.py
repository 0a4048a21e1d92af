"""What a search works on: stages, costs and limits as arrays of whole ticks.

An order is kept as **letters**: on each device a row of numbers `3 * stage + kind` (kind 0 F, 1 B,
2 W); the i-th time a letter comes up it means microbatch i. Nothing is lost by that: microbatches
are alike, so renaming them in the order in which a stage runs them never breaks a schedule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.numbers import Number, Ticks, checked, common_ticks, exact, plain
from ...bounds.memory import pieces
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.ir import Kind, Op, Schedule
from ..compiled import Ints

PASSES: tuple[Kind, ...] = ("F", "B", "W")
UNLIMITED = 2**60
STEPS_PER_LARGEST = 2**20
"""Ticks in the longest pass where the costs have no common tick of their own."""
Letters = NDArray[np.int32]
"""An order, shape `(n_devices, 3 * chunks * n_microbatches)`."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A pipeline to be scheduled: what it costs, where it lives and how much may be live.

    limits: what each device may hold of pieces and of bytes (static ones subtracted), shape
        `(2, n_devices)`; takes, frees: what a letter takes of each at its start and gives back
        (negative) at its end, shape `(2, n_letters)`.
    wait_on: letter on another device that a letter reads from, or -1, and the `delay` until that
        has arrived; near: the letters on the same device that must come first, or -1.
    scale: ticks of the arrays per unit of the costs; exact if `ticks.per_unit` is not 0.
    """

    placement: tuple[int, ...]
    n_microbatches: int
    clock: Clock
    costs: Costs
    limits: Ints
    takes: Ints
    frees: Ints
    duration: Ints
    wait_on: Ints
    delay: Ints
    near: Ints
    ticks: Ticks
    scale: Number
    memory_bytes: Number | Sequence[Number] | None = None

    @property
    def n_devices(self) -> int:
        return max(self.placement) + 1

    @property
    def n_stages(self) -> int:
        return len(self.placement)

    @property
    def chunks(self) -> int:
        """Stages of each device."""
        return self.n_stages // self.n_devices

    @cached_property
    def stages_of(self) -> Ints:
        """The stages of each device, ascending, shape `(n_devices, chunks)`."""
        rows: list[list[int]] = [[] for _ in range(self.n_devices)]
        for stage, device in enumerate(self.placement):
            rows[device].append(stage)
        return np.array(rows, np.int64)

    def in_units(self, ticks: int) -> Number:
        """A time of this problem in units of the costs."""
        time = exact(ticks) / exact(self.scale)
        return plain(time) if self.ticks.per_unit else float(time)

    def with_microbatches(self, n: int) -> Problem:
        """The same pipeline with another number of microbatches."""
        return Problem(**{**vars_of(self), "n_microbatches": n})

    def schedule(self, letters: Letters, name: str) -> Schedule:
        """The order as a `Schedule`."""
        orders = []
        for row in letters.tolist():
            seen = [0] * (3 * self.n_stages)
            order = []
            for letter in row:
                stage, kind = divmod(letter, 3)
                order.append(Op(PASSES[kind], stage, seen[letter]))
                seen[letter] += 1
            orders.append(tuple(order))
        return Schedule(self.placement, tuple(orders), self.n_microbatches, name=name)

    def letters(self, schedule: Schedule) -> Letters | None:
        """The order of a schedule of split passes on this placement; None if it is another kind."""
        same = schedule.placement == self.placement and schedule.n_slices == 1
        if not same or schedule.fused or schedule.n_microbatches != self.n_microbatches:
            return None
        rows = []
        for order in schedule.orders:
            row: list[int] = []
            for op in order:
                both = ("B", "W") if op.kind == "BW" else (op.kind,)
                row += [3 * op.stage + PASSES.index(kind) for kind in both]
            rows.append(row)
        return np.array(rows, np.int32)


def vars_of(problem: Problem) -> dict[str, Any]:
    """The fields of `problem` by name."""
    return {name: getattr(problem, name) for name in Problem.__dataclass_fields__}


def problem(
    placement: tuple[int, ...],
    n_microbatches: int,
    costs: Costs,
    *,
    clock: Clock = "makespan",
    memory_limit: Number | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
) -> Problem:
    """The arrays for a search over the orders of split passes (F, B, W) on `placement`.

    Times without a common tick are rounded to one in a million of the longest pass: fine enough to
    compare orders, and what is returned in the end is judged with the costs themselves.
    """
    n_stages = len(placement)
    times = [[costs.duration((Op(kind, s, 0),)) for kind in PASSES] for s in range(n_stages)]
    sends = [costs.send[s] if placement[s] != placement[s + 1] else 0 for s in range(n_stages - 1)]
    flat = {time for row in times for time in row} | set(sends) | {0}
    ticks = common_ticks(flat, how_many=6 * n_stages * n_microbatches + 1)
    if ticks.per_unit:
        common = math.gcd(*(int(ticks.count(time)) for time in flat)) or 1
        scale: Number = Fraction(ticks.per_unit, common)
        count = {time: int(ticks.count(time)) // common for time in flat}
    else:
        scale = STEPS_PER_LARGEST / float(max(flat))
        count = {time: round(float(time) * scale) for time in flat}
    duration = np.array([count[time] for row in times for time in row], np.int64)
    wait_on, delay = np.full(3 * n_stages, -1, np.int64), np.zeros(3 * n_stages, np.int64)
    near = np.full((3 * n_stages, 2), -1, np.int64)
    for s in range(n_stages):
        near[3 * s + 1, 0], near[3 * s + 2, 0] = 3 * s, 3 * s + 1
        for letter, other, step in ((3 * s, s - 1, 0), (3 * s + 1, s + 1, 1)):
            if 0 <= other < n_stages:
                if placement[other] == placement[s]:
                    near[letter, 1] = 3 * other + step
                else:
                    wait_on[letter] = 3 * other + step
                    delay[letter] = count[sends[min(s, other)]]
    limits, takes, frees = _memory(placement, costs, memory_limit, memory_bytes, n_microbatches)
    return Problem(
        placement, n_microbatches, clock, costs, limits, takes, frees, duration, wait_on, delay,
        near, ticks, scale, memory_bytes,
    )  # fmt: skip


def _memory(
    placement: tuple[int, ...],
    costs: Costs,
    shares: Number | None,
    size: Number | Sequence[Number] | None,
    m: int,
) -> tuple[Ints, Ints, Ints]:
    n_stages, n_devices = len(placement), max(placement) + 1
    limits = np.full((2, n_devices), UNLIMITED, np.int64)
    change = np.zeros((2, 3 * n_stages), np.int64)
    change[0, 0::3], change[0, 2::3] = 1, -1
    if shares is not None:
        checked(shares, "memory_limit")
        limits[0] = pieces(shares, n_stages // n_devices)
    if size is not None:
        room = list(size) if isinstance(size, Sequence) else [size] * n_devices
        if len(room) != n_devices:
            raise ValueError(f"memory_bytes has {len(room)} entries for {n_devices} devices")
        moves = [exact(costs.change(kind, s)) for s in range(n_stages) for kind in PASSES]
        ticks = common_ticks({abs(move) for move in moves} | {0}, how_many=4 * n_stages * m)
        per_unit = ticks.per_unit or 1
        # a change that is no whole number of ticks counts as more, so that no limit is crossed
        change[1] = [
            math.ceil(move * per_unit) if ticks.per_unit else round(float(move)) for move in moves
        ]
        for device in range(n_devices):
            static = sum(
                exact(costs.static_bytes[s]) for s in range(n_stages) if placement[s] == device
            )
            left = exact(checked(room[device], f"memory_bytes of device {device}")) - static
            limits[1, device] = math.floor(left * per_unit)
    return limits, np.maximum(change, 0), np.minimum(change, 0)
