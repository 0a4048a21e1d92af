"""What a search works on: stages, costs and limits as arrays of whole ticks.

An order is kept as **pass codes**: on each device a row of numbers `3 * stage + kind` (kind 0 F,
1 B, 2 W); the i-th time a code comes up it means microbatch i. Nothing is lost by that where
microbatches are alike: renaming them in the order in which a stage runs them never breaks a
schedule. Where they are not, it means the i-th of the problem's `sequence`, and all stages run them
in that sequence.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...base.numbers import Number, Ticks, common_ticks, exact, plain
from ...engine.costs import Costs
from ...schedule.clock import Clock
from ...schedule.dependencies import reads, writes
from ...schedule.ir import Op, Schedule
from ..compiled import Ints
from ..periodic.unroll import DeviceOrders
from .limits import PASSES, UNLIMITED, limits_and_changes

STEPS_PER_LARGEST = 2**20
"""Ticks in the longest pass where the costs have no common tick of their own."""
Order = NDArray[np.int32]
"""Pass codes, shape `(n_devices, 3 * chunks * n_microbatches)`."""


class Fence(NamedTuple):
    """Positions on each device, shape `(n_devices,)`, between which an order stays as it is."""

    low: Ints
    high: Ints


class OrderTables(NamedTuple):
    """What compiled loops know of a pipeline, by pass code, stage and device.

    device_of: of each stage. stages_of: ascending, shape `(n_devices, chunks)`. duration: ticks of
        each run, shape `(n_codes, n_microbatches)`.
    wait_on: the code on another device that a code reads from, or -1, and the `delay` until that
        has arrived. near: the codes on the same device that must come first, or -1, shape
        `(n_codes, 2)`.
    takes, frees: what a code takes at its start and gives back (negative) at its end, of pieces and
        of bytes, shape `(2, n_codes, n_microbatches)`; limits: what a device may hold of each
        (static bytes subtracted), shape `(2, n_devices)`.
    """

    device_of: Ints
    stages_of: Ints
    duration: Ints
    wait_on: Ints
    delay: Ints
    near: Ints
    takes: Ints
    frees: Ints
    limits: Ints


@dataclass(frozen=True, eq=False)
class OrderProblem:
    """A pipeline to be scheduled: what it costs, where it lives and how much may be live.

    scale: ticks of the tables per unit of the costs; exact if `ticks.per_unit` is not 0.
    sequence: the microbatches in the order in which every stage runs them.
    """

    placement: tuple[int, ...]
    n_microbatches: int
    clock: Clock
    costs: Costs
    tables: OrderTables
    ticks: Ticks
    scale: Number
    sequence: tuple[int, ...]
    memory_bytes: Number | Sequence[Number] | None = None

    @property
    def n_devices(self) -> int:
        return len(self.tables.stages_of)

    @property
    def n_stages(self) -> int:
        return len(self.placement)

    @property
    def chunks(self) -> int:
        """Stages of each device."""
        return self.n_stages // self.n_devices

    @property
    def n_ops(self) -> int:
        return 3 * self.n_stages * self.n_microbatches

    @property
    def longest(self) -> bool:
        """Whether the clock is the longest stage."""
        return self.clock == "longest_stage"

    @property
    def shares(self) -> list[Number] | None:
        """Live activations each device may hold, in shares; None if only bytes are limited."""
        pieces = self.tables.limits[0].tolist()
        if pieces[0] >= UNLIMITED or self.memory_bytes is not None:
            return None
        return [plain(Fraction(n, self.chunks)) for n in pieces]

    def in_units(self, ticks: int) -> Number:
        """A time of this problem in units of the costs."""
        time = exact(ticks) / exact(self.scale)
        return plain(time) if self.ticks.per_unit else float(time)

    @property
    def costs_in_turn(self) -> Costs:
        """The costs of `schedule`: those of the microbatches in their sequence."""
        scale = self.costs.microbatch_scale
        if not scale:
            return self.costs
        return replace(self.costs, microbatch_scale=tuple(scale[i] for i in self.sequence))

    @property
    def alike(self) -> bool:
        """Whether all microbatches cost the same."""
        return not self.costs.microbatch_scale

    def with_microbatches(self, n: int) -> OrderProblem:
        """The same pipeline with as many microbatches, the first of the sequence over and over."""
        return self._runs(np.arange(n) % self.n_microbatches)

    def in_sequence(self, sequence: Sequence[int]) -> OrderProblem:
        """The same pipeline, with its microbatches in another sequence."""
        place = {microbatch: i for i, microbatch in enumerate(self.sequence)}
        return self._runs(np.array([place[microbatch] for microbatch in sequence]))

    def _runs(self, which: Ints) -> OrderProblem:
        """The same pipeline, in which the runs of a code are these of today's."""
        tables = self.tables._replace(
            duration=np.ascontiguousarray(self.tables.duration[:, which]),
            takes=np.ascontiguousarray(self.tables.takes[:, :, which]),
            frees=np.ascontiguousarray(self.tables.frees[:, :, which]),
        )
        sequence = tuple(self.sequence[i] for i in which.tolist())
        if self.alike:  # they have no names
            sequence = tuple(range(len(which)))
        return replace(self, n_microbatches=len(which), tables=tables, sequence=sequence)

    def schedule(self, order: Order, name: str) -> Schedule:
        """The order as a `Schedule`, whose microbatch i is the i-th of the sequence."""
        rows = []
        for codes in order.tolist():
            seen = [0] * (3 * self.n_stages)
            row = []
            for code in codes:
                stage, kind = divmod(code, 3)
                row.append(Op(PASSES[kind], stage, seen[code]))
                seen[code] += 1
            rows.append(tuple(row))
        return Schedule(self.placement, tuple(rows), self.n_microbatches, name=name)

    def codes(self, orders: DeviceOrders) -> Order:
        """The orders of devices as pass codes."""
        kind, stage, _ = orders.passes.T
        return np.array(3 * stage + kind, np.int32).reshape(self.n_devices, -1)

    def order(self, schedule: Schedule) -> Order | None:
        """The order of a schedule of split passes on this placement; None if it is another kind."""
        same = schedule.placement == self.placement and schedule.n_slices == 1
        if not same or schedule.fused or schedule.n_microbatches != self.n_microbatches:
            return None
        rows = []
        for ops in schedule.orders:
            row: list[int] = []
            for op in ops:
                both = ("B", "W") if op.kind == "BW" else (op.kind,)
                row += [3 * op.stage + PASSES.index(kind) for kind in both]
            rows.append(row)
        return np.array(rows, np.int32)


def order_problem(
    placement: tuple[int, ...],
    n_microbatches: int,
    costs: Costs,
    *,
    clock: Clock = "makespan",
    memory_limit: Number | Sequence[Number] | None = None,
    memory_bytes: Number | Sequence[Number] | None = None,
    more_times: Collection[Number] = (),
) -> OrderProblem:
    """The tables for a search over the orders of split passes (F, B, W) on `placement`.

    memory_limit: shares of a device's whole activation; memory_bytes: static ones included; each
    one number or one per device. more_times: of other passes that are to be counted in the same
    ticks. Times without a common tick are rounded to one in a million of the
    longest pass: fine enough to compare orders, and what is returned in the end is judged with the
    costs themselves.
    """
    n_stages, n_devices = len(placement), max(placement) + 1
    unlike = range(n_microbatches if costs.microbatch_scale else 1)
    times = [
        [costs.duration((Op(kind, s, i),)) for i in unlike]
        for s in range(n_stages)
        for kind in PASSES
    ]
    sends = [costs.send[s] if placement[s] != placement[s + 1] else 0 for s in range(n_stages - 1)]
    flat = {time for row in times for time in row} | {*sends, *more_times, 0}
    ticks = common_ticks(flat, how_many=6 * n_stages * n_microbatches + 1)
    if ticks.per_unit:
        common = math.gcd(*(int(ticks.count(time)) for time in flat)) or 1
        scale: Number = Fraction(ticks.per_unit, common)
        count = {time: int(ticks.count(time)) // common for time in flat}
    else:
        scale = STEPS_PER_LARGEST / float(max(flat))
        count = {time: round(float(time) * scale) for time in flat}
    wait_on, delay = np.full(3 * n_stages, -1, np.int64), np.zeros(3 * n_stages, np.int64)
    near = np.full((3 * n_stages, 2), -1, np.int64)
    empty = Schedule(placement, ((),) * n_devices, 1)
    ops = [Op(kind, s, 0) for s in range(n_stages) for kind in PASSES]
    writer = {value: code for code, op in enumerate(ops) for value in writes(empty, op)}
    for code, op in enumerate(ops):
        for source in (writer[value] for value in reads(empty, op)):
            if placement[source // 3] == placement[op.stage]:
                near[code, int(near[code, 0] >= 0)] = source
            else:
                wait_on[code] = source
                delay[code] = count[sends[min(source // 3, op.stage)]]
    limits, change = limits_and_changes(
        placement, costs, memory_limit, memory_bytes, unlike=unlike, how_many=n_microbatches
    )
    duration = np.array([[count[time] for time in row] for row in times], np.int64)
    if len(unlike) < n_microbatches:  # what holds for one holds for all
        duration = np.repeat(duration, n_microbatches, axis=1)
        change = np.repeat(change, n_microbatches, axis=2)
    tables = OrderTables(
        np.array(placement, np.int64),
        np.array([np.flatnonzero(np.equal(placement, d)) for d in range(n_devices)], np.int64),
        duration,
        wait_on, delay, near, np.maximum(change, 0), np.minimum(change, 0), limits,
    )  # fmt: skip
    return OrderProblem(
        placement, n_microbatches, clock, costs, tables, ticks, scale, (*range(n_microbatches),),
        memory_bytes,
    )  # fmt: skip


def one_by_one(placement: tuple[int, ...], n_microbatches: int) -> Schedule:
    """One microbatch after the other: no order needs less memory."""
    stages = range(len(placement))
    way = [Op("F", s, 0) for s in stages]
    way += [Op(kind, s, 0) for s in stages[::-1] for kind in PASSES[1:]]
    orders = [
        tuple(
            op._replace(microbatch=i)
            for i in range(n_microbatches)
            for op in way
            if placement[op.stage] == d
        )
        for d in range(max(placement) + 1)
    ]
    return Schedule(placement, tuple(orders), n_microbatches, name="one by one")
