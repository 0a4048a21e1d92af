"""Orders that repeat, and the one way to unroll them for so many microbatches.

A periodic order says what each device does in one period. Below, n = 1; every later period does the
same with the next microbatch, and what would be of a microbatch that does not exist is left out:

    period        0           1           2           3          m = 2
    device 0 |  F1 B0  ..   F2 B1       F3 B2  ..         ->     F0 F1 B0 B1
    device 1 |  F0 B0  ..   F1 B1       F2 B2  ..         ->     F0 B0 F1 B1
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ...schedule.ir import KINDS, Op, Schedule, Step
from ..compiled import Ints, compiled


class PeriodicOrder(NamedTuple):
    """The steps of each device in one period, in order.

    The next period does the same with every microbatch number raised by `n`. Numbers may be
    negative: which period is called the first does not matter, on any device.
    """

    rounds: tuple[tuple[Step, ...], ...]
    n: int


class DeviceOrders(NamedTuple):
    """Orders of devices for compiled loops.

    passes: (kind 0 F 1 B 2 W, stage, microbatch) of every pass, device after device. first: device
    d has the rows first[d] to first[d+1].
    """

    passes: Ints
    first: Ints

    @classmethod
    def of(cls, orders: Iterable[Iterable[Op]]) -> DeviceOrders:
        rows = [[(KINDS.index(op.kind), op.stage, op.microbatch) for op in line] for line in orders]
        passes = np.array([row for line in rows for row in line], np.int64).reshape(-1, 3)
        return cls(passes, np.cumsum([0, *map(len, rows)]))

    def ops(self) -> tuple[tuple[Op, ...], ...]:
        """The order of every device."""
        return tuple(
            tuple(Op(KINDS[kind], stage, i) for kind, stage, i in self.passes[a:b].tolist())
            for a, b in pairwise(self.first)
        )

    def schedule(self, placement: tuple[int, ...], n_microbatches: int, name: str) -> Schedule:
        return Schedule(placement, self.ops(), n_microbatches, name=name)


def unrolled(order: PeriodicOrder, n_microbatches: int) -> DeviceOrders:
    """What the devices do for microbatches 0 to n_microbatches - 1, each in its own order."""
    one_period = DeviceOrders.of([op for step in steps for op in step] for steps in order.rounds)
    return unrolled_orders(one_period, order.n, n_microbatches)


@compiled
def unrolled_orders(one_period: DeviceOrders, n: int, m: int) -> DeviceOrders:
    """The same for loops that unroll many orders: `one_period` is repeated, n microbatches on."""
    rounds, first = one_period
    begin, at = np.zeros_like(first), 0
    for i in range(rounds.shape[0]):  # of the numbers below m, every n-th is one of this pass
        at += (m - rounds[i, 2] % n + n - 1) // n
    passes = np.empty((at, 3), np.int64)
    at = 0
    for d in range(first.size - 1):
        low, high = first[d], first[d + 1]
        begin[d] = at
        if low < high:
            newest, oldest = rounds[low:high, 2].max(), rounds[low:high, 2].min()
            for period in range(-(newest // n), (m - 1 - oldest) // n + 1):
                for i in range(low, high):
                    microbatch = rounds[i, 2] + n * period
                    if 0 <= microbatch < m:
                        passes[at, 0], passes[at, 1] = rounds[i, 0], rounds[i, 1]
                        passes[at, 2] = microbatch
                        at += 1
    begin[-1] = at
    return DeviceOrders(passes, begin)


def of_several_periods(order: PeriodicOrder, times: int) -> PeriodicOrder:
    """The same order with `times` of its periods seen as one."""
    return PeriodicOrder(
        tuple(
            tuple(later(step, order.n * k) for k in range(times) for step in steps)
            for steps in order.rounds
        ),
        order.n * times,
    )


def later(step: Step, n: int) -> Step:
    """The same passes of microbatches `n` later."""
    return tuple(op._replace(microbatch=op.microbatch + n) for op in step)
